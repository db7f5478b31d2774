"""Launching a workflow, and finding out whether a launch happened."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile

from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.catalogue import Catalogue, Place
from app.clients.alien4cloud.describe import Describer
from app.clients.alien4cloud.inputs import encode
from app.clients.alien4cloud.model import Run
from app.clients.alien4cloud.reference import KnownRuns, Reference
from app.clients.alien4cloud.session import (
    BAD_WORKFLOW_OPERATION,
    ILLEGAL_PARAMETER,
    NOT_FOUND,
    PROPERTY_CONSTRAINT_VIOLATION,
    Rejection,
)
from app.domain import JSON, Launch
from app.errors import (
    InvalidRequest,
    NotFound,
    SlipwayError,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_CLOCK_SLACK_MS = 30_000
_FIND_AGAIN_SECONDS = 2.0

_REFUSALS: Mapping[int | None, type[SlipwayError]] = {
    ILLEGAL_PARAMETER: InvalidRequest,
    PROPERTY_CONSTRAINT_VIOLATION: InvalidRequest,
    BAD_WORKFLOW_OPERATION: InvalidRequest,
    NOT_FOUND: NotFound,
}
"""Whose fault a refused launch is; Alien4Cloud's, where the code is not here (section 6)."""


class Launches:
    """Launches workflows.

    Args:
        catalogue: Decides who may launch what.
        describer: Tells what inputs are expected.
        api: The calls.
        known: Executions that belong to launches already.
        grace_seconds: How long a launch may take to show.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        describer: Describer,
        api: Alien4CloudApi,
        known: KnownRuns,
        grace_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._describer = describer
        self._api = api
        self._known = known
        self._grace_seconds = grace_seconds
        self._clock = clock

    def trigger(self, launch: Launch) -> JSON:
        """Check a launch and ask for it; see :meth:`Orchestrator.trigger`.

        Raises:
            NotFound: There is no such workflow for this user, or it is not deployed.
            InvalidRequest: The inputs are wrong, by our checks or by Alien4Cloud's.
            UpstreamRefused: Alien4Cloud or its orchestrator said no.
            UpstreamUnreachable: It surely did not start.
            UpstreamTimeout, UpstreamGarbled: It may have started.
        """
        try:
            place = self._catalogue.find(launch.workflow_id, launch.identity)
            inputs = self._encoded(launch, place)
        except (UpstreamTimeout, UpstreamGarbled) as exc:
            # Only a look so far: whatever happened to it, nothing was launched.
            raise UpstreamUnreachable(exc.message, detail=exc.detail) from exc
        application, environment = place.application.id, place.environment.id
        try:
            run = self._api.launch(application, environment, place.workflow, inputs)
        except Rejection as exc:
            kind = _REFUSALS.get(exc.error_code)
            if kind is None:
                raise
            raise kind(f"Alien4Cloud refused the launch: {exc.reason}") from exc
        if run is None:
            raise UpstreamRefused("Alien4Cloud took the launch, but made no execution of it.")
        self._known.claim(run, launch.execution_id)
        return Reference(application, environment, place.workflow, run).dump()

    def find(self, launch: Launch) -> JSON:
        """Look for what a launch with unknown outcome began; see :meth:`Orchestrator.find`.

        Alien4Cloud keeps no mark of ours, so an execution counts as the one when it alone is of
        that workflow and environment, began since the launch, belongs to no other launch, and had
        the same inputs as far as can be seen (Alien4Cloud 3.8 REST, sections 5, 7 and 9).

        Raises:
            UpstreamError: Several fit, or it is too early to tell, or Alien4Cloud failed.
        """
        try:
            application, environment, workflow = launch.workflow_id.split("@")
        except ValueError:
            return None
        created = launch.created_at.timestamp()
        since_ms = round(created * 1000) - _CLOCK_SLACK_MS
        runs = [
            run
            for run in self._runs_since(application, environment, since_ms)
            if run.workflow == workflow
        ]
        candidates = [run for run in runs if self._known.free_for(run.id, launch.execution_id)]
        if len(candidates) > 1:
            ids = ", ".join(run.id for run in candidates)
            text = "Several executions of Alien4Cloud may be the one that was launched."
            raise UpstreamError(text, detail=ids)
        for run in candidates:
            agrees = run is not runs[0] or self._inputs_agree(launch)
            if agrees and self._known.claim(run.id, launch.execution_id):
                return Reference(application, environment, workflow, run.id).dump()
        if min(self._clock() - created, self._api.up_seconds) < self._grace_seconds:
            text = "The launch does not show on Alien4Cloud yet."
            raise UpstreamError(text, retry_after_seconds=_FIND_AGAIN_SECONDS)
        return None

    def _encoded(self, launch: Launch, place: Place) -> dict[str, JSON]:
        return encode(self._describer.look_up(place)[1].inputs, launch.inputs)

    def _runs_since(self, application: str, environment: str, since_ms: int) -> Iterator[Run]:
        """List the executions in the deployments that lived since then, newest first."""
        deployments = takewhile(
            lambda d: d.ended_ms is None or d.ended_ms >= since_ms,
            self._api.deployments(environment),
        )
        for deployment in deployments:
            if deployment.application == application:
                yield from self._api.runs_since(deployment.id, since_ms)

    def _inputs_agree(self, launch: Launch) -> bool:
        """Compare with the inputs of the workflow's latest launch, unless they are gone."""
        try:
            place = self._catalogue.find(launch.workflow_id, launch.identity)
            ours = self._encoded(launch, place)
        except (NotFound, InvalidRequest):  # it was changed since
            return True
        path = (place.application.id, place.environment.id, place.workflow)
        theirs = if_known(self._api.last_inputs, *path)
        return not theirs or all(_same(theirs.get(name), ours[name]) for name in ours)


def _same(theirs: JSON, ours: JSON) -> bool:
    return theirs == ours or _canonical(theirs) == _canonical(ours)


def _canonical(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
