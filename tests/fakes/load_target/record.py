"""What is told to the target, and what it tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Literal
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True)
class LogNormal:
    """Delays that are distributed log-normally, as those of real services are.

    Attributes:
        median: In seconds.
        sigma: Of the logarithm; 0.5 puts the 95th percentile at 2.3 medians.
    """

    median: float = 0.02
    sigma: float = 0.5


@dataclass(frozen=True)
class Answer:
    """What the target answers at an address.

    Attributes:
        status: Of the answer.
        body: Of the answer, in UTF-8.
        headers: Further header fields.
        delay: Seconds from a request to its answer.
        chunked: Whether the body is sent in chunks of unknown number (RFC 9112, 7.1).
        then: What becomes of the connection: it is kept, or closed as the answer says, or closed
            although the answer did not say so, as servers do with connections that idle for long.
        mute: The connection is closed after the delay, and there is no answer.
    """

    status: int = 200
    body: str = "{}"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    delay: float | LogNormal = 0.0
    chunked: bool = False
    then: Literal["keep", "close", "drop"] = "keep"
    mute: bool = False


@dataclass(frozen=True)
class Now:
    """How the target stands.

    Attributes:
        requests: That came.
        open: Of these, those that are not answered yet.
        most: Of those, the most at one time.
        cut: Of all, those whose client left before the answer.
        connections: That are open.
        accepted: Connections that there ever were.
    """

    requests: int
    open: int
    most: int
    cut: int
    connections: int
    accepted: int


@dataclass(frozen=True)
class Seen:
    """A request that came.

    Attributes:
        begin: When all of it had come, in seconds of ``time.monotonic()`` (of any process of the
            machine).
        end: When its answer was to be written, or its client had left; None while neither is so.
        cut: Whether its client left before the answer.
        status: Of the answer; 0 where there is none.
        connection: Number of its connection, from 1.
        head: Request line and header fields, as they came; empty where they are not kept.
        body: As it came.
    """

    begin: float
    end: float | None
    cut: bool
    status: int
    connection: int
    head: bytes = field(repr=False)
    body: bytes = field(repr=False)

    @cached_property
    def _line(self) -> list[str]:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")

    @property
    def method(self) -> str:
        return self._line[0]

    @property
    def target(self) -> str:
        """The address with its query, as it came."""
        return self._line[1]

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    @cached_property
    def headers(self) -> dict[str, str]:
        """The header fields, by their names in small letters."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        parts = (line.partition(":") for line in lines if line)
        return {name.lower(): value.strip() for name, _, value in parts}

    @property
    def seconds(self) -> float:
        """How long it took here."""
        assert self.end is not None, "it is not answered yet"
        return self.end - self.begin


def most_at_once(seen: Iterable[Seen]) -> int:
    """Count the requests that were open at the same time, at most."""
    begun = [(each.begin, 1) for each in seen]
    ended = [(each.end, -1) for each in seen if each.end is not None]
    return max(accumulate(step for _, step in sorted(begun + ended)), default=0)
