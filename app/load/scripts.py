"""JavaScript of one task: values in, values out, in a process of its own.

Scripts of one task run one after another, so what loops stops nobody but its own task; see
:mod:`app.load.script_host` for what bounds them. Under gevent a caller waits, others do not.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from app.domain import JSON
from app.isolation import bare_environment
from app.load.exchange import Answer
from app.load.faults import EXECUTION, StepFailed, StepTimedOut
from app.load.script_host import MAX_RESULT_BYTES, SCRIPT_SECONDS, receive, send
from app.load.variables import body_of, headers_of

log = structlog.get_logger(__name__)

MAX_GIVEN_LENGTH: Final = 2 * 1024 * 1024
"""Longest values of a script, as JSON, in characters."""

_SECONDS_TO_START: Final = 30.0
"""Longest wait for the process, whose start a busy machine delays."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a script has done with the variables."""

    set: Mapping[str, JSON]
    removed: tuple[str, ...]


class Scripts:
    """Runs the scripts of one task.

    Instances may be shared by the virtual users of a process.

    Args:
        seconds: Longest CPU time of one script.
    """

    def __init__(self, seconds: float = SCRIPT_SECONDS) -> None:
        self._seconds = seconds
        self._turn = threading.Lock()
        self._host: _Host | None = None

    def start(self) -> None:
        """Begin the process ahead of the first script, without waiting for it."""
        if self._host is None:
            self._host = _Host()

    def close(self) -> None:
        """End the process, whatever it does."""
        host, self._host = self._host, None
        if host is not None:
            host.end()

    def run(
        self, script: str, variables: Mapping[str, JSON], answer: Answer | None, seconds: float
    ) -> Changes:
        """Run a script.

        Args:
            script: JavaScript.
            variables: What it finds as ``vars`` and ``env``.
            answer: What it finds as ``response``.
            seconds: Longest time, the wait for its turn included.

        Raises:
            StepFailed: It threw, or took too much memory; a StepTimedOut where it took too long.
        """
        given = json.dumps({"variables": variables, "response": _response(answer)})
        if len(given) > MAX_GIVEN_LENGTH:
            raise StepFailed(EXECUTION, "the variables and the answer are too long for a script")
        deadline = time.monotonic() + seconds
        if not self._turn.acquire(timeout=max(seconds, 0)):
            raise StepTimedOut("the script did not get its turn in time")
        try:
            reply = self._exchange(
                {"script": script, "given": given, "seconds": min(seconds, self._seconds)}, deadline
            )
        finally:
            self._turn.release()
        return _changes(reply)

    def _exchange(self, request: JSON, deadline: float) -> dict[str, Any]:
        self.start()
        host = self._host
        assert host is not None  # noqa: S101  (just started, and this is the only turn)
        try:
            reply: dict[str, Any] = json.loads(host.call(json.dumps(request).encode(), deadline))
        except TimeoutError as exc:
            self.close()
            raise StepTimedOut("the script took too long") from exc
        except (OSError, EOFError, ValueError) as exc:
            self.close()  # the kernel has ended it
            raise StepTimedOut("the script took too much time or memory, and was ended") from exc
        except BaseException:  # interrupted: the reply would be taken for the next one's
            self.close()
            raise
        return reply


class _Host:
    """This end of the process."""

    def __init__(self) -> None:
        own, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "app.load.script_host"],
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                env=bare_environment(),
            )
        self._channel = own
        self._fresh = True

    def call(self, request: bytes, deadline: float) -> bytes:
        """Send a request and return its reply.

        Raises:
            TimeoutError: There was none in time.
            EOFError: The process has ended.
        """
        patience = _SECONDS_TO_START if self._fresh else 0.0
        self._channel.settimeout(max(deadline - time.monotonic(), 0.01) + patience)
        send(self._channel, request)
        reply = receive(self._channel, 2 * MAX_RESULT_BYTES)
        if not reply:
            raise EOFError
        self._fresh = False
        return reply

    def end(self) -> None:
        """End the process."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


def _response(answer: Answer | None) -> dict[str, JSON]:
    if answer is None:
        return {"code": 0, "headers": {}, "body": ""}
    return {"code": answer.status, "headers": headers_of(answer), "body": body_of(answer)}


def _changes(reply: Mapping[str, Any]) -> Changes:
    """Read what a script has done.

    Raises:
        StepFailed: It failed.
    """
    if "error" in reply:
        if reply["over"]:
            raise StepTimedOut(f"the script {reply['error']}")
        raise StepFailed(EXECUTION, f"the script failed: {_readable(reply['error'])}")
    try:
        result = json.loads(reply["result"], parse_constant=_refuse)
        changes = Changes(dict(result["set"]), tuple(result["removed"]))
    except (ValueError, TypeError, LookupError, RecursionError) as exc:
        raise StepFailed(EXECUTION, "the script has broken what it runs in") from exc
    for level, line in result["lines"]:
        log.debug("script said", level_of_line=level, line=line)
    return changes


def _readable(text: str) -> str:
    """Return what a script has thrown without what nothing can keep or show."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _refuse(constant: str) -> JSON:
    raise ValueError(constant)
