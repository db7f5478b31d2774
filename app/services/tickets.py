"""Tickets: how a browser, which cannot send credentials with a stream, says who it is."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Final

from app.clock import boot_id, uptime
from app.domain import Identity
from app.errors import NotAuthenticated
from app.identity.written import read_identity, write_identity
from app.services.access import Access
from app.services.executions import ExecutionService
from app.store.execution_rows import now
from app.store.tickets import Tickets

_OF_NO_USE = "The ticket is wrong, too old, or was used already."
TICKET_PATTERN: Final = r"[A-Za-z0-9_-]+\.([0-9a-f]{8})-([0-9]{1,12})"
"""A ticket: what nobody can guess, the start of the machine, and the seconds since then."""
_ISSUED: Final = re.compile(TICKET_PATTERN)

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
        ticket = f"{secrets.token_urlsafe(32)}.{_issued_here()}"
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
        age = _age(ticket)
        if age is not None and age > self._lifetime.total_seconds():
            raise NotAuthenticated(_OF_NO_USE)
        use = self._tickets.look if keep else self._tickets.take
        written = use(_digest(ticket), known or [subject], by_clock=age is None)
        if written is None:
            raise NotAuthenticated(_OF_NO_USE)
        return self._access.recheck(read_identity(written))


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _issued_here() -> str:
    return f"{boot_id()[:8]}-{int(uptime())}"


def _age(ticket: str) -> float | None:
    """Return the seconds since a ticket was issued; None where only the clock can tell.

    That a ticket says so itself is no danger: it is only found as it was issued.
    """
    issued = _ISSUED.fullmatch(ticket)
    if issued is None or issued[1] != boot_id()[:8]:
        return None
    return uptime() - int(issued[2])
