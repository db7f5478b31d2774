"""What every orchestrator promises, whatever is behind it.

A rig offers an orchestrator with four workflows: ``quick`` ends by itself after some lines,
``endless`` runs until it is cancelled, ``broken`` fails, and ``picky`` takes an integer ``n`` that
is required and a text ``note`` that is not.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from fakes.alien4cloud import Alien4Cloud, script
from fakes.alien4cloud.driver import ALICE, Driver, ManualClock, make_execution, make_launch
from fakes.alien4cloud.refreshing import ended_refreshers
from kit.thrift import make_tables

from app.assembly import read_settings
from app.clients.alien4cloud import Alien4CloudOptions, Alien4CloudOrchestrator
from app.clients.orchestrator import _METHODS, Capability, Context, Orchestrator
from app.domain import JSON, DrivenExecution, ExecutionStatus, Identity, Launch, Observation
from app.engine.orchestrator import EngineOptions, EngineOrchestrator
from app.engine.recollection import Recollection
from app.errors import CapabilityMissing, Conflict, InvalidRequest, NotFound
from app.settings.schema import load_section
from app.store.database import Database

PATIENCE_SECONDS = 120.0
LINES = ["one", "two", "three"]
PICKY = {"n": "integer", "note": {"type": "string", "required": False}}


@dataclasses.dataclass
class Rig:
    """An orchestrator, and the ids of its workflows by name.

    Attributes:
        clock: The orchestrator's clock; ``sleep`` lets time pass on it.
        stored: Called with each observation, as the store is, and the execution before it.
        certain: A launch is certain when it was accepted, and what a look returns is stored in
            one piece, log entries too, which therefore need no ids.
    """

    orchestrator: Orchestrator
    workflows: dict[str, str]
    identity: Identity = ALICE
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    stored: Callable[[DrivenExecution, Observation], None] = lambda _before, _seen: None
    certain: bool = False

    def wanted(self, workflow: str, **inputs: object) -> Launch:
        return make_launch(
            self.workflows[workflow], dict(inputs), identity=self.identity, clock=self.clock
        )

    def driver(self, execution: DrivenExecution) -> Driver:
        driver = Driver(self.orchestrator, execution, self.clock, self.sleep, stored=self.stored)
        driver.follow()
        return driver

    def launch(self, workflow: str, **inputs: object) -> Driver:
        wanted = self.wanted(workflow, **inputs)
        reference = self.orchestrator.trigger(wanted)
        return self.driver(make_execution(wanted, _stored(reference)))


def _stored(value: object) -> object:
    """Return a value as the store does: after a way through JSON."""
    return json.loads(json.dumps(value))


@contextmanager
def alien4cloud() -> Iterator[Rig]:
    clock = ManualClock()
    with ended_refreshers(), Alien4Cloud(start_delay=0.1, clock=clock) as server:
        tags = {
            "hpcwaas-workflows": "quick,endless,broken,picky",
            "hpcwaas-authorized-users": "alice",
        }
        environment = server.application("covid", tags=tags).environment("prod")
        environment.workflow("quick", script=script.simple(0.4, LINES))
        environment.workflow("endless", script=script.endless())
        environment.workflow("broken", script=script.simple(0.3, LINES, end="FAILED"))
        environment.workflow("picky", inputs=PICKY, script=script.simple(0.1))
        values = {"url": server.url, "user": "admin", "password": "secret",
                  "poll": {"min": "50ms", "budget_per_second": 1000}}  # fmt: skip
        options, faults = load_section(Alien4CloudOptions, values, "")
        assert options is not None, faults
        yield Rig(
            Alien4CloudOrchestrator("hpc", options, clock=clock),
            {name: environment.workflow_id(name) for name in environment.workflows},
            clock=clock,
            sleep=clock.advance,
        )


class CursorsOfLooks:
    """Cursors of tasks, each state of them found by the cursor that was stored along with it."""

    def __init__(self) -> None:
        self._by_look: dict[str, dict[str, JSON]] = {}

    def note(self, before: DrivenExecution, seen: Observation) -> None:
        known = {} if before.cursor is None else self.of(before)
        self._by_look[seen.cursor["look"]] = {**known, **_stored(dict(seen.task_cursors))}

    def of(self, execution: DrivenExecution) -> dict[str, JSON]:
        return self._by_look[execution.cursor["look"]]


def engine_document(name: str, script: str, **more: object) -> str:
    step = {"id": "only", "type": "script", "config": {"script": script}}
    return json.dumps({"id": name, "steps": [step], **more})


@contextmanager
def engine() -> Iterator[Rig]:
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(None, {"data_dir": folder, "load.enabled": False}, {})
        make_tables(settings.database_url)
        database = Database(settings.database_url)
        options, faults = load_section(EngineOptions, {}, "")
        assert options is not None, faults
        made = EngineOrchestrator.create("hpc", options, Context(settings, database))
        cursors = CursorsOfLooks()
        made._recollection = Recollection(cursors)
        lines = "; ".join(f"echo {line}" for line in LINES)
        for document in (
            engine_document("quick", f"{lines}; sleep 0.3"),
            engine_document("endless", "sleep 600"),
            engine_document("broken", f"{lines}; exit 3"),
            engine_document(
                "picky", "true",
                inputs={"n": {"type": "integer"}, "note": {"required": False}},
            ),
        ):  # fmt: skip
            made.upload(document, None, ALICE)
        names = ("quick", "endless", "broken", "picky")
        yield Rig(
            made, {name: name for name in names},
            sleep=lambda seconds: time.sleep(min(seconds, 0.02)),  # nobody hears its doorbell
            stored=cursors.note, certain=True,
        )  # fmt: skip
        database.dispose()


RIGS: dict[str, Callable[[], object]] = {"alien4cloud": alien4cloud, "engine": engine}


@pytest.fixture(scope="module", params=RIGS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with RIGS[request.param]() as rig:  # type: ignore[attr-defined]
        yield rig


@pytest.fixture(scope="module")
def finished(rig: Rig) -> Driver:
    driver = rig.launch("quick")
    driver.until_complete(PATIENCE_SECONDS)
    return driver


def test_it_can_be_built_from_settings(rig):
    assert dataclasses.is_dataclass(type(rig.orchestrator).Options)
    assert not getattr(type(rig.orchestrator).create, "__isabstractmethod__", False)


def test_each_capability_has_its_methods_and_the_others_are_refused(rig):
    for capability in Capability:
        if capability in rig.orchestrator.capabilities:
            rig.orchestrator.require(capability)
            assert all(hasattr(rig.orchestrator, method) for method in _METHODS[capability])
        else:
            with pytest.raises(CapabilityMissing):
                rig.orchestrator.require(capability)


def test_it_is_healthy(rig):
    rig.orchestrator.health()


def test_its_workflows_are_listed_with_ids_of_their_own(rig):
    listed = rig.orchestrator.workflows(rig.identity)
    assert {workflow.id for workflow in listed} >= set(rig.workflows.values())
    assert len({workflow.id for workflow in listed}) == len(listed)
    for workflow in listed:
        assert workflow.orchestrator == rig.orchestrator.name
        assert workflow.name
        assert workflow.application_id
        assert workflow.environment_id
        assert workflow.environment_name


def test_what_is_listed_can_be_described(rig):
    for workflow in rig.orchestrator.workflows(rig.identity):
        description = rig.orchestrator.describe(workflow.id, rig.identity)
        assert description.workflow == workflow
        names = [step.name for step in description.steps]
        for index, step in enumerate(description.steps):
            assert set(step.needs) <= set(names[:index])


def test_what_is_listed_can_be_looked_up_by_id_and_by_name(rig):
    for workflow in rig.orchestrator.workflows(rig.identity):
        for reference in (workflow.id, workflow.name):
            for anew in (False, True):
                found = rig.orchestrator.look_up(reference, rig.identity, anew=anew)
                if anew and rig.certain:  # only those that keep something look again
                    assert found == []
                    continue
                assert [(f.id, f.orchestrator) for f in found] == [(workflow.id, "hpc")]
    assert rig.orchestrator.look_up("none", rig.identity) == []


def test_what_was_resolved_is_described_alike_and_launched(rig):
    [found] = rig.orchestrator.look_up("quick", rig.identity)
    for anew in (False, True):
        resolved = rig.orchestrator.resolve(found, rig.identity, anew=anew)
        assert resolved.description == rig.orchestrator.describe(found.id, rig.identity)
    wanted = dataclasses.replace(rig.wanted("quick"), workflow=resolved)
    reference = resolved.reference or rig.orchestrator.trigger(wanted)
    driver = rig.driver(make_execution(wanted, _stored(reference)))
    assert driver.until_complete(PATIENCE_SECONDS).status is ExecutionStatus.SUCCESS


def test_inputs_are_described_by_their_schema(rig):
    n, note = rig.orchestrator.describe(rig.workflows["picky"], rig.identity).inputs
    assert (n.name, n.type, n.required) == ("n", "integer", True)
    assert (note.name, note.type, note.required) == ("note", "string", False)


@pytest.mark.parametrize("workflow_id", ["", "no-such-workflow", "a@b@c", "../../etc/passwd", "\0"])
def test_a_workflow_that_does_not_exist_is_not_found(rig, workflow_id):
    with pytest.raises(NotFound):
        rig.orchestrator.describe(workflow_id, rig.identity)
    with pytest.raises(NotFound):
        rig.orchestrator.trigger(make_launch(workflow_id, identity=rig.identity))


def test_a_launch_is_accepted_at_once_and_runs_to_its_end(rig):
    driver = rig.launch("quick")
    assert not driver.execution.status.final
    execution = driver.until_complete(PATIENCE_SECONDS)
    assert execution.status is ExecutionStatus.SUCCESS
    assert execution.error is None
    assert execution.progress == 1.0
    assert execution.started_at is not None
    assert execution.started_at <= execution.finished_at


def test_the_log_holds_each_line_once_and_in_order(finished):
    assert [line for line in finished.lines if line in LINES] == LINES
    assert finished.repeated == []


def test_no_status_follows_the_final_one(finished):
    assert finished.statuses[-1] is ExecutionStatus.SUCCESS
    assert not any(status.final for status in finished.statuses[:-1])


def test_every_task_has_ended_when_the_execution_has(finished):
    assert finished.tasks
    assert all(task.status.final for task in finished.tasks.values())


def test_tasks_are_called_by_their_steps(rig, finished):
    steps = rig.orchestrator.describe(rig.workflows["quick"], rig.identity).steps
    assert {step.name for step in steps} == finished.tasks.keys()


def test_what_is_given_back_can_be_stored(rig):
    driver = rig.launch("quick")
    while not driver.execution.log_complete:
        seen = driver.look()
        assert _stored(seen.cursor) == seen.cursor
        driver.sleep(seen.poll_after_seconds)


def test_a_look_may_be_repeated_after_a_crash(rig):
    """The store may have an old cursor: what happened since is found again, not done twice."""
    driver = rig.launch("quick")
    driver.until(ExecutionStatus.RUNNING, 20)
    before, journal = driver.execution, list(driver.journal)
    driver.until_complete(PATIENCE_SECONDS)
    again = rig.driver(before)
    again.journal = journal if rig.certain else list(driver.journal)
    again.until_complete(PATIENCE_SECONDS)
    if rig.certain:  # what was seen and not stored is seen anew, at another time
        assert again.lines == driver.lines
    else:
        assert again.journal == driver.journal


def test_a_failure_tells_its_reason(rig):
    execution = rig.launch("broken").until_complete(PATIENCE_SECONDS)
    assert execution.status is ExecutionStatus.FAILED
    assert execution.error


def test_a_cancel_ends_what_runs_and_may_be_repeated(rig):
    driver = rig.launch("endless")
    driver.until(ExecutionStatus.RUNNING, 20)
    driver.want_cancel()
    for _ in range(2):
        rig.orchestrator.cancel(driver.execution)
    execution = driver.until_complete(PATIENCE_SECONDS)
    assert execution.status is ExecutionStatus.CANCELLED
    assert all(task.status.final for task in driver.tasks.values())


def test_a_cancel_that_is_only_wanted_is_worked_towards(rig):
    driver = rig.launch("endless")
    driver.until(ExecutionStatus.RUNNING, 20)
    driver.want_cancel()
    assert driver.until_complete(PATIENCE_SECONDS).status is ExecutionStatus.CANCELLED


def test_what_has_ended_cannot_be_cancelled(rig, finished):
    with pytest.raises(Conflict):
        rig.orchestrator.cancel(finished.execution)


@pytest.mark.parametrize("inputs", [{}, {"n": "five"}, {"n": 1, "stray": 2}])
def test_wrong_inputs_are_refused_with_their_place(rig, inputs):
    with pytest.raises(InvalidRequest) as caught:
        rig.launch("picky", **inputs)
    assert all(fault.path.startswith("inputs.") for fault in caught.value.fields)


def test_right_inputs_are_taken(rig):
    assert (
        rig.launch("picky", n=1, note="x").until_complete(PATIENCE_SECONDS).status
        is ExecutionStatus.SUCCESS
    )


def test_a_launch_that_went_through_is_not_lost(rig):
    reference = rig.orchestrator.trigger(rig.wanted("quick"))
    assert reference is not None
    assert _stored(reference) == reference


def test_an_execution_that_never_was_is_not_found(rig, finished):
    if rig.certain:
        pytest.skip("whatever is launched exists")
    reference = {**finished.execution.reference, "execution": str(uuid.uuid4())}
    old = datetime.fromtimestamp(0, UTC)
    driver = rig.driver(make_execution(rig.wanted("quick"), reference, created_at=old))
    with pytest.raises(NotFound):
        driver.until_complete(100)
