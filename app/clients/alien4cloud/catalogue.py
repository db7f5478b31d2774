"""Which workflows there are, and who may see them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from app.caching import UpstreamReads
from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.model import Application, Environment
from app.domain import Identity, Workflow
from app.errors import NotFound, UpstreamError, UpstreamTimeout, UpstreamUnreachable

log = structlog.get_logger(__name__)

_ENVIRONMENT_READERS = 16
_LONGEST_LOAD_SECONDS = 15.0
# Spring cuts a name at its last dot: "a.b" would launch "a" (Alien4Cloud 3.8 REST, section 5).
_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A workflow that somebody may launch, and where it runs."""

    application: Application
    environment: Environment
    workflow: str


@dataclass(frozen=True, slots=True)
class _Exposed:
    """An application with the environments in which its workflows can run."""

    application: Application
    environments: tuple[Environment, ...]
    stale: bool = False


class Catalogue:
    """The workflows that Alien4Cloud's applications expose by their tags.

    Args:
        orchestrator: Name of the orchestrator, for the records.
        api: The calls.
        ttl_seconds: How long the list is kept.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        orchestrator: str,
        api: Alien4CloudApi,
        ttl_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orchestrator = orchestrator
        self._api = api
        self._clock = clock
        self._cache: UpstreamReads[str, Mapping[str, _Exposed]] = UpstreamReads(
            ttl_seconds, clock=clock
        )

    def workflows(self, identity: Identity) -> list[Workflow]:
        """List what a user may launch, from memory where that is fresh enough.

        Raises:
            UpstreamError: Alien4Cloud failed, and nothing is known from before.
        """
        cached = self._cache.get("exposed", self._load)
        found = []
        for exposed in cached.value.values():
            if not exposed.application.allows(identity.username):
                continue
            for environment in exposed.environments:
                stale = cached.stale or exposed.stale or environment.uncertain
                for name in filter(_NAME.fullmatch, exposed.application.workflows):
                    place = Place(exposed.application, environment, name)
                    found.append(self.record(place, stale=stale))
        return found

    def find(self, workflow_id: str, identity: Identity) -> Place:
        """Look up what a user wants to launch or to know, as it is right now.

        Alien4Cloud checks neither that the user may see the application, nor that the workflow is
        exposed, nor that the environment belongs to the application (section 13, 2 and 3).

        Raises:
            NotFound: There is no such workflow for this user.
            UpstreamError: Alien4Cloud failed.
        """
        missing = NotFound(f"There is no workflow '{workflow_id}'.")
        parts = workflow_id.split("@")
        if len(parts) != 3 or not all(map(_NAME.fullmatch, parts)):
            raise missing
        application = self.visible(parts[0], identity)
        if application is None or parts[2] not in application.workflows:
            raise missing
        environment = if_known(self._api.environment, parts[0], parts[1])
        if environment is None or environment.application != application.id:
            raise missing
        return Place(application, environment, parts[2])

    def visible(self, application_id: str, identity: Identity) -> Application | None:
        """Look an application up; None unless it exposes workflows to this user."""
        if not _NAME.fullmatch(application_id):
            return None
        application = if_known(self._api.application, application_id)
        if application is None or not application.workflows:
            return None
        return application if application.allows(identity.username) else None

    def lets_in(self, application_id: str, identity: Identity) -> bool:
        """Tell from memory whether an application exposes workflows to a user, deployed or not.

        Raises:
            UpstreamError: Alien4Cloud failed, and nothing is known from before.
        """
        exposed = self._cache.get("exposed", self._load).value.get(application_id)
        return exposed is not None and exposed.application.allows(identity.username)

    def record(self, place: Place, *, stale: bool = False) -> Workflow:
        """Describe a place as lists show it."""
        application, environment = place.application, place.environment
        return Workflow(
            id=workflow_id(application.id, environment.id, place.workflow),
            name=place.workflow,
            application_id=application.id,
            environment_id=environment.id,
            environment_name=environment.name,
            orchestrator=self._orchestrator,
            description=application.description,
            stale=stale,
        )

    def _load(self) -> Mapping[str, _Exposed]:
        applications = [a for a in self._api.applications() if a.workflows]
        workers = max(1, min(_ENVIRONMENT_READERS, len(applications)))
        deadline = self._clock() + _LONGEST_LOAD_SECONDS
        with ThreadPoolExecutor(workers, thread_name_prefix="a4c-environments") as pool:
            exposed = pool.map(lambda a: self._expose(a, deadline), applications)
            return {e.application.id: e for e in exposed if e is not None}

    def _expose(self, application: Application, deadline: float) -> _Exposed | None:
        """Read the environments; one application that cannot be read must not hide the others."""
        try:
            if self._clock() > deadline:
                raise UpstreamTimeout("There was no time left to ask.")
            environments = self._api.environments(application.id)
        except UpstreamUnreachable:
            raise
        except UpstreamError as exc:
            log.warning(
                "environments unknown",
                orchestrator=self._orchestrator,
                application=application.id,
                error=exc.message,
                detail=exc.detail,
            )
            known = (self._cache.peek("exposed") or {}).get(application.id)
            return known and _Exposed(application, known.environments, stale=True)
        return _Exposed(application, tuple(_runnable(application, environments)))


def _runnable(
    application: Application, environments: Iterable[Environment]
) -> Iterable[Environment]:
    return (e for e in environments if e.runnable and e.application == application.id)


def workflow_id(application: str, environment: str, workflow: str) -> str:
    """Make the id of a workflow; no part may hold an ``@``."""
    return f"{application}@{environment}@{workflow}"
