"""Executions that were started elsewhere, such as on Alien4Cloud's own pages."""

from __future__ import annotations

import re

from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.catalogue import Catalogue, workflow_id
from app.clients.alien4cloud.model import moment
from app.clients.alien4cloud.reference import Reference
from app.clients.alien4cloud.statuses import execution_status
from app.clients.orchestrator import Adoption
from app.domain import Identity

# Ids are UUIDs under Yorc; what stands in their place without a digit, such as "search", is an
# endpoint of its own.
_ID = re.compile(r"(?=.*[0-9])[\w-]{1,100}")


def is_id(text: str) -> bool:
    """Return whether something can be an execution's id."""
    return _ID.fullmatch(text) is not None


def adopt(
    api: Alien4CloudApi, catalogue: Catalogue, upstream_id: str, identity: Identity
) -> Adoption | None:
    """Look an execution up by Alien4Cloud's id; see :class:`Adopter`.

    Alien4Cloud shows any execution to any account, so the way to its application is gone first
    (Alien4Cloud 3.8 REST, section 9).

    Returns:
        What it is; None when it does not exist, or its application is not visible to the user.

    Raises:
        UpstreamError: Alien4Cloud failed.
    """
    if not is_id(upstream_id):
        return None
    run = if_known(api.run, upstream_id)
    deployment = run and if_known(api.deployment, run.deployment)
    if not run or not deployment or not catalogue.visible(deployment.application, identity):
        return None
    reference = Reference(deployment.application, deployment.environment, run.workflow, run.id)
    return Adoption(
        reference=reference.dump(),
        workflow_id=workflow_id(deployment.application, deployment.environment, run.workflow),
        workflow_name=run.workflow,
        status=execution_status(run.status, run.id),
        started_at=moment(run.started_ms),
        finished_at=moment(run.ended_ms),
    )
