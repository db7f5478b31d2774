"""Tickets: how a browser, which cannot send credentials with a stream, says who it is."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from app.domain import Identity
from app.errors import NotAuthenticated
from app.identity.written import read_identity, write_identity
from app.services.access import Access
from app.services.executions import ExecutionService
from app.store.execution_rows import now
from app.store.tickets import Tickets

EVENTS = "events"
"""Subject of a ticket for the events of all executions."""


class TicketService:
    """Issues tickets, each of which opens one stream once in place of a credential.

    Args:
        tickets: Those that were not used yet.
        service: Says who may see an execution.
        access: Says whether the credential behind a ticket still holds.
        lifetime_seconds: How long a ticket can be used.
    """

    def __init__(
        self,
        tickets: Tickets,
        service: ExecutionService,
        access: Access,
        lifetime_seconds: float,
    ) -> None:
        self._tickets = tickets
        self._service = service
        self._access = access
        self._lifetime = timedelta(seconds=lifetime_seconds)

    def give(self, subject: str, identity: Identity) -> tuple[str, float]:
        """Make a ticket for one stream.

        Args:
            subject: Id or name of an execution, or ``EVENTS``.
            identity: The user that it stands for.

        Returns:
            The ticket, and for how many seconds it can be used.

        Raises:
            NotFound: There is no such execution for this user.
        """
        if subject != EVENTS:  # whichever of its names it is asked for by, there and here
            subject = self._service.get(subject, identity).id
        # The store has a digest only, so who reads it can use no ticket; and beside the digest by
        # which credential it was asked for, since it opens nothing once that has been revoked.
        ticket = secrets.token_urlsafe(32)
        self._tickets.add(
            _digest(ticket),
            identity.username,
            subject,
            now() + self._lifetime,
            write_identity(identity),
        )
        return ticket, self._lifetime.total_seconds()

    def take(self, ticket: str, subject: str, *, keep: bool = False) -> Identity:
        """Use a ticket up.

        Args:
            ticket: The ticket.
            subject: Id or name of the execution that it is to open, or ``EVENTS``.
            keep: Only see whether it would do; it can be used afterwards.

        Returns:
            The user that it was given to, as they are now.

        Raises:
            NotAuthenticated: It is wrong, too old, used, or for something else; or the credential
                with which it was asked for does not hold any more.
        """
        known = [] if subject == EVENTS else self._service.ids_known_as(subject)
        use = self._tickets.look if keep else self._tickets.take
        written = use(_digest(ticket), known or [subject])
        if written is None:
            raise NotAuthenticated("The ticket is wrong, too old, or was used already.")
        return self._access.recheck(read_identity(written))


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
