"""Speaking with the agent on a login node, over whatever carries bytes there and back.

The agent runs as the account of the jobs, whose commands can end it or put words into its mouth: so
all that comes is bounded, and is nothing but a claim of that account.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from app.domain import JSON
from app.engine.launchers.job_records import clean_text
from app.engine.launchers.messages import pack, unpack
from app.engine.launchers.slurm.faults import fault_of
from app.engine.launchers.slurm.package import program
from app.errors import InvalidRequest, UpstreamTimeout, UpstreamUnreachable

MAX_ANSWER_BYTES = 32 * 1024 * 1024
_MAX_REQUEST_BYTES = 64 * 1024 * 1024
_MAX_RUBBISH_BYTES = 256 * 1024
"""What a login may print before the agent has begun."""
_SHOWN_RUBBISH = 500
_READ_BYTES = 256 * 1024
_READ_SECONDS = 5.0
"""How often it is looked whether the session was closed."""
_LEAVE_SECONDS = 5.0
"""How long a session that is closed waits for its reader."""


class Channel(Protocol):
    """The standard input and output of a command that runs elsewhere.

    One thread reads while another writes; :meth:`close` may come from a third one.
    """

    def write(self, data: bytes) -> None:
        """Send all of it; raises OSError where some of it was surely not sent."""

    def read(self, most: int, timeout: float) -> bytes:
        """Wait for bytes; none at the end. Raises TimeoutError, or another OSError at a fault."""

    def close(self) -> None:
        """End it; idempotent. Who reads comes back at once, with nothing or an OSError."""

    @property
    def errors(self) -> bytes:
        """The last of what the command wrote to its standard error, as far as is known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent says.

    Attributes:
        result: As the verb has it; see :mod:`app.engine.launchers.slurm.agent`.
        data: Bytes that came with it.
    """

    result: JSON
    data: bytes = b""


@dataclass(slots=True)
class _Question:
    answered: threading.Event = field(default_factory=threading.Event)
    head: JSON = None
    data: bytes = b""


class AgentSession:
    """An agent that was begun by :func:`app.engine.launchers.slurm.package.command`.

    Threads may share it, and their calls are served at the same time.

    Args:
        channel: Of the command; closed with the session, and if it does not begin.
        start_seconds: For the login and the agent's start.

    Raises:
        UpstreamUnreachable: The agent did not begin; the message shows what came instead.
    """

    def __init__(self, channel: Channel, *, start_seconds: float = 30.0) -> None:
        self._channel = channel
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._questions: dict[int, _Question] = {}
        self._last_id = 0
        self._ended = ""
        self._rest = bytearray()
        try:
            self._begin(time.monotonic() + start_seconds)
        except BaseException:
            channel.close()
            raise
        self._reader = threading.Thread(target=self._listen, name="slurm agent", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether it can be asked for something, as far as is known."""
        return not self._ended

    def call(
        self, verb: str, arguments: Mapping[str, JSON], data: bytes = b"", *, timeout: float
    ) -> Answer:
        """Have the agent do something.

        Args:
            verb: See :mod:`app.engine.launchers.slurm.agent`.
            arguments: Those of the verb.
            data: Bytes that go with them.
            timeout: Seconds for the answer; programs that it runs have their own within.

        Raises:
            InvalidRequest, UpstreamRefused: As the agent says.
            UpstreamUnreachable: The same, or it was surely not asked.
            UpstreamTimeout: It was asked, and no answer came: it may have done it.
            UpstreamGarbled: It has a fault of its own.
        """
        until = time.monotonic() + timeout
        number, question = self._ask()
        try:
            request = pack({"id": number, "verb": verb, "arguments": dict(arguments)}, data)
            if len(request) > _MAX_REQUEST_BYTES:
                raise InvalidRequest("What is sent to the cluster at once is too large.")
            self._send(request, timeout)
            if not question.answered.wait(max(0.0, until - time.monotonic())):
                raise UpstreamTimeout(
                    "The login node of the cluster did not answer in time.", detail=verb
                )
        finally:
            with self._lock:
                self._questions.pop(number, None)
        if question.head is None:
            raise UpstreamTimeout(
                "The connection to the login node of the cluster was lost.",
                detail=f"{verb}: {self._ended}",
            )
        return _answer(verb, question)

    def close(self) -> None:
        """End it, and the agent; what waits for an answer gets none."""
        self._end("it was closed")
        self._channel.close()
        if self._reader is not threading.current_thread():
            self._reader.join(_LEAVE_SECONDS)

    def _ask(self) -> tuple[int, _Question]:
        question = _Question()
        with self._lock:
            if self._ended:
                raise UpstreamUnreachable(
                    "The connection to the login node of the cluster was lost.", detail=self._ended
                )
            self._last_id += 1
            self._questions[self._last_id] = question
            return self._last_id, question

    def _send(self, request: bytes, seconds: float) -> None:
        """Send a request. The agent does nothing about one of which it did not get all."""
        if not self._writing.acquire(timeout=seconds):
            raise UpstreamUnreachable("The login node of the cluster takes nothing now.")
        try:
            self._channel.write(request)
        except OSError as exc:
            self._end(repr(exc))
            self._channel.close()
            raise UpstreamUnreachable(
                "The connection to the login node of the cluster was lost.", detail=repr(exc)
            ) from exc
        finally:
            self._writing.release()

    def _begin(self, until: float) -> None:
        nonce = secrets.token_hex(16)
        try:
            self._write_or_hear_why_not(program(nonce), until)
            self._skip_rubbish(f"\n{nonce}\n".encode(), until)
        except (OSError, EOFError, ValueError) as exc:
            raise _not_begun(bytes(self._rest) + b"\n" + self._channel.errors, exc) from exc

    def _write_or_hear_why_not(self, data: bytes, until: float) -> None:
        try:
            self._channel.write(data)
        except OSError:
            with suppress(OSError, EOFError):  # a login that has ended may have said why
                while len(self._rest) <= _MAX_RUBBISH_BYTES:
                    self._more(max(0.0, min(until - time.monotonic(), _READ_SECONDS)))
            raise

    def _skip_rubbish(self, sign: bytes, until: float) -> None:
        """Read up to the line by which the agent says that it has begun."""
        while (place := self._rest.find(sign)) < 0:
            if len(self._rest) > _MAX_RUBBISH_BYTES:
                raise ValueError("the login prints without end")
            self._more(max(0.0, until - time.monotonic()))
        del self._rest[: place + len(sign)]

    def _more(self, seconds: float) -> None:
        chunk = self._channel.read(_READ_BYTES, seconds)
        if not chunk:
            raise EOFError("it has ended")
        self._rest += chunk

    def _listen(self) -> None:
        """Give answers to those who wait for them, until nothing comes any more."""
        try:
            while True:
                head, data = unpack(self._exactly, MAX_ANSWER_BYTES)
                number = head.get("id") if isinstance(head, dict) else None
                if type(number) is not int:
                    raise ValueError("it sent what is no answer")
                with self._lock:
                    question = self._questions.pop(number, None)
                if question is not None:
                    question.head, question.data = head, data
                    question.answered.set()
        except (OSError, EOFError, ValueError) as exc:
            self._end(repr(exc))
        finally:
            self._end("it sent what is no answer")
            self._channel.close()

    def _exactly(self, count: int) -> bytes:
        while len(self._rest) < count:
            with suppress(TimeoutError):
                self._more(_READ_SECONDS)
            if self._ended:
                raise EOFError(self._ended)
        data = bytes(self._rest[:count])
        del self._rest[:count]
        return data

    def _end(self, why: str) -> None:
        with self._lock:
            self._ended = self._ended or why
            waiting = list(self._questions.values())
            self._questions.clear()
        for question in waiting:
            question.answered.set()


def _answer(verb: str, question: _Question) -> Answer:
    error = question.head.get("error")
    if error is not None:
        raise fault_of(error, verb)
    return Answer(question.head.get("result"), question.data)


def _not_begun(rubbish: bytes, exc: Exception) -> UpstreamUnreachable:
    shown = clean_text(rubbish.decode("utf-8", "replace").strip()[-_SHOWN_RUBBISH:])
    why = str(exc) or repr(exc)
    if isinstance(exc, TimeoutError):
        why = "it did not begin in time"
    elif isinstance(exc, EOFError):
        why = "the login was over before"
    said = f"; the login said: {shown.rstrip('.')}" if shown else ""
    return UpstreamUnreachable(
        f"The program for jobs could not be begun on the login node: {why}{said}.",
        detail=repr(exc),
    )
