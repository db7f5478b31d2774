"""From what a user sends, YAML or an object, to a definition: one schema for both."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from typing import Final

from app import documents
from app.documents import Fault, Path, to_field_error
from app.domain import JSON
from app.errors import MAX_FIELDS, FieldError, InvalidDefinition
from app.isolation import Isolated, OverBudget
from app.load import building, checks, definition, schema
from app.load.definition import Definition
from app.values import not_json

MAX_BYTES: Final = 1024 * 1024
"""Longest definition."""

SECONDS: Final = 20.0
"""Longest time that checking a definition may take."""

_PROCESSES: Final = 2
_INLINE_BYTES: Final = 1024


def parse(source: str | bytes | Mapping[str, JSON]) -> Definition:
    """Read a definition, here and now; what users send is for a :class:`Parser`.

    Args:
        source: YAML or JSON as text, or an object.

    Raises:
        InvalidDefinition: With all of its faults, each with its path and, for text, its line.
    """
    lines: Mapping[Path, int] = {}
    if isinstance(source, str | bytes):
        try:
            document = documents.read(source, schema.keeps_text)
        except documents.Unreadable as exc:
            raise _error([exc.fault]) from exc
        content, faults = document.content, document.faults
        faults += _faults(content)
        lines = documents.lines(source) if faults else {}
    else:
        content, faults = source, _faults(source)
    if faults:
        raise _error(to_field_error(fault, lines) for fault in dict.fromkeys(faults))
    return building.build(content)


def _faults(content: JSON) -> list[Fault]:
    if not isinstance(content, Mapping):
        return [Fault((), "must be an object")]
    faults = list(not_json(content))
    if not faults:
        faults = [*schema.violations(content), *checks.violations(content)]
    return faults


def _error(faults: Iterable[FieldError]) -> InvalidDefinition:
    found = list(faults)
    count = "one fault" if len(found) == 1 else f"{len(found)} faults"
    more = max(0, len(found) - MAX_FIELDS)
    return InvalidDefinition(
        f"The workflow definition has {count}.", fields=found[:MAX_FIELDS], more=more
    )


class Parser:
    """Reads definitions in processes of its own, where they can neither delay nor exhaust others.

    Instances may be shared by threads and by greenlets.
    """

    def __init__(self) -> None:
        self._isolated = Isolated(_PROCESSES, seconds=SECONDS)

    def parse(self, source: str | Mapping[str, JSON], owner: str) -> Definition:
        """Read a definition.

        Args:
            source: YAML or JSON as text, or an object.
            owner: Who sends it; turns go round by owner.

        Raises:
            InvalidDefinition: With all of its faults.
            LimitExceeded: Too many definitions of this owner wait to be read.
        """
        try:
            content = pickle.dumps(source)
        except RecursionError:
            raise _error([FieldError("", documents.TOO_DEEP)]) from None
        if len(content) > MAX_BYTES:
            raise _error([FieldError("", f"must have at most {MAX_BYTES // 1024} KiB")])
        if len(content) <= _INLINE_BYTES:  # takes less than handing it over
            return parse(source)
        try:
            outcome = json.loads(self._isolated.run(owner, f"{__name__}:{work.__name__}", content))
        except OverBudget as exc:
            message = f"takes more than {SECONDS:g} seconds to check; make it smaller"
            raise _error([FieldError("", message)]) from exc
        if "faults" in outcome:
            fields = [FieldError(*fault) for fault in outcome["faults"]]
            raise InvalidDefinition(outcome["message"], fields=fields)
        return definition.of_json(outcome)


def work(content: bytes) -> bytes:
    """Read a definition: what worker processes do.

    Args:
        content: The source, pickled.

    Returns:
        The definition, or its faults, as JSON.
    """
    try:
        read = definition.to_json(parse(pickle.loads(content)))  # noqa: S301  (pickled here)
    except InvalidDefinition as exc:
        faults = [(field.path, field.message) for field in exc.fields]
        read = {"message": exc.message, "faults": faults}
    return json.dumps(read).encode()
