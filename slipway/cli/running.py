"""Runs a command, and says in one place how it ends: the exit code, and what people read."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import IO, Any, Final

import click

from slipway.cli import group
from slipway.cli.codes import ExitCode, Failure

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a file says that takes no more."""
_NOT_WRITTEN = "The output cannot be written"
_Kinds = type[BaseException] | tuple[type[BaseException], ...]


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: Those of the command line, without the name of the program.

    Returns:
        What the process ends with, one of :class:`slipway.cli.codes.ExitCode`.
    """
    _prepare_streams()
    debug = "--debug" in arguments
    try:
        code = _invoked(arguments)
    except SystemExit as exc:  # commands of the service end so
        code = _code_of(exc)
    except BaseException as exc:  # noqa: BLE001  (whatever it is, people read what it means)
        code = _told(exc, debug=debug)
    return _flushed(code)


def _prepare_streams() -> None:
    """Let no character stop a command, and none of the streams be missing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the process was started with it closed
            # It is for good, and help does without pathlib, which takes long to import.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _invoked(arguments: Sequence[str]) -> int:
    """Run a command, and return what it ends with.

    It is done without click's own handling of errors, for which Ctrl-C and the end of the input
    are the same, and a closed pipe is a failure.
    """
    command = group.root()
    try:
        with command.make_context("slipway", list(arguments)) as ctx:
            code = command.invoke(ctx)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    return code if isinstance(code, int) else ExitCode.SUCCESS


def _code_of(exc: SystemExit) -> int:
    if exc.code is None or isinstance(exc.code, int):
        return exc.code or ExitCode.SUCCESS
    sys.stderr.write(f"{exc.code}\n")
    return ExitCode.FAILED


def _told(exc: BaseException, *, debug: bool) -> int:
    """Return what the process ends with, once people were told what went wrong."""
    from slipway.cli.output import harmless  # noqa: PLC0415  (most commands end well)

    code, lines = explained(exc)
    with suppress(OSError):
        if debug and not isinstance(exc, KeyboardInterrupt):
            import traceback  # noqa: PLC0415  (few ask for it)

            sys.stderr.write(harmless("".join(traceback.format_exception(exc))))
        for line in lines:
            sys.stderr.write(f"{harmless(line)}\n")
    return code


def explained(exc: BaseException) -> tuple[ExitCode, list[str]]:
    """Return what an exception ends a command with, and the lines that people read."""
    for kinds, explain in _EXPLAINED:
        if isinstance(exc, kinds):
            return explain(exc)
    if "slipway.errors" in sys.modules:  # otherwise nothing can have raised one of them
        from slipway.cli.refusals import explained_refusal  # noqa: PLC0415

        told = explained_refusal(exc)
        if told is not None:
            return told
    if isinstance(exc, OSError):
        return ExitCode.FAILED, [f"slipway: {_of_system(exc)}"]
    fault = f"{type(exc).__name__}: {exc}".partition("\n")[0]
    return ExitCode.FAILED, _lines(f"This is a fault of slipway: {fault}", "--debug shows where.")


def _lines(message: str, hint: str) -> list[str]:
    return [f"slipway: {message}", *([f"  {hint}"] if hint else [])]


def _of_system(exc: OSError) -> str:
    reason = exc.strerror or str(exc)
    if exc.filename:
        return f"{exc.filename}: {reason}."
    return f"{_NOT_WRITTEN}: {reason}." if exc.errno in _FULL else f"{reason}."


def _of_click(exc: click.ClickException) -> tuple[ExitCode, list[str]]:
    message = " ".join(exc.format_message().split())
    if not isinstance(exc, click.UsageError) or exc.ctx is None:
        return ExitCode.USAGE, [f"slipway: {message}"]
    if getattr(exc, "option_name", "") in ("-t", "--token"):
        return ExitCode.USAGE, _lines(
            message, "A token stands before the command: slipway -t TOKEN"
        )
    return ExitCode.USAGE, _lines(message, f"See: {' '.join(exc.ctx.command_path.split())} --help")


_EXPLAINED: Final[Sequence[tuple[_Kinds, Callable[[Any], tuple[ExitCode, list[str]]]]]] = (
    (KeyboardInterrupt, lambda _: (ExitCode.INTERRUPTED, [])),
    # Whoever read has enough, such as head(1).
    (BrokenPipeError, lambda _: (ExitCode.SUCCESS, [])),
    (Failure, lambda exc: (exc.code, _lines(exc.message, exc.hint))),
    (click.ClickException, _of_click),
    (
        (click.Abort, EOFError),
        lambda _: (ExitCode.USAGE, ["slipway: The input has ended before all was answered."]),
    ),
)
"""What most exceptions mean, the first that fits."""


def _flushed(code: int) -> int:
    """Write out what is still to be written; a disk that is full is told, a closed pipe is not."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            _drop(stream)
        except OSError as exc:
            _drop(stream)
            if code == ExitCode.SUCCESS:  # otherwise something was told already
                code = ExitCode.FAILED
                with suppress(OSError):
                    sys.stderr.write(f"slipway: {_NOT_WRITTEN}: {exc.strerror}.\n")
    return code


def _drop(stream: IO[str]) -> None:
    """Let what a stream still holds go nowhere: Python writes it out when it ends."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
