"""Tickets: how a browser, which cannot set headers on a stream, says who it is."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from app.domain import Identity
from app.errors import NotAuthenticated
from app.services.executions import ExecutionService
from app.services.users import EVERYBODY, Users
from app.store.execution_rows import now
from app.store.tickets import Tickets

EVENTS = "events"
"""Subject of a ticket for the events of all executions."""


class TicketService:
    """Gives tickets and takes them.

    Args:
        tickets: Those that were not used yet.
        service: Says who may see an execution.
        users: Who may call; None when everybody may.
        lifetime_seconds: How long a ticket can be used.
    """

    def __init__(
        self,
        tickets: Tickets,
        service: ExecutionService,
        users: Users | None,
        lifetime_seconds: float,
    ) -> None:
        self._tickets = tickets
        self._service = service
        self._users = users
        self._lifetime = timedelta(seconds=lifetime_seconds)

    def give(self, subject: str, identity: Identity) -> tuple[str, float]:
        """Make a ticket for one stream.

        Args:
            subject: Id of an execution, or ``EVENTS``.
            identity: The user that it stands for.

        Returns:
            The ticket, and for how many seconds it can be used.

        Raises:
            NotFound: There is no such execution for this user.
        """
        if subject != EVENTS:
            self._service.get(subject, identity)
        ticket = secrets.token_urlsafe(32)
        self._tickets.add(_digest(ticket), identity.username, subject, now() + self._lifetime)
        return ticket, self._lifetime.total_seconds()

    def take(self, ticket: str, subject: str) -> Identity:
        """Use a ticket up.

        Raises:
            NotAuthenticated: It is wrong, too old, used, or for something else.
        """
        username = self._tickets.take(_digest(ticket), subject)
        if username is None:
            raise NotAuthenticated("The ticket is wrong, too old, or was used already.")
        return EVERYBODY if self._users is None else self._users.identity(username)


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
