"""Exit codes of the command line, as its manual documents them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command ends with."""

    SUCCESS = 0
    FAILED = 1
    """The execution failed; or what was compared differs, what was checked has faults."""
    USAGE = 2
    """Wrong options, words or values."""
    CANCELLED = 3
    """The execution was cancelled."""
    REFUSED = 4
    """It is not found, or not allowed."""
    UNREACHABLE = 5
    """The service cannot be reached, or what answers is not one."""
    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of SIGINT, as shells count."""


MEANINGS = {
    ExitCode.SUCCESS: "success",
    ExitCode.FAILED: "the execution failed; something differs, or has faults",
    ExitCode.USAGE: "wrong usage: an option, a word or a value",
    ExitCode.CANCELLED: "the execution was cancelled",
    ExitCode.REFUSED: "not found, or not allowed",
    ExitCode.UNREACHABLE: "the service cannot be reached, or is none",
    ExitCode.INTERRUPTED: "interrupted; the execution goes on",
}
"""Each in a few words, for help and manuals."""


class Failure(Exception):
    """A command cannot do what it was asked for.

    Attributes:
        message: One sentence on what is wrong.
        hint: The next step to take, as a sentence or a command to type; empty where there is none.
        code: What the process ends with.
    """

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
