"""Tickets in requests and answers."""

from __future__ import annotations

from typing import Final

from marshmallow import fields

from app.resources._text_forms import TextForm
from app.services.tickets import TICKET_PATTERN

TICKET: Final = TextForm(
    TICKET_PATTERN, "kQ7mX0u3b5pVd1Yc9sHfRtZ2aLw8nGjE4oBiC6KvDxM.3f9c21d7-86400"
)
"""What tickets are like; what is none is refused like one that was used."""


def ticket_field() -> fields.String:
    """Make the field of a query for a ticket."""
    return fields.String(
        metadata={**TICKET.schema(), "description": "A ticket, in place of credentials"}
    )
