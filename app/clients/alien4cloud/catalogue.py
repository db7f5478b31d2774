"""Which workflows there are, and who may see them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

import structlog

from app.caching import UpstreamReads
from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.model import Application, Environment
from app.clients.alien4cloud.refresh import Question, Refresher
from app.domain import Identity, Workflow
from app.errors import NotFound, UpstreamError, UpstreamUnreachable

log = structlog.get_logger(__name__)

V = TypeVar("V")

_ALL: Final = "all"
_ENVIRONMENT_READERS = 16
_LONGEST_LOAD_SECONDS = 15.0
"""Environments that there was no time for by then are shown as they were known before."""
# Spring cuts a name at its last dot: "a.b" would launch "a" (Alien4Cloud 3.8 REST, section 5).
NAME = re.compile(r"[\w-]+")
"""What each part of an id can be."""


@dataclass(frozen=True, slots=True)
class Place:
    """A workflow that somebody may launch, and where it runs."""

    application: Application
    environment: Environment
    workflow: str


@dataclass(frozen=True, slots=True)
class Applications:
    """The applications that expose workflows, by id.

    Attributes:
        asked_at: When they were asked for, on the catalogue's clock.
    """

    by_id: Mapping[str, Application]
    asked_at: float


@dataclass(frozen=True, slots=True)
class Read(Generic[V]):
    """Something of Alien4Cloud's.

    Attributes:
        stale: Alien4Cloud did not answer, and this is what it said last.
        just_now: It was asked for by this very call.
    """

    value: V
    stale: bool = False
    just_now: bool = False


class Catalogue:
    """The workflows that Alien4Cloud's applications expose by their tags.

    The applications are kept, and for each of them its environments: whoever looks one workflow up
    pays for the environments of one application.

    Args:
        orchestrator: Name of the orchestrator, for the records.
        api: The calls.
        ttl_seconds: How long they are kept.
        clock: Seconds that never run backwards.
        refresh_per_second: Most questions per second with which they are asked for again in the
            background while somebody lists them; 0 asks for nothing.
    """

    def __init__(
        self,
        orchestrator: str,
        api: Alien4CloudApi,
        ttl_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        refresh_per_second: float = 0.0,
    ) -> None:
        self._orchestrator = orchestrator
        self._api = api
        self._clock = clock
        self._applications: UpstreamReads[str, Applications] = UpstreamReads(
            ttl_seconds, clock=clock
        )
        self._environments: UpstreamReads[str, tuple[Environment, ...]] = UpstreamReads(
            ttl_seconds, clock=clock
        )
        self._refresher = Refresher(
            orchestrator,
            self.refresh,
            ttl_seconds if refresh_per_second else 0.0,
            most_per_second=refresh_per_second or 1.0,
            others=lambda own: api.under_way - own,
            clock=clock,
        )

    def workflows(self, identity: Identity) -> list[Workflow]:
        """List what a user may launch, from memory where that is fresh enough.

        Raises:
            UpstreamError: Alien4Cloud failed, and nothing is known from before.
        """
        applications = self.applications()
        self._refresher.want()
        mine = [a for a in applications.value.by_id.values() if a.allows(identity.username)]
        found = []
        for application, environments in self._with_environments(mine, applications.stale):
            for environment in environments.value:
                stale = applications.stale or environments.stale or environment.uncertain
                for name in filter(NAME.fullmatch, application.workflows):
                    place = Place(application, environment, name)
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
        if len(parts) != 3 or not all(map(NAME.fullmatch, parts)):
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
        if not NAME.fullmatch(application_id):
            return None
        application = if_known(self._api.application, application_id)
        if application is None or not application.workflows:
            return None
        return application if application.allows(identity.username) else None

    def lets_in(self, application_id: str, identity: Identity) -> bool:
        """Return from memory whether an application exposes workflows to a user, deployed or not.

        Raises:
            UpstreamError: Alien4Cloud failed, and nothing is known from before.
        """
        application = self.applications().value.by_id.get(application_id)
        return application is not None and application.allows(identity.username)

    def applications(self) -> Read[Applications]:
        """Return the applications that expose workflows, from memory where that is fresh enough.

        Raises:
            UpstreamError: Alien4Cloud failed, and nothing is known from before.
        """
        return _read(self._applications, _ALL, self._load_applications)

    def _load_applications(self) -> Applications:
        asked_at = self._clock()
        found = self._api.applications()
        return Applications({a.id: a for a in found if a.workflows}, asked_at)

    def environments(self, application: Application) -> Read[tuple[Environment, ...]]:
        """Return the environments of an application in which its workflows can run, likewise.

        Raises:
            UpstreamError: Alien4Cloud failed, and nothing is known from before.
        """
        return _read(
            self._environments, application.id, partial(self._load_environments, application)
        )

    def _load_environments(self, application: Application) -> tuple[Environment, ...]:
        found = self._api.environments(application.id)
        return tuple(e for e in found if e.runnable and e.application == application.id)

    def refresh(self) -> list[Question]:
        """Ask for the applications again.

        Returns:
            What asks for the environments of each.

        Raises:
            UpstreamUnreachable: Alien4Cloud is away.
        """
        read = self._applications.renew(_ALL, self._load_applications)
        if read.stale:
            raise UpstreamUnreachable("The applications cannot be read.")
        return [partial(self._renew, application) for application in read.value.by_id.values()]

    def _renew(self, application: Application) -> None:
        away: list[UpstreamUnreachable] = []

        def load() -> tuple[Environment, ...]:
            try:
                return self._load_environments(application)
            except UpstreamUnreachable as exc:
                away.append(exc)
                raise

        try:
            self._environments.renew(application.id, load)
        except UpstreamError as exc:
            self._note_unknown(application, exc)
        if away:  # then it is so for all that follow
            raise away[0]

    def expire(self, age_seconds: float) -> None:
        """Have everything asked for again that is older than a moment."""
        kept = self._applications.peek(_ALL)
        if kept is not None and self._clock() - kept.asked_at > age_seconds:
            self._applications.expire(_ALL)
            for application in kept.by_id:
                self._environments.expire(application)

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

    def _with_environments(
        self, applications: Sequence[Application], away: bool
    ) -> list[tuple[Application, Read[tuple[Environment, ...]]]]:
        """Return applications with their environments, which are asked for side by side.

        Args:
            applications: The applications.
            away: Alien4Cloud does not answer, so it is not asked for each of them.
        """
        if not away:
            self._load([a for a in applications if self._must_be_asked(a)])
        read = [self._known(application, stale=away) for application in applications]
        pairs = zip(applications, read, strict=True)
        return [(application, found) for application, found in pairs if found is not None]

    def _must_be_asked(self, application: Application) -> bool:
        """Return whether a reader has to wait for the environments of an application.

        Where they are read again in the background anyway, the last good answer does.
        """
        if self._environments.is_fresh(application.id):
            return False
        known = self._environments.known(application.id)
        return known is None or known.stale or not self._refresher.runs

    def _load(self, applications: Sequence[Application]) -> None:
        """Read the environments of applications side by side, as far as there is time.

        Those that there was no time for stay as they were known before: Alien4Cloud answers, and
        it is their turn next.
        """
        if not applications:
            return
        deadline = self._clock() + _LONGEST_LOAD_SECONDS
        workers = min(_ENVIRONMENT_READERS, len(applications))
        with ThreadPoolExecutor(workers, thread_name_prefix="a4c-environments") as pool:
            list(pool.map(lambda a: self._load_one(a, deadline), applications))

    def _load_one(self, application: Application, deadline: float) -> None:
        """Read the environments; one application that cannot be read must not hide the others."""
        try:
            if self._clock() <= deadline:
                self.environments(application)
        except UpstreamUnreachable:
            raise
        except UpstreamError as exc:
            self._note_unknown(application, exc)

    def _known(
        self, application: Application, *, stale: bool
    ) -> Read[tuple[Environment, ...]] | None:
        known = self._environments.known(application.id)
        return None if known is None else Read(known.value, stale or known.stale)

    def _note_unknown(self, application: Application, exc: UpstreamError) -> None:
        log.warning(
            "environments unknown",
            orchestrator=self._orchestrator,
            application=application.id,
            error=exc.message,
            detail=exc.detail,
        )


def _read(cache: UpstreamReads[str, V], key: str, load: Callable[[], V]) -> Read[V]:
    asked = False

    def noting() -> V:
        nonlocal asked
        asked = True
        return load()

    cached = cache.get(key, noting)
    return Read(cached.value, cached.stale, asked and not cached.stale)


def workflow_id(application: str, environment: str, workflow: str) -> str:
    """Make the id of a workflow; no part may hold an ``@``."""
    return f"{application}@{environment}@{workflow}"
