"""What somebody must know of a workflow to launch it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.caching import UpstreamReads
from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.catalogue import Catalogue, Place
from app.clients.alien4cloud.inputs import Input
from app.clients.alien4cloud.lookup import Seen
from app.clients.alien4cloud.model import Application, Environment
from app.clients.alien4cloud.topology import Topology, WorkflowRecord
from app.domain import FoundWorkflow, Identity, ResolvedWorkflow, WorkflowDescription
from app.errors import NotFound, UpstreamUnreachable


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
        """Return what is deployed in an environment.

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
            return _read_topology(self._api, application, environment)

        return self._cache.get((environment, version), load).value


@dataclass(frozen=True, slots=True)
class Deployed:
    """An environment, and what is deployed in it."""

    environment: Environment
    topology: Topology

    def workflow(self, name: str) -> WorkflowRecord:
        """Return a workflow of it.

        Raises:
            NotFound: It has none of this name.
        """
        record = self.topology.workflows.get(name)
        if record is None:
            raise NotFound(f"What is deployed has no workflow '{name}'.")
        return record


@dataclass(frozen=True, slots=True)
class Launchable:
    """A workflow that was looked up for a launch: where it runs, and what it takes."""

    place: Place
    inputs: tuple[Input, ...]


class Describer:
    """Describes workflows by the topology that is deployed.

    Args:
        catalogue: Decides who may launch what.
        api: The calls.
        ttl_seconds: How long an environment and its topology are kept.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        api: Alien4CloudApi,
        ttl_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._api = api
        self._deployed: UpstreamReads[tuple[str, str], Deployed] = UpstreamReads(
            ttl_seconds, clock=clock
        )

    def describe(self, workflow_id: str, identity: Identity) -> WorkflowDescription:
        """Return the inputs, outputs and steps of a workflow.

        Raises:
            NotFound: There is no such workflow for this user, or it is not deployed.
            UpstreamError: Alien4Cloud failed.
        """
        return self._described(*self.look_up(workflow_id, identity))

    def look_up(self, workflow_id: str, identity: Identity) -> tuple[Place, Deployed]:
        """Look up a workflow by its id, with the application and the environment as they are now.

        The topology, which is large, is read again only when another version was deployed, or after
        a while: an update replaces one in place.

        Raises:
            NotFound: There is no such workflow for this user, or it is not deployed.
            UpstreamError: Alien4Cloud failed.
        """
        place = self._catalogue.find(workflow_id, identity)
        key = place.application.id, place.environment.id
        kept = self._deployed.peek(key)
        if kept is not None and kept.environment.version != place.environment.version:
            self._deployed.forget(key)
        deployed = self._deployed.get(key, lambda: self._load(place)).value
        deployed.workflow(place.workflow)
        return place, deployed

    def resolve(self, found: FoundWorkflow, identity: Identity, *, anew: bool) -> ResolvedWorkflow:
        """Read what a launch takes; whether the user may launch it is asked for in any case.

        Raises:
            NotFound: There is no such workflow for this user, or it is not deployed.
            UpstreamError: Alien4Cloud failed.
        """
        application_id, environment_id, name = found.id.split("@")
        seen: Seen | None = found.origin
        if seen is None:
            application = self._catalogue.visible(application_id, identity)
        else:
            application = seen.application
        if application is None or not application.offers(name, identity.username):
            raise NotFound(f"There is no workflow '{found.id}'.")
        key = application_id, environment_id
        if anew:
            self._deployed.forget(key)
        kept = self._deployed.is_fresh(key)
        environment = seen.environment if seen else None
        deployed = self._kept_or_read(application, environment_id, environment)
        if kept and name not in deployed.topology.workflows:
            return self.resolve(found, identity, anew=True)
        place = Place(application, deployed.environment, name)
        return ResolvedWorkflow(
            self._described(place, deployed),
            origin=Launchable(place, deployed.workflow(name).inputs),
            kept=kept,
        )

    def forget(self, place: Place) -> None:
        """Read a place again the next time: Alien4Cloud said that it is not what it was."""
        self._deployed.forget((place.application.id, place.environment.id))

    def _kept_or_read(
        self, application: Application, environment_id: str, environment: Environment | None
    ) -> Deployed:
        """Return what is deployed, as it was read a while ago at most.

        Raises:
            NotFound: There is no such environment of this application, or nothing is deployed.
            UpstreamError: Alien4Cloud failed. Nothing is launched by what was true before that.
        """

        def load() -> Deployed:
            read = environment or if_known(self._api.environment, application.id, environment_id)
            if read is None or read.application != application.id:
                raise NotFound("The application has no such environment.")
            return self._load(Place(application, read, ""))

        cached = self._deployed.get((application.id, environment_id), load)
        if cached.stale:
            text = "Alien4Cloud does not tell what is deployed at the moment."
            raise UpstreamUnreachable(text, retry_after_seconds=5.0)
        return cached.value

    def _load(self, place: Place) -> Deployed:
        topology = _read_topology(self._api, place.application.id, place.environment.id)
        return Deployed(place.environment, topology)

    def _described(self, place: Place, deployed: Deployed) -> WorkflowDescription:
        workflow = deployed.workflow(place.workflow)
        return WorkflowDescription(
            workflow=self._catalogue.record(place),
            inputs=tuple(item.parameter for item in workflow.inputs),
            outputs=deployed.topology.domain_outputs(),
            steps=workflow.domain_steps(),
        )


def _read_topology(api: Alien4CloudApi, application: str, environment: str) -> Topology:
    """Read what is deployed in an environment.

    Raises:
        NotFound: Nothing is.
        UpstreamError: Alien4Cloud failed.
    """
    topology = if_known(api.topology, application, environment)
    if topology is None:
        raise NotFound("The environment is not deployed.")
    return topology
