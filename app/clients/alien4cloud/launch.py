"""Launching a workflow, and finding out whether a launch happened."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import takewhile

from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.describe import Describer, Launchable
from app.clients.alien4cloud.inputs import Input, encode, normal, to_wire
from app.clients.alien4cloud.lost import SameInputs, may_have_begun, share_out
from app.clients.alien4cloud.model import CLOCK_SLACK_MS, Run
from app.clients.alien4cloud.reference import Reference
from app.clients.alien4cloud.session import (
    BAD_WORKFLOW_OPERATION,
    ILLEGAL_PARAMETER,
    NOT_FOUND,
    PROPERTY_CONSTRAINT_VIOLATION,
    InternalFailure,
    Rejection,
)
from app.clients.orchestrator import LostLaunch
from app.domain import JSON, Launch
from app.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    SlipwayError,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_FIND_AGAIN_SECONDS = 2.0
"""How soon the conductor looks again for a launch of which it cannot be told what it began."""

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
        describer: Tells who may launch what, and what inputs are expected.
        api: The calls.
        grace_seconds: How long a launch may take to show, once it was accepted.
        launch_seconds: How long it may take to be accepted.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        describer: Describer,
        api: Alien4CloudApi,
        grace_seconds: float,
        launch_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._describer = describer
        self._api = api
        self._grace_seconds = grace_seconds
        self._launch_seconds = launch_seconds
        self._clock = clock

    def trigger(self, launch: Launch) -> JSON:
        """Check a launch and ask for it; see :meth:`Orchestrator.trigger`.

        Raises:
            NotFound: There is no such workflow for this user, or it is not deployed.
            InvalidRequest: The inputs are wrong, by our checks or by Alien4Cloud's.
            Conflict: The workflow was changed after the inputs were checked against it.
            UpstreamRefused: Alien4Cloud or its orchestrator said no.
            UpstreamUnreachable: It surely did not start.
            UpstreamTimeout, UpstreamGarbled: It may have started.
        """
        launchable, inputs = self._prepared(launch)
        place = launchable.place
        application, environment = place.application.id, place.environment.id
        try:
            run = self._api.launch(application, environment, place.workflow, inputs)
        except SlipwayError as exc:
            # What was kept of the workflow may be what is wrong, so the next launch looks again.
            self._describer.forget(place)
            meaning = self._explained(exc, launch, inputs)
            if meaning is exc:
                raise
            raise meaning from exc
        if run is None:
            raise UpstreamRefused("Alien4Cloud took the launch, but made no execution of it.")
        return Reference(application, environment, place.workflow, run).dump()

    def _prepared(self, launch: Launch) -> tuple[Launchable, dict[str, JSON]]:
        """Return what to launch, and its inputs; those of a resolved workflow were checked."""
        if launch.workflow is not None:
            launchable: Launchable = launch.workflow.origin
            return launchable, to_wire(launchable.inputs, launch.inputs)
        try:
            launchable = self._look_up(launch)
        except (UpstreamTimeout, UpstreamGarbled) as exc:
            # Only a look so far: whatever happened to it, nothing was launched.
            raise UpstreamUnreachable(exc.message, detail=exc.detail) from exc
        return launchable, encode(launchable.inputs, launch.inputs)

    def _look_up(self, launch: Launch) -> Launchable:
        place, deployed = self._describer.look_up(launch.workflow_id, launch.identity)
        return Launchable(place, deployed.workflow(place.workflow).inputs)

    def _explained(
        self, exc: SlipwayError, launch: Launch, inputs: Mapping[str, JSON]
    ) -> SlipwayError:
        """Return what a failed launch means.

        An internal error leaves it open whether anything began, but for one: Alien4Cloud fails like
        that, before it asks its orchestrator, where what it gets does not fit the workflow
        (section 6). That happens when the workflow was changed after it was read.
        """
        if isinstance(exc, Rejection) and exc.error_code in _REFUSALS:
            return _REFUSALS[exc.error_code](f"Alien4Cloud refused the launch: {exc.reason}")
        kept = launch.workflow is not None and launch.workflow.kept
        if isinstance(exc, InternalFailure) and kept and not self._fits(launch, inputs):
            return Conflict("The workflow has just been changed; launch it again.")
        return exc

    def _fits(self, launch: Launch, inputs: Mapping[str, JSON]) -> bool:
        """Return whether a workflow takes some inputs as it is now; if in doubt, it does."""
        try:
            known = {item.parameter.name for item in self._look_up(launch).inputs}
        except NotFound:
            return False
        except UpstreamError:
            return True
        return inputs.keys() <= known

    def find(self, launch: LostLaunch) -> JSON:
        """Look for what a launch with unknown outcome began; see :meth:`Orchestrator.find`.

        Raises:
            UpstreamError: It cannot be told yet, or Alien4Cloud failed.
        """
        try:
            application, environment, workflow = launch.workflow_id.split("@")
        except ValueError:
            return None
        # Alien4Cloud takes no mark of ours, so an execution is told by workflow, start and inputs.
        # All launches in doubt are judged together: each must come to the same answer, so that no
        # two of them take one execution.
        doubtful = sorted((launch, *launch.rivals), key=lambda x: (x.created_at, x.execution_id))
        runs = self._runs(application, environment, workflow, doubtful[0].created_at)
        taken = {Reference.load(reference).execution for reference in launch.taken}
        free = [run for run in runs if run.id not in taken]
        if free:
            found = self._choose(launch, doubtful, free, runs[-1])
            if found is not None:
                return Reference(application, environment, workflow, found.id).dump()
        # Nothing found proves nothing at once: Alien4Cloud may hold a launch back for minutes.
        if not self._shows_by_now(launch, held_back_seconds=self._launch_seconds):
            raise _does_not_show()
        return None

    def _choose(
        self, launch: LostLaunch, doubtful: Sequence[Launch], free: Sequence[Run], latest: Run
    ) -> Run | None:
        """Choose among the executions that are nobody's; None where it surely began none of them.

        Raises:
            UpstreamError: It cannot be told yet.
        """
        if launch.under_way:
            text = "Another launch of the workflow is under way, and may have begun what is found."
            raise UpstreamError(text, retry_after_seconds=_FIND_AGAIN_SECONDS)
        expected = self._expected(launch)
        # Before that, the latest inputs may be those of an execution that does not show yet.
        if (expected is None or expected) and not all(map(self._shows_by_now, doubtful)):
            raise _does_not_show()
        same = self._comparison(launch, expected, latest)
        shares = share_out(doubtful, free, same)
        if launch.execution_id in shares.found:
            return shares.found[launch.execution_id]
        # Better UNKNOWN for longer than a wrong execution, or a second launch of one that runs.
        rest = [run.id for run in shares.rest if may_have_begun(launch, run, same)]
        if rest:
            text = "Several executions of Alien4Cloud may be the one that was launched."
            raise UpstreamError(text, detail=", ".join(rest))
        return None

    def _shows_by_now(self, launch: Launch, held_back_seconds: float = 0.0) -> bool:
        """Return whether what a launch began, at once or after a while, would be visible."""
        # A server that was away, or has just started, may not have shown it before.
        age_seconds = self._clock() - launch.created_at.timestamp() - held_back_seconds
        return min(age_seconds, self._api.up_seconds) >= self._grace_seconds

    def _runs(
        self, application: str, environment: str, workflow: str, since: datetime
    ) -> list[Run]:
        """List the executions of a workflow in the deployments that lived since, oldest first."""
        since_ms = round(since.timestamp() * 1000) - CLOCK_SLACK_MS
        deployments = takewhile(
            lambda d: d.ended_ms is None or d.ended_ms >= since_ms,
            self._api.deployments(environment),
        )
        runs = [
            run
            for deployment in deployments
            if deployment.application == application
            for run in self._api.runs_since(deployment.id, since_ms)
            if run.workflow == workflow
        ]
        return sorted(runs, key=lambda run: (run.started_ms, run.id))

    def _expected(self, launch: Launch) -> Sequence[Input] | None:
        """Return what inputs a workflow takes; None where it was changed since."""
        try:
            return self._look_up(launch).inputs
        except NotFound:
            return None

    def _comparison(
        self, launch: Launch, expected: Sequence[Input] | None, latest: Run
    ) -> SameInputs:
        """Compare with the inputs of the workflow's latest launch; no others are kept."""
        if expected is None:
            return lambda *_: None
        if not expected:
            return lambda *_: True
        theirs = if_known(self._api.last_inputs, *launch.workflow_id.split("@"))

        def same(other: Launch, run: Run) -> bool | None:
            if run.id != latest.id or not theirs:
                return None
            try:
                ours = encode(expected, other.inputs)
            except InvalidRequest:
                return None
            return all(_agree(item, theirs, ours) for item in expected)

        return same


def _does_not_show() -> UpstreamError:
    text = "The launch does not show on Alien4Cloud yet."
    return UpstreamError(text, retry_after_seconds=_FIND_AGAIN_SECONDS)


def _agree(item: Input, theirs: Mapping[str, JSON], ours: Mapping[str, JSON]) -> bool:
    """Compare one input; what a launch leaves out may be kept as its default."""
    name = item.parameter.name
    if name in ours:
        return _same(theirs.get(name), ours[name])
    return theirs.get(name) is None or normal(item, theirs[name]) == item.parameter.default


def _same(theirs: JSON, ours: JSON) -> bool:
    return theirs == ours or _canonical(theirs) == _canonical(ours)


def _canonical(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
