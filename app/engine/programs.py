"""Commands that were written with their arguments in one text, as a shell would take them."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from app.domain import JSON
from app.engine.model import StepType
from app.errors import FieldError

_MAX_QUOTED: Final = 100


class SpacedCommand(NamedTuple):
    """A command with blanks in it.

    Attributes:
        path: Where it stands in the definition.
        ours: Its first word is a file of the definition.
    """

    path: str
    command: str
    ours: bool


def spaced_commands(document: Mapping[str, JSON]) -> Iterator[SpacedCommand]:
    """Return the commands of a valid definition that have blanks in them."""
    files = document.get("files", {})
    for index, step in enumerate(document["steps"]):
        if step["type"] != StepType.COMMAND:
            continue
        command: str = step["config"]["command"]
        words = command.split()
        if command == words[0] or str(PurePosixPath(command)) in files:
            continue
        # A step that has another PATH finds other programs than this process.
        if "PATH" not in step.get("env", {}):
            ours = str(PurePosixPath(words[0])) in files
            yield SpacedCommand(f"steps[{index}].config.command", command, ours)


def faults(commands: Iterable[SpacedCommand], path: str | None) -> list[FieldError]:
    """Find the commands that are no programs, but begin with one.

    Args:
        commands: Commands with blanks in them.
        path: Where programs are looked for, as in ``$PATH``; None for where this process does.
    """
    return [
        FieldError(each.path, _told(each.command))
        for each in commands
        if not shutil.which(each.command, path=path)
        and (each.ours or shutil.which(each.command.split()[0], path=path))
    ]


def _told(command: str) -> str:
    program, *words = _words(command)
    shown = command[:_MAX_QUOTED] + ("..." if len(command) > _MAX_QUOTED else "")
    args = ", ".join(f"'{word}'" for word in words)
    args = args[:_MAX_QUOTED] + ("..." if len(args) > _MAX_QUOTED else "")
    return (
        f"names a program, and there is none called '{shown}'; write command: {program} with "
        f"args: [{args}], or a step of type script for what a shell is to read"
    )


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote is not closed
        return command.split()
