"""What the handlers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .world import Deployment, World


@dataclass
class State:
    """The world and the switches of the server.

    Attributes:
        maintenance: Answers 503 with code 0.
        starting: Business paths are not mapped yet, or the server stands by.
        cloud_disabled: The orchestrator below is switched off.
        mock_provider: The orchestrator is A4C's own mock: it launches nothing, cancels anything.
        log_zone_shift_seconds: How wrong the time zone of the logs' timestamp is.
        shuffled_ties: Entries of one millisecond come in another order each time.
    """

    world: World
    maintenance: bool = False
    starting: bool = False
    cloud_disabled: bool = False
    mock_provider: bool = False
    log_zone_shift_seconds: float = 0.0
    shuffled_ties: bool = False

    def deployment_record(self, deployment: Deployment) -> dict[str, Any]:
        """Return a deployment's record; the end is absent while it is active."""
        environment = deployment.environment
        record: dict[str, Any] = {
            "id": deployment.id,
            "orchestratorDeploymentId": "paas",
            "sourceType": "APPLICATION",
            "sourceId": environment.application.id,
            "sourceName": environment.application.id,
            "environmentId": environment.id,
            "versionId": f"{environment.application.id}:{deployment.version}",
            "startDate": int(deployment.started_at * 1000),
        }
        if deployment.ended_at is not None:
            record["endDate"] = int(deployment.ended_at * 1000)
        return record

    def deployment_dto(self, deployment: Deployment) -> dict[str, Any]:
        """Return a deployment with its source and locations."""
        source = {"id": deployment.environment.application.id}
        return {"deployment": self.deployment_record(deployment), "source": source, "locations": []}
