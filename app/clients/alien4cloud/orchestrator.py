"""Alien4Cloud as an orchestrator of the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.clients._pace import Budget, Pace
from app.clients.alien4cloud.adopt import adopt, is_id
from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.cancel import cancel
from app.clients.alien4cloud.catalogue import Catalogue
from app.clients.alien4cloud.describe import Describer, Topologies
from app.clients.alien4cloud.launch import Launches
from app.clients.alien4cloud.lookup import Lookups
from app.clients.alien4cloud.observe import Observer
from app.clients.alien4cloud.options import Alien4CloudOptions
from app.clients.alien4cloud.reference import Reference
from app.clients.alien4cloud.session import Alien4CloudSession
from app.clients.orchestrator import Adoption, Capability, Context, LostLaunch, Orchestrator, Polls
from app.domain import (
    JSON,
    DrivenExecution,
    FoundWorkflow,
    Identity,
    Launch,
    Observation,
    ResolvedWorkflow,
    Workflow,
    WorkflowDescription,
)

# What an execution runs in is known by its deployment; an update replaces it in place.
_DEPLOYED_SECONDS = 300.0


class Alien4CloudOrchestrator(Orchestrator):
    """Launches and watches workflows that Alien4Cloud runs, as one service account.

    Alien4Cloud checks nothing per user, so every check of a user is made here or by the services.
    Source: Alien4Cloud 3.8 REST.

    Args:
        name: Name from the configuration.
        options: Where the server is, and how to treat it.
        connections: Connections to keep.
        clock: Seconds since the epoch.
    """

    capabilities = frozenset({Capability.ADOPT})
    own_references = True
    Options = Alien4CloudOptions

    def __init__(
        self,
        name: str,
        options: Alien4CloudOptions,
        *,
        connections: int = 32,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name)
        session = Alien4CloudSession(
            f"The orchestrator '{name}'", options, clock, connections=connections
        )
        self._api = Alien4CloudApi(session)
        self._clock = clock
        self._budget = Budget(options.poll.budget_per_second)
        polled = Alien4CloudApi(session, self._budget.take)
        self._catalogue = Catalogue(
            name, self._api, options.cache_ttl, refresh_per_second=options.refresh_per_second
        )
        self._lookups = Lookups(name, self._catalogue)
        self._describer = Describer(self._catalogue, self._api, options.cache_ttl)
        self._launches = Launches(
            describer=self._describer,
            api=self._api,
            grace_seconds=options.grace,
            launch_seconds=options.launch_limit,
            clock=clock,
        )
        self._observer = Observer(
            api=polled,
            topologies=Topologies(polled, _DEPLOYED_SECONDS),
            pace=Pace(options.poll),
            grace_seconds=options.grace,
            clock=clock,
        )

    @classmethod
    def create(
        cls,
        name: str,
        options: Alien4CloudOptions,
        context: Context,
    ) -> Alien4CloudOrchestrator:
        """Build one from the settings."""
        return cls(name, options, connections=context.connections)

    def workflows(self, identity: Identity) -> list[Workflow]:
        """List the workflows of the applications whose tags let this user in.

        Upstream: POST /applications/search, POST /applications/{id}/environments/search -> 200,
        kept for ``cache_ttl`` and served as stale while Alien4Cloud is down.
        """
        return self._catalogue.workflows(identity)

    def describe(self, workflow_id: str, identity: Identity) -> WorkflowDescription:
        """Return the inputs, the steps, and the outputs of the deployment.

        Upstream: GET /applications/{id}, .../environments/{id}, .../runtime-topology -> 200.
        """
        return self._describer.describe(workflow_id, identity)

    def look_up(
        self, reference: str, identity: Identity, *, anew: bool = False
    ) -> list[FoundWorkflow]:
        """Find workflows by id or name.

        Upstream, once in ``cache_ttl``: POST /applications/search -> 200, and POST
        /applications/{id}/environments/search of the applications that can be meant.
        """
        return self._lookups.look_up(reference, identity, anew=anew)

    def resolve(
        self, found: FoundWorkflow, identity: Identity, *, anew: bool = False
    ) -> ResolvedWorkflow:
        """Read what a launch takes.

        Upstream: GET /applications/{id} -> 200, which says who may launch what; and once in
        ``cache_ttl`` GET .../environments/{id} and .../runtime-topology -> 200.
        """
        return self._describer.resolve(found, identity, anew=anew)

    def trigger(self, launch: Launch) -> JSON:
        """Launch a workflow.

        Upstream: POST /applications/{id}/environments/{id}/workflows/{name} -> 200 with the
        execution's id; a refusal is 200, too.
        """
        return self._launches.trigger(launch)

    def find(self, launch: LostLaunch) -> JSON:
        """Look a launch up by workflow, start, inputs, and what belongs to others.

        Upstream: GET /deployments/search, /executions/search, .../last_inputs -> 200.
        """
        return self._launches.find(launch)

    def observe(self, execution: DrivenExecution) -> Observation:
        """Return what changed, within the budget of requests; what is followed goes first.

        Upstream: GET /executions/{id}, POST /deployment/logs/search -> 200, and after a change
        GET /workflow_execution/{id} or /tasks/search -> 200.
        """
        with self._budget.going_first(execution.is_followed(self._clock())):
            return self._observer.observe(execution)

    def cancel(self, execution: DrivenExecution) -> None:
        """Ask for the end of an execution.

        Upstream: GET /executions/{id}, POST /executions/cancel -> 200; a refusal is 200, too.
        """
        cancel(self._api, Reference.load(execution.reference))

    def upstream_id(self, reference: JSON) -> str | None:
        """See :class:`Orchestrator`."""
        id_ = Reference.load(reference).execution
        return id_ if is_id(id_) else None

    def adopt(self, upstream_id: str, identity: Identity) -> Adoption | None:
        """Look up an execution that was started elsewhere.

        Upstream: GET /executions/{id}, /deployments/{id}, /applications/{id} -> 200.
        """
        return adopt(self._api, self._catalogue, upstream_id, identity)

    def lets_in(self, workflow_id: str, identity: Identity) -> bool:
        """Return whether a user may see what runs of an application, by its tags as last read."""
        return self._catalogue.lets_in(workflow_id.partition("@")[0], identity)

    def polls(self) -> Polls:
        """See :class:`Orchestrator`."""
        return Polls(self._budget.taken, self._budget.per_second)

    def health(self) -> None:
        """Check that we can log in and that executions can be asked for.

        Upstream: GET /executions/{id} of none -> 200 with code 504; on a server that starts or
        stands by, where login works already, it is another 404 (section 1).
        """
        if_known(self._api.run, "health")
