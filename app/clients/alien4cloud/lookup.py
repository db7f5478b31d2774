"""Finding the workflow that a user names, by as few calls as that takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.clients.alien4cloud.catalogue import NAME, Catalogue, workflow_id
from app.clients.alien4cloud.model import Application, Environment
from app.domain import FoundWorkflow, Identity

_AGAIN_SECONDS = 2.0
"""Who names what nobody has seen makes us ask again, but not more often than this."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of a workflow's place in this very request, and need not be read again."""

    application: Application
    environment: Environment


class Lookups:
    """Finds workflows by id or name, from memory where that is fresh enough.

    What is found from memory is read again before it is launched, so an old answer lets nobody in.

    Args:
        orchestrator: Name of the orchestrator, for the records.
        catalogue: The applications and their environments.
    """

    def __init__(self, orchestrator: str, catalogue: Catalogue) -> None:
        self._orchestrator = orchestrator
        self._catalogue = catalogue

    def look_up(self, reference: str, identity: Identity, *, anew: bool) -> list[FoundWorkflow]:
        """Find what a user may launch by an id, or else by a name.

        Args:
            reference: The id or name.
            identity: The user.
            anew: Nobody knows it from memory, so ask again; every two seconds at most, since who
                makes names up gets here each time.

        Raises:
            UpstreamError: Alien4Cloud failed, and nothing is known from before.
        """
        parts = reference.split("@")
        if len(parts) not in (1, 3) or not all(map(NAME.fullmatch, parts)):
            return []
        if anew:
            self._catalogue.expire(_AGAIN_SECONDS)
        by_id = len(parts) == 3
        seen = self._with_id(parts, identity) if by_id else self._named(reference, identity)
        return [FoundWorkflow(id_, self._orchestrator, origin) for id_, origin in seen]

    def _with_id(self, parts: list[str], identity: Identity) -> Iterator[tuple[str, Seen | None]]:
        """Find an id; two servers may have an application of the same name, but no environment."""
        id_ = "@".join(parts)
        applications = self._catalogue.applications()
        application = applications.value.by_id.get(parts[0])
        if application is None or not application.offers(parts[2], identity.username):
            return
        for found, seen in self._within(application, parts[2], applications.just_now):
            if found == id_:
                yield found, seen

    def _named(self, name: str, identity: Identity) -> Iterator[tuple[str, Seen | None]]:
        applications = self._catalogue.applications()
        for application in applications.value.by_id.values():
            if application.offers(name, identity.username):
                yield from self._within(application, name, applications.just_now)

    def _within(
        self, application: Application, name: str, just_now: bool
    ) -> Iterator[tuple[str, Seen | None]]:
        environments = self._catalogue.environments(application)
        fresh = just_now and environments.just_now
        for environment in environments.value:
            seen = Seen(application, environment) if fresh else None
            yield workflow_id(application.id, environment.id, name), seen
