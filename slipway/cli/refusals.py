"""What the errors of the client library mean on the command line."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from slipway.cli.codes import ExitCode


def explained_refusal(exc: BaseException) -> tuple[ExitCode, list[str]] | None:
    """Return the exit code of an error of the library, and the lines that people read.

    None is returned for what is no such error.
    """
    errors: Any = import_module("slipway.errors")
    if not isinstance(exc, errors.SlipwayError):
        return None
    if isinstance(exc, errors.ExecutionFailed):
        cancelled = str(exc.execution.status) == "CANCELLED"
        return (ExitCode.CANCELLED if cancelled else ExitCode.FAILED), [f"slipway: {exc}"]
    return _code(errors, exc), [f"slipway: {exc}", *_fields(exc)]


def _code(errors: Any, exc: BaseException) -> ExitCode:
    if isinstance(exc, (errors.NotSignedIn, errors.NotAllowed, errors.NotFound)):
        return ExitCode.REFUSED
    if isinstance(exc, (errors.Conflict, errors.InvalidInput, errors.NotSupported, errors.Misused)):
        return ExitCode.USAGE
    if isinstance(exc, errors.StillRunning):
        return ExitCode.FAILED
    return ExitCode.UNREACHABLE


def _fields(exc: Any) -> list[str]:
    """Return a line for each fault that the service names."""
    return [f"  {fault.path}: {fault.message}" for fault in getattr(exc, "fields", ())]
