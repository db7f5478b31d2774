"""Asking for the end of an execution."""

from __future__ import annotations

from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.reference import Reference
from app.clients.alien4cloud.session import Rejection
from app.clients.alien4cloud.statuses import execution_status
from app.domain import ExecutionStatus
from app.errors import Conflict


def cancel(api: Alien4CloudApi, reference: Reference) -> None:
    """Ask for the end; on return Alien4Cloud has accepted, and repeating it does no harm.

    The status is looked at first: Alien4Cloud would set a finished execution to CANCELLING, for
    ever (Alien4Cloud 3.8 REST, section 8). One that it does not show yet can be cancelled.

    Raises:
        Conflict: It has ended, or the orchestrator refused, with its reason.
        UpstreamError: Alien4Cloud failed.
    """
    run = if_known(api.run, reference.execution)
    if run is not None:
        status = execution_status(run.status, run.id)
        if status.final:
            raise Conflict(f"The execution has ended already: {status}.")
        if status is ExecutionStatus.CANCELLING:
            return
    request(api, reference)


def request(api: Alien4CloudApi, reference: Reference) -> None:
    """Ask for the end, without looking first.

    Raises:
        Conflict: The orchestrator refused, with its reason.
        UpstreamError: Alien4Cloud failed.
    """
    try:
        api.cancel(reference.environment, reference.execution)
    except Rejection as exc:
        raise Conflict(f"Alien4Cloud refused to cancel the execution: {exc.reason}") from exc
