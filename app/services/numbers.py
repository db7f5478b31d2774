"""Numbers of a request that would become others when they are read."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from app.documents import Fault, Path, read_number, to_field_error
from app.domain import JSON
from app.errors import MAX_FIELDS, InvalidRequest
from app.isolation import Isolated, OverBudget

_INLINE_BYTES: Final = 16 * 1024
_SUSPICIOUS: Final = re.compile(rb"[0-9][0-9.]{15}|[0-9][eE][+-]?[0-9]{2}")
"""What a number that 64 bits cannot hold has in it, as some others have too."""


class NumberChecker:
    """Names the numbers of JSON that are none of 64 bits; fast parsers take the nearest instead.

    Args:
        isolated: Where large texts are looked through.
    """

    def __init__(self, isolated: Isolated) -> None:
        self._isolated = isolated

    def check(self, text: bytes, owner: str) -> None:
        """Make sure that a text holds only numbers that can be kept as they are.

        Args:
            text: JSON.
            owner: Who sent it.

        Raises:
            InvalidRequest: Naming those that cannot.
            LimitExceeded: Too many requests of this caller wait to be checked.
        """
        if not _SUSPICIOUS.search(text):
            return
        if len(text) <= _INLINE_BYTES:
            faults, more = find_faults(text)
        else:
            try:
                reply = self._isolated.run(owner, f"{__name__}:find_pickled", text)
            except OverBudget:
                raise InvalidRequest("There are too many numbers to look at.") from None
            faults, more = pickle.loads(reply)  # noqa: S301  (from a process of ours)
        if faults:
            message = "There are numbers that cannot be kept as they are."
            raise InvalidRequest(message, fields=map(to_field_error, faults), more=more)


def find_pickled(text: bytes) -> bytes:
    """Look through a text in a worker process; see :func:`find_faults`."""
    return pickle.dumps(find_faults(text))


def find_faults(text: bytes) -> tuple[list[Fault], int]:
    """Find numbers that cannot be kept as they are.

    Returns:
        The first ones, and the number of the others.
    """
    wrong = 0

    def read(number: str) -> JSON | ValueError:
        nonlocal wrong
        try:
            return read_number(number)
        except ValueError as exc:
            wrong += 1
            return exc

    value = json.loads(text, parse_int=read, parse_float=read)
    faults = list(islice(_faults_within(value, ()), MAX_FIELDS)) if wrong else []
    return faults, wrong - len(faults)


def _faults_within(value: JSON | ValueError, path: Path) -> Iterator[Fault]:
    if isinstance(value, ValueError):
        yield Fault(path, str(value))
    elif isinstance(value, list | dict):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _faults_within(item, (*path, key))
