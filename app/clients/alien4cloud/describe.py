"""What somebody must know of a workflow to launch it."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.caching import UpstreamReads
from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.catalogue import Catalogue, Place
from app.clients.alien4cloud.topology import Topology, WorkflowRecord
from app.domain import Identity, WorkflowDescription
from app.errors import NotFound


class Topologies:
    """Reads topologies, which are large, and keeps what matters of them.

    Args:
        api: The calls.
        ttl_seconds: How long they are kept.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        api: Alien4CloudApi,
        ttl_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._cache: UpstreamReads[tuple[str, str], Topology] = UpstreamReads(
            ttl_seconds, clock=clock
        )

    def get(self, application: str, environment: str, version: str) -> Topology:
        """Give what is deployed in an environment.

        Args:
            application: Id of the application.
            environment: Id of its environment.
            version: What tells one deployment from the next; an update replaces one in place, so
                nothing is kept for ever.

        Raises:
            NotFound: Nothing is.
            UpstreamError: Alien4Cloud failed, and nothing is known from before.
        """

        def load() -> Topology:
            topology = if_known(self._api.topology, application, environment)
            if topology is None:
                raise NotFound("The environment is not deployed.")
            return topology

        return self._cache.get((environment, version), load).value


class Describer:
    """Describes workflows by the topology that is deployed."""

    def __init__(self, catalogue: Catalogue, topologies: Topologies) -> None:
        self._catalogue = catalogue
        self._topologies = topologies

    def describe(self, workflow_id: str, identity: Identity) -> WorkflowDescription:
        """Tell inputs, outputs and steps.

        Raises:
            NotFound: There is no such workflow for this user, or it is not deployed.
            UpstreamError: Alien4Cloud failed.
        """
        place = self._catalogue.find(workflow_id, identity)
        topology, workflow = self.look_up(place)
        return WorkflowDescription(
            workflow=self._catalogue.record(place),
            inputs=tuple(item.parameter for item in workflow.inputs),
            outputs=topology.domain_outputs(),
            steps=workflow.domain_steps(),
        )

    def look_up(self, place: Place) -> tuple[Topology, WorkflowRecord]:
        """Read what is deployed at a place, and its workflow.

        Raises:
            NotFound: Nothing is deployed, or not this workflow.
            UpstreamError: Alien4Cloud failed.
        """
        environment = place.environment
        topology = self._topologies.get(
            place.application.id, environment.id, environment.version or ""
        )
        workflow = topology.workflows.get(place.workflow)
        if workflow is None:
            raise NotFound(f"What is deployed has no workflow '{place.workflow}'.")
        return topology, workflow
