"""That somebody asks for an execution which they may not know, and a page goes on without it."""

from __future__ import annotations

from flask import request

from app.domain import AuditResult, Permission
from app.errors import Hidden, SlipwayError
from app.resources._context import services


def note_hidden(error: SlipwayError, wanted: Permission, reference: str) -> None:
    """Record it by the execution's own address, as it is recorded of who asks the API for it.

    Args:
        error: Why the page cannot have it; anything but its being hidden is no concern of this.
        wanted: What was to be done with it.
        reference: Its id, or its name.
    """
    if not isinstance(error, Hidden):
        return
    known = services().executions.ids_known_as(reference)
    event = services().audit.event(
        str(wanted),
        f"/executions/{next(iter(known), reference)}",
        result=AuditResult.DENIED,
        detail=f"{request.method} {request.path}: {error.code}",
    )
    services().audit.record(event)
