"""What the expressions of one iteration see: variables, and what became of its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.domain import JSON
from app.load.exchange import Answer
from app.load.faults import EXECUTION, StepFailed
from app.values import to_json, to_text

MAX_LENGTH: Final = 1024 * 1024
"""Characters that all variables of an iteration, or one text made of them, may have."""

MAX_PARTS: Final = 20
"""Most names, with dots between them, of one path."""

ENV: Final = "env."
"""What the names of variables of the scope ``env`` begin with."""

MISSING: Final = object()
"""What an unknown name stands for."""

_NOBODY: Final = Answer(0, 0)


class Result:
    """What became of a step.

    Attributes:
        status: ``success``, ``failed``, ``timeout`` or ``skipped``.
        microseconds: How long it took.
        error: Why it failed; else empty.
        answer: The last one of a step of type http.
    """

    __slots__ = ("answer", "error", "microseconds", "status")

    def __init__(
        self, status: str, microseconds: int, error: str = "", answer: Answer = _NOBODY
    ) -> None:
        self.status, self.microseconds, self.error = status, microseconds, error
        self.answer = answer


def headers_of(answer: Answer) -> dict[str, str]:
    """Return the header fields of an answer by their names in lower case.

    Those that stand several times are joined by commas.
    Source: https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in answer.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def body_of(answer: Answer) -> str:
    """Return the body of an answer as text."""
    return answer.body.decode("utf-8", "replace")


_FIELDS: Final[Mapping[str, Callable[[Result], JSON]]] = {
    "status": lambda result: result.status,
    "duration": lambda result: result.microseconds / 1000,
    "error": lambda result: result.error,
    "status_code": lambda result: result.answer.status,
    "body": lambda result: body_of(result.answer),
    "headers": lambda result: headers_of(result.answer),
}


class Reference:
    """A name in an expression, taken apart once.

    Attributes:
        name: As it is written.
        ways: Each way to read it as the name of something and a path into that, the longest name
            first; none of one of more than :data:`MAX_PARTS` parts.
    """

    __slots__ = ("name", "ways")

    def __init__(self, name: str) -> None:
        self.name = name
        parts = name.split(".")
        ends = range(len(parts) - 1, 0, -1) if len(parts) <= MAX_PARTS else ()
        self.ways = [(".".join(parts[:end]), tuple(parts[end:])) for end in ends]


class Scope:
    """The variables and results of one iteration.

    Args:
        variables: What it begins with, which becomes its own.
    """

    __slots__ = ("_lengths", "results", "values")

    def __init__(self, variables: dict[str, JSON]) -> None:
        self.values = variables
        self.results: dict[str, Result] = {}
        self._lengths: dict[str, int] = {}

    def set(self, name: str, value: JSON) -> None:
        """Give a variable a value.

        Raises:
            StepFailed: All variables together would be too long.
        """
        self._lengths[name] = len(name) + len(value if isinstance(value, str) else to_json(value))
        if sum(self._lengths.values()) > MAX_LENGTH:
            raise StepFailed(EXECUTION, f"the variables are longer than {MAX_LENGTH} characters")
        self.values[name] = value

    def remove(self, name: str) -> None:
        """Forget a variable, if there is one."""
        self.values.pop(name, None)
        self._lengths.pop(name, None)

    def find(self, reference: Reference) -> Any:
        """Return what a name stands for, :data:`MISSING` if nothing has it."""
        value = self.values.get(reference.name, MISSING)
        if value is not MISSING:
            return value
        for head, path in reference.ways:
            if head in self.values:
                value = _walk(self.values[head], path)
            elif head in self.results and path[0] in _FIELDS:
                value = _walk(_FIELDS[path[0]](self.results[head]), path[1:])
            if value is not MISSING:
                return value
        return MISSING


def _walk(value: JSON, path: tuple[str, ...]) -> Any:
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part, value.get(part.lower(), MISSING))
        elif isinstance(value, list) and part.isdecimal() and len(part) < 10:
            value = value[int(part)] if int(part) < len(value) else MISSING
        else:
            return MISSING
    return value


def text_of(value: JSON) -> str:
    """Write a value as text, as templates and conditions do."""
    return value if isinstance(value, str) else to_text(value)
