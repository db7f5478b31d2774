"""What runs iterations, and what it runs them with: the client, and who counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from app.load.definition import Pairs, Timeouts, Tls

Outcome = Literal["success", "failure", "timeout"]


@dataclass(slots=True)
class Request:
    """One request, ready to be sent. Redirects are no matter of the client.

    Attributes:
        url: Absolute, ``http`` or ``https``, of ASCII characters, without a fragment.
        headers: All that the definition says, in ASCII or Latin-1, without line breaks. What is
            about the message (``Content-Length``, ``Connection``) is the client's; ``Host`` is too,
            unless it stands here.
        timeouts: Never longer than what is left of the step.
        wants_body, wants_headers: Whether somebody looks at these of the answer; what nobody wants
            need not be kept.
    """

    method: str
    url: str
    headers: Pairs = ()
    body: bytes = b""
    timeouts: Timeouts = field(default_factory=Timeouts)
    tls: Tls = field(default_factory=Tls)
    wants_body: bool = False
    wants_headers: bool = False


@dataclass(slots=True)
class Answer:
    """What came back.

    Attributes:
        headers: Names and values as they came, where they were wanted.
        body: Without transfer and content encodings, where it was wanted; a long one may be cut.
        microseconds: From the first byte sent, or the beginning of the connection, to the last one
            received.
    """

    status: int
    microseconds: int
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""


class TransportFailed(Exception):
    """No answer came.

    Attributes:
        kind: Code of the error in a report, such as ``CONNECTION_ERROR``.
        message: What went wrong, without anything that differs from request to request: errors of
            one kind are counted together.
        microseconds: How long it took.
    """

    def __init__(self, kind: str, message: str, microseconds: int) -> None:
        super().__init__(message)
        self.kind, self.message, self.microseconds = kind, message, microseconds


class TimedOut(TransportFailed):
    """No answer came in the time that one may take."""


class Cut(BaseException):
    """The end of the execution interrupts what is under way, which counts neither way.

    It is thrown into whoever runs an iteration, so nothing may catch it on its way.
    """


class Http(Protocol):
    """The client of one virtual user."""

    def send(self, request: Request) -> Answer:
        """Send a request and return its answer, whatever the status.

        Raises:
            TransportFailed: There is none; a :class:`TimedOut` where it took too long.
            Cut: It was interrupted.
        """


class Recorder(Protocol):
    """Counts for one task; called for every step, so it is to be fast."""

    def step(self, step_id: str, outcome: Outcome, microseconds: int) -> None:
        """Count a run of a step; one that failed or timed out has no success."""

    def request(self, step_id: str, microseconds: int, failed: bool) -> None:
        """Count an http request of a step, each redirect and each try being one."""

    def error(self, code: str, message: str, step_id: str) -> None:
        """Count an error, of which there are few kinds."""
