"""The words of the service: enums that take words which they do not know yet.

A newer service may have another word. It becomes a member of its own, equal to its text, so that an
old client goes on; two of them are equal, but not identical.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Self

from slipway.errors import Misused


class Word(StrEnum):
    """A word in upper case; it is found by itself in either case.

    Raises:
        Misused: It is none.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self:
        if not (isinstance(value, str) and value.isprintable()):  # no word of a service steers
            raise Misused(f"{value!r} is not a valid {cls.__name__.lower()}.")
        text = value.upper()
        known: Any = cls._value2member_map_.get(text)
        return known if known is not None else cls._unknown(text)

    @classmethod
    def _unknown(cls, text: str) -> Self:
        word = str.__new__(cls, text)
        word._name_, word._value_ = text, text
        return word

    @property
    def is_known(self) -> bool:
        """Whether this client knows the word."""
        return self._value_ in type(self)._value2member_map_


class Status(Word):
    """How an execution is.

    ``Execution.state`` is the exact word. ``Execution.status`` is one of RUNNING, CANCELLING,
    SUCCESS, FAILED, CANCELLED: one that is PENDING, PAUSED or UNKNOWN counts as RUNNING there.
    """

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    UNKNOWN = "UNKNOWN"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether it never changes again; a word that is not known is not final."""
        return self in _FINAL

    @property
    def told(self) -> Status:
        """Which of the five words of ``Execution.status`` it counts as."""
        return Status.RUNNING if self in _COUNT_AS_RUNNING else self


class TaskStatus(Word):
    """How a task is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether the task has ended; a word that is not known is not final."""
        return self in _FINAL_OF_TASKS


class Level(Word):
    """How much a log entry matters; levels are in order: ``Level.INFO < Level.WARN``."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"

    @classmethod
    def _missing_(cls, value: object) -> Self:
        if isinstance(value, str) and value.upper() == "WARNING":
            return cls("WARN")
        return super()._missing_(value)

    @property
    def bit(self) -> int:
        """What it is in ``levels`` of the API: 1, 2, 4 or 8; 0 where it is not known."""
        return _BITS.get(self._value_, 0)

    @property
    def and_above(self) -> int:
        """The bits of this level and of all that matter more."""
        return sum(bit for bit in _BITS.values() if bit >= self.bit)

    def __lt__(self, other: str) -> bool:
        return self.bit < Level(other).bit

    def __le__(self, other: str) -> bool:
        return self.bit <= Level(other).bit

    def __gt__(self, other: str) -> bool:
        return self.bit > Level(other).bit

    def __ge__(self, other: str) -> bool:
        return self.bit >= Level(other).bit


_FINAL: Final = frozenset({Status.SUCCESS, Status.FAILED, Status.CANCELLED})
_COUNT_AS_RUNNING: Final = frozenset({Status.PENDING, Status.PAUSED, Status.UNKNOWN})
_FINAL_OF_TASKS: Final = frozenset(
    {TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.CANCELLED}
)
_BITS: Final = {"DEBUG": 1, "INFO": 2, "WARN": 4, "ERROR": 8}
