"""What users ask for that a conductor carries out: filed here, and waited for."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Final

from app.domain import JSON, Identity, Operation
from app.errors import Hidden, NotFound
from app.services.access import Access
from app.services.idle import Idle
from app.services.places import Places
from app.store.changes import Changes
from app.store.operations import Operations

OPERATION_ID_PATTERN: Final = r"op-[0-9a-f]{32}"
WAIT_SECONDS: Final = 20.0
"""How long whoever asks for something waits for what comes out."""
MOST_OPEN: Final = 4
"""Operations of one user that are under way, or wait."""


class OperationService:
    """Files operations, and tells their owners what became of them.

    Args:
        operations: What was asked for.
        changes: Wakes who waits.
        places: Of those who wait.
        access: Checks that whoever waits may still do so.
    """

    def __init__(
        self, operations: Operations, changes: Changes, places: Places, access: Access
    ) -> None:
        self._operations = operations
        self._changes = changes
        self._places = places
        self._access = access

    def file(
        self, kind: str, subject: str, arguments: Mapping[str, JSON], identity: Identity
    ) -> Operation:
        """Ask for something; whoever asks again while it is under way gets the same operation.

        Args:
            kind: What is to be done; a conductor has a handler for it.
            subject: What it is about.
            arguments: What else it takes; no secrets.
            identity: Who asks; they alone may see it.

        Raises:
            QuotaExceeded: Too many of theirs are under way.
        """
        return self._operations.file(kind, identity.username, subject, arguments, MOST_OPEN)

    def get(self, operation_id: str, identity: Identity) -> Operation:
        """Return an operation of somebody's own.

        Raises:
            NotFound: They have no such operation.
        """
        found = self._operations.get(operation_id)
        if found is None:
            raise NotFound("You have no such operation; those that ended are kept for a day.")
        if found.owner != identity.username:
            raise Hidden("You have no such operation; those that ended are kept for a day.")
        return found

    def wait(
        self, operation_id: str, identity: Identity, seconds: float = WAIT_SECONDS
    ) -> Generator[Idle, None, Operation]:
        """Get an operation once it has ended, or the time is over.

        Args:
            operation_id: The operation.
            identity: Its owner.
            seconds: The time.

        Yields:
            ``Idle`` until there is an answer, which is what the generator returns.

        Raises:
            NotFound: They have no such operation.
            NotAuthenticated: The credential ceased to hold while the request waited.
            LimitExceeded: Too many wait already.
        """
        deadline = time.monotonic() + seconds
        found = self.get(operation_id, identity)
        if seconds <= 0 or found.state.final:
            return found
        with (
            self._places.place(identity, "operation"),
            self._changes.subscribe(operation_id) as subscription,
        ):
            # Again, since only from the subscription on nothing is missed.
            found, watch = self.get(operation_id, identity), self._access.watch(identity)
            while not found.state.final:
                left = deadline - time.monotonic()
                if left <= 0 or self._changes.closing:
                    break
                yield (idle := Idle(subscription, min(left, watch.seconds_left())))
                if idle.is_over:
                    deadline = 0.0
                subscription.has_changed()
                watch.check()
                found = self.get(operation_id, watch.identity)
            return found
