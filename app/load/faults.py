"""Why a step fails."""

from __future__ import annotations

from typing import Final

EXECUTION: Final = "EXECUTION_ERROR"
PARSING: Final = "PARSING_ERROR"
VALIDATION: Final = "VALIDATION_ERROR"
TIMEOUT: Final = "TIMEOUT_ERROR"
CONNECTION: Final = "CONNECTION_ERROR"


class StepFailed(Exception):
    """A step did not do what it should.

    Attributes:
        code: Kind of the error in a report.
        message: What went wrong. It tells nothing that differs from one iteration to the next, for
            errors are counted by their text.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class StepTimedOut(StepFailed):
    """A step took longer than it may."""

    def __init__(self, message: str) -> None:
        super().__init__(TIMEOUT, message)
