"""A service of one's own, for as long as one command takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from slipway.cli import service
from slipway.cli.codes import ExitCode, Failure

_MODULE: Final = "app.cli.throwaway"
_END_SECONDS: Final = 90.0
"""For the service to stop and to leave nothing behind; it takes a second, mostly."""


class Embedded(NamedTuple):
    """Where the service is, and the API key for it."""

    url: str
    key: str


@contextmanager
def throwaway() -> Iterator[Embedded]:
    """Run a service until the context ends, or this process does.

    Raises:
        Failure: The service is not installed, or does not start.
    """
    service.require()
    process = subprocess.Popen(  # noqa: S603  (made of constants)
        # In a session of its own: Ctrl-C, and the end of the terminal, are for this process.
        [sys.executable, "-P", "-m", _MODULE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None  # noqa: S101  (both were asked for)
    assert process.stdout is not None  # noqa: S101
    try:
        yield _told(process.stdout.readline())
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        # It ends, too, if nobody waits for it.
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(_END_SECONDS)
        process.stdout.close()


def _told(line: bytes) -> Embedded:
    """Return what the first line of :mod:`app.cli.throwaway` tells."""
    try:
        told = json.loads(line)
    except ValueError:  # it has ended before it could say a whole one
        told = {}
    if "url" in told:
        return Embedded(told["url"], told["key"])
    why = told.get("fault", "").strip()
    raise Failure("The service did not start.", hint=why, code=ExitCode.UNREACHABLE)
