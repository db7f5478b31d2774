"""How long and how often something is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Protocol

from slipway.faults import Fault, Kind

_FIRST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Patience:
    """How long the client tries, in seconds.

    Attributes:
        busy: For which 429 and 503 are asked again.
        gateway: For which 502 and 504 of a proxy are asked again.
        silence: After which a service that says nothing is given up.
        connect: For one connection to come about.
        refused: For which a service that nothing listens for is tried again.
        lookup: For which a host that nobody knows is looked up again.
        cut: For which what was cut off is asked again.
        buffered: Without a first line, after which a proxy is asked about that holds answers back.
        quiet: The same for a stream that has begun, and says not even that it lives.
        probe: For a short answer that shows whether the service is there.
        notice: Without a connection, after which somebody who watches is told.
    """

    busy: float = 60.0
    gateway: float = 2.0
    silence: float = 100.0
    connect: float = 10.0
    refused: float = 2.0
    lookup: float = 0.0
    cut: float = 10.0
    buffered: float = 10.0
    quiet: float = 25.0
    probe: float = 5.0
    notice: float = 3.0

    def enduring(self) -> Patience:
        """How long in the midst of a wait: as long as for a service that is silent."""
        long = self.silence
        return replace(self, refused=long, lookup=long, cut=long, gateway=self.busy)


class Repeat(Enum):
    """When a request may be sent once more."""

    ALWAYS = "always"
    """Twice is the same as once: it reads, says what is wanted, or has an idempotency key."""
    UNSENT = "unsent"
    """Only if the service surely did nothing of it."""


class Backoff:
    """Pauses that grow from 0.1 to 5 seconds, each shortened by up to a half by chance.

    So many clients that lost a service at the same time do not come back at the same time.
    """

    def __init__(self) -> None:
        self._seconds = _FIRST_SECONDS

    def reset(self) -> None:
        """Begin anew."""
        self._seconds = _FIRST_SECONDS

    def next(self) -> float:
        """Return the seconds of the next pause."""
        seconds = self._seconds
        self._seconds = min(seconds * 2, _LONGEST_SECONDS)
        return seconds * random.uniform(0.5, 1.0)  # noqa: S311  (nobody gains by guessing it)


class Surroundings(Protocol):
    """What attempts are made in."""

    sleep: Callable[[float], object]
    clock: Callable[[], float]

    def notice(self, sentence: str) -> None:
        """Tell somebody who watches what they should know."""


class Attempts:
    """The attempts to get one thing done.

    Args:
        around: Tells the time, and waits.
        patience: How long it is tried.
        repeat: When it may be tried again.
        changes: Whether it changes something.

    Attributes:
        unsure: One of them was cut off, and may have been done.
        patience: How long it is tried.
        was_reached: The service did answer.
    """

    def __init__(
        self,
        around: Surroundings,
        patience: Patience,
        repeat: Repeat,
        *,
        changes: bool = False,
    ) -> None:
        self.unsure = False
        self.patience = patience
        self.was_reached = False
        self._around, self._repeat, self._changes = around, repeat, changes
        self._backoff = Backoff()
        self._first: dict[Kind, float] = {}
        self._told = False

    def failed(self, fault: Fault) -> None:
        """Wait for the next attempt.

        Raises:
            SlipwayError: There is none, for this reason.
        """
        self.unsure |= not fault.unsent
        now = self._around.clock()
        lasts = now - self._first.setdefault(fault.kind, now - fault.lasted)
        pause = max(self._backoff.next(), fault.retry_after or 0.0)
        if not self._may(fault) or lasts + pause > self._bound(fault.kind):
            raise fault.given_up(lasts, unsure=self.unsure and self._changes) from None
        without = now + pause - min(self._first.values())
        if without >= self.patience.notice and not self._told:
            self._told = True
            self._around.notice(f"{fault.error} Trying again ...")
        self._around.sleep(pause)

    def succeeded(self) -> None:
        """Note that it works: the next fault is the first one again."""
        if self._told:
            self._around.notice("There is an answer again.")
        self._first.clear()
        self._told = False

    def progressed(self) -> None:
        """Note that something came of it: the next pause is the shortest again."""
        self.succeeded()
        self._backoff.reset()

    def reached(self) -> None:
        """Note that the service is there: from now on it may be away for longer."""
        if not self.was_reached:
            self.was_reached, self.patience = True, self.patience.enduring()

    def _may(self, fault: Fault) -> bool:
        return self._repeat is Repeat.ALWAYS or fault.unsent

    def _bound(self, kind: Kind) -> float:
        patience = self.patience
        return {
            # Whether a launch has happened is worth a longer look.
            Kind.REFUSED: max(patience.refused, patience.cut * self.unsure * self._changes),
            Kind.LOOKUP: patience.lookup,
            Kind.CUT: patience.cut,
            Kind.BUSY: patience.busy,
            Kind.GATEWAY: patience.gateway,
            Kind.SILENT: patience.silence,
            Kind.FINAL: 0.0,
        }[kind]
