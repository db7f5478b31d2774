"""How much text a command can be given: what execve(2) takes of arguments and environment.

One text may have 128 KiB with its zero byte (``MAX_ARG_STRLEN`` of Linux), all together what
sysconf(3) says of ``ARG_MAX``, with a pointer for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from app.domain import JSON
from app.engine.expressions import OPENING
from app.engine.faults import Fault, Path
from app.errors import InvalidRequest
from app.values import to_text

MAX_TEXT_BYTES: Final = 128 * 1024 - 1
"""Longest argument; of a variable with its name and the ``=``."""

_POINTER_BYTES: Final = 8
_HEADROOM_BYTES: Final = 4096  # for what launchers and the kernel add
_NAMED: Final = 3
_WAY_OUT: Final = "Write it into a file, and give the command the path of that"


def violations(step: Mapping[str, JSON], path: Path) -> Iterator[Fault]:
    """Find texts of a step's document that no command can be given, whatever is put into them."""
    config = step.get("config")
    given = config if isinstance(config, dict) and step.get("type") == "command" else {}
    if _is_long(given.get("command")):
        yield Fault((*path, "config", "command"), _fault())
    args = given.get("args")
    for index, arg in enumerate(args if isinstance(args, list) else ()):
        if _is_long(arg):
            yield Fault((*path, "config", "args", index), _fault())
    env = step.get("env")
    for name, value in env.items() if isinstance(env, dict) else ():
        if _is_long(value, f"{name}="):
            yield Fault((*path, "env", name), _fault())


def check(argv: Sequence[str], env: Mapping[str, str], inputs: Mapping[str, str]) -> None:
    """Make sure that a command can be given what it is to get.

    Args:
        argv: The program and its arguments.
        env: Its whole environment.
        inputs: Names of inputs, by the variables in which they arrive.

    Raises:
        InvalidRequest: A text is too long, or all are together; the message names the longest.
    """
    sizes = {_argument(index): _bytes(text) for index, text in enumerate(argv)}
    sizes |= {
        _variable(name, inputs): _bytes(name) + 1 + _bytes(value) for name, value in env.items()
    }
    longest = sorted(sizes, key=lambda name: -sizes[name])[:_NAMED]
    if longest and sizes[longest[0]] > MAX_TEXT_BYTES:
        what, size = longest[0], sizes[longest[0]]
        limit = f"the most that a command can be given in one is {MAX_TEXT_BYTES:,}"
        raise InvalidRequest(f"Too long: {what} has {size:,} bytes, and {limit}. {_WAY_OUT}.")
    total = sum(size + 1 + _POINTER_BYTES for size in sizes.values())
    most = os.sysconf("SC_ARG_MAX") - _HEADROOM_BYTES
    if total > most:
        named = ", ".join(f"{name} ({sizes[name]:,})" for name in longest)
        raise InvalidRequest(
            f"Too long: arguments and environment have {total:,} bytes together, and the most that "
            f"a command can be given is {most:,}. The longest: {named}. {_WAY_OUT}."
        )


def _argument(index: int) -> str:
    return f"args[{index - 1}]" if index else "the program's name"


def _variable(name: str, inputs: Mapping[str, str]) -> str:
    source = f" (input '{inputs[name]}')" if name in inputs else ""
    return f"environment variable {name}{source}"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _is_long(value: JSON, before: str = "") -> bool:
    if isinstance(value, list | dict) or value is None:
        return False  # the shape of the document is reported elsewhere
    text = before + to_text(value)
    return OPENING not in text and _bytes(text) > MAX_TEXT_BYTES


def _fault() -> str:
    return f"must not be longer than {MAX_TEXT_BYTES:,} bytes, or no command can be given it"
