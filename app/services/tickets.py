"""Tickets: how a browser, which cannot send credentials with a stream, says who it is."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import datetime, timedelta

from app.domain import Credential, Identity, Permission, Role
from app.errors import NotAuthenticated
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
            _digest(ticket), identity.username, subject, now() + self._lifetime, _written(identity)
        )
        return ticket, self._lifetime.total_seconds()

    def take(self, ticket: str, subject: str) -> Identity:
        """Use a ticket up.

        Returns:
            The user that it was given to, as they are now.

        Raises:
            NotAuthenticated: It is wrong, too old, used, or for something else; or the credential
                with which it was asked for does not hold any more.
        """
        known = [] if subject == EVENTS else self._service.known_as(subject)
        subjects = [execution.id for execution in known] or [subject]
        written = self._tickets.take(_digest(ticket), subjects)
        if written is None:
            raise NotAuthenticated("The ticket is wrong, too old, or was used already.")
        return self._access.recheck(_read(written))


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _written(identity: Identity) -> str:
    """Write down who somebody is, and with which credential."""
    credential, expires_at = identity.credential, identity.credential.expires_at
    return json.dumps(
        {
            "username": identity.username,
            "roles": sorted(identity.roles),
            "scopes": None if identity.scopes is None else sorted(identity.scopes),
            "authenticator": credential.authenticator,
            "id": credential.id,
            "expires_at": None if expires_at is None else expires_at.isoformat(),
        }
    )


def _read(written: str) -> Identity:
    """Read what :func:`_written` wrote; a ticket of an older version stands for nobody."""
    try:
        kept = json.loads(written)
        scopes, expires_at = kept["scopes"], kept["expires_at"]
        return Identity(
            kept["username"],
            frozenset(map(Role, kept["roles"])),
            scopes=None if scopes is None else frozenset(map(Permission, scopes)),
            credential=Credential(
                kept["authenticator"],
                kept["id"],
                None if expires_at is None else datetime.fromisoformat(expires_at),
            ),
        )
    except (KeyError, ValueError) as exc:
        raise NotAuthenticated("The ticket is of another version of the service.") from exc
