"""Waiting for what a conductor carries out."""

from __future__ import annotations

from app.domain import Operation
from app.resources._auth import caller
from app.resources._context import services
from app.resources._held import Steps
from app.services.operations import WAIT_SECONDS


def until_carried_out(filed: Operation) -> Steps[Operation]:
    """Come to an operation that was just filed once it has ended, or the time is over.

    Raises:
        LimitExceeded: Too many wait already.
        NotAuthenticated: The credential ceased to hold meanwhile.
    """
    return services().operations.wait(filed.id, caller(), WAIT_SECONDS)
