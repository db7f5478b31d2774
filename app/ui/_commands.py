"""What launches the same from a shell: a line for ``slipway``, and one for ``curl``.

Every word is quoted for a POSIX shell. Text that a terminal would act on when it is pasted stands
as escapes of JSON; what is secret stands as a variable of the shell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote
from typing import Final
from urllib.parse import quote as quote_url
from urllib.parse import urlencode

from app.domain import JSON

_NEXT: Final = " \\\n  "
_NO_WORD: Final = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class Call:
    """What is launched.

    Attributes:
        url: Address of the service.
        workflow: Id or name of the workflow.
        orchestrator: Where it is looked for only.
        user: As whom ``curl`` signs in; empty for a token, None where nobody has to.
        secrets: Names of inputs whose values must not be shown.
        hidden: Something within the values is not shown.
    """

    url: str
    workflow: str
    orchestrator: str | None = None
    user: str | None = None
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Commands:
    """Two commands that do the same.

    Attributes:
        variables: Those that must hold what is secret.
        hidden: See :class:`Call`.
    """

    slipway: str
    curl: str
    variables: tuple[str, ...] = ()
    hidden: bool = False


def commands(call: Call) -> Commands:
    """Write the commands."""
    variables = tuple(variable(name) for name in call.secrets)
    return Commands(_slipway(call), _curl(call), variables, call.hidden)


def variable(name: str) -> str:
    """Return the variable of a shell that holds a secret input."""
    text = _NO_WORD.sub("_", name).upper()
    return text if text[:1].isalpha() else f"SECRET_{text}"


def _slipway(call: Call) -> str:
    typed = {name: value for name, value in call.inputs.items() if _is_typed(name, value)}
    piped = {name: value for name, value in call.inputs.items() if name not in typed}
    words = ["slipway run"]
    begin = f"{_printed(piped)} |{_NEXT}" if piped else ""
    words += [f"-i {quote(f'{name}={_plain(value)}')}" for name, value in typed.items()]
    words += [f'-i {quote(f"{name}=")}"${variable(name)}"' for name in call.secrets]
    if piped:
        words.append("--inputs -")
    if call.name is not None:
        words.append(quote(f"--name={call.name}"))
    words += [f"--label {quote(f'{key}={value}')}" for key, value in call.labels.items()]
    last = quote(call.workflow)
    if call.workflow.startswith("-"):
        return begin + _NEXT.join([*words, f"-- {last}"])
    return begin + _NEXT.join([f"{words[0]} {last}", *words[1:]])


def _printed(piped: Mapping[str, JSON]) -> str:
    return f"printf %s {quote(_json(piped))}"


def _is_typed(name: str, value: JSON) -> bool:
    """Return whether ``-i`` takes an input as it is: ``@`` would name a file."""
    if "=" in name or name != name.strip() or not name.isprintable():
        return False
    text = _plain(value)
    return text.isprintable() and not text.startswith("@")


def _plain(value: JSON) -> str:
    return value if isinstance(value, str) else _json(value)


def _curl(call: Call) -> str:
    query = f"?{urlencode({'orchestrator': call.orchestrator})}" if call.orchestrator else ""
    address = f"{call.url}/workflows/{quote_url(call.workflow, safe='')}{query}"
    marks = {name: f"secret {number}" for number, name in enumerate(call.secrets)}
    body: dict[str, JSON] = {"inputs": {**marks, **call.inputs}}  # they come first, and are found
    if call.name is not None:
        body["name"] = call.name
    if call.labels:
        body["labels"] = dict(call.labels)
    text = quote(_json(body))
    for name, mark in marks.items():
        text = text.replace(f': "{mark}"', f': "\'"${variable(name)}"\'"', 1)
    words = [f"curl -i -X POST {quote(address)}", *_login(call.user)]
    return _NEXT.join([*words, "-H 'Content-Type: application/json'", f"-d {text}"])


def _login(user: str | None) -> list[str]:
    if user is None:
        return []
    return [f"-u {quote(user)}"] if user else ['-H "Authorization: Bearer $SLIPWAY_TOKEN"']


def _json(value: JSON) -> str:
    """Write JSON on one line, without anything that a terminal acts on."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
