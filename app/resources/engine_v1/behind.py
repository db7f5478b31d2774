"""What this API is about: the executions of virtual users, and no others."""

from __future__ import annotations

from app.domain import Execution
from app.resources._auth import caller
from app.resources._context import services


def require_load() -> None:
    """Make sure that virtual users are to be had; runs before each endpoint that is about them.

    Raises:
        CapabilityMissing: They are switched off.
    """
    services().submissions.orchestrator  # noqa: B018  (which raises where there is none)


def execution_of(execution_id: str) -> Execution:
    """Get an execution of virtual users that the caller may see, by any of its ids.

    Raises:
        NotFound: There is none, or it is one of another kind.
    """
    return services().executions.get(execution_id, caller(), {services().submissions.orchestrator})
