"""What the errors of the client library mean on the command line."""

from __future__ import annotations

from typing import Final

from slipway import errors
from slipway.cli.codes import ExitCode
from slipway.models import Status

_CODES: Final[tuple[tuple[type[errors.SlipwayError], ExitCode], ...]] = (
    (errors.NotSignedIn, ExitCode.REFUSED),
    (errors.NotAllowed, ExitCode.REFUSED),
    (errors.NotFound, ExitCode.REFUSED),
    (errors.Conflict, ExitCode.USAGE),
    (errors.InvalidInput, ExitCode.USAGE),
    (errors.NotSupported, ExitCode.USAGE),
    (errors.Misused, ExitCode.USAGE),
    (errors.StillRunning, ExitCode.FAILED),
    # RateLimited, ServerFault, Unreachable, NotOurs
    (errors.SlipwayError, ExitCode.UNREACHABLE),
)
"""The first that fits counts."""


def explained_refusal(exc: BaseException) -> tuple[ExitCode, list[str]] | None:
    """Return the exit code of an error of the library, and the lines that people read.

    None is returned for what is no such error.
    """
    if not isinstance(exc, errors.SlipwayError):
        return None
    lines = [f"slipway: {_line(str(exc))}", *_fields(exc)]
    lines += [f"  {note}" for note in getattr(exc, "__notes__", ())]
    return _code(exc), lines


def _code(exc: errors.SlipwayError) -> ExitCode:
    if isinstance(exc, errors.ExecutionFailed):
        cancelled = exc.execution.state == Status.CANCELLED
        return ExitCode.CANCELLED if cancelled else ExitCode.FAILED
    return next(code for kind, code in _CODES if isinstance(exc, kind))


def _fields(exc: errors.SlipwayError) -> list[str]:
    """Return a line for each fault that the service names, but not what its sentence holds."""
    faults = exc.fields if isinstance(exc, errors.Refused) else ()
    told = str(exc)
    return [
        f"  {_line(fault.path)}: {_line(fault.message)}"
        for fault in faults
        if fault.message not in told
    ]


def _line(text: str) -> str:
    """Return a text of a service as one line; it may hold whatever somebody wrote."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
