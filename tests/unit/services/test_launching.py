"""Launching exactly once, whatever the orchestrator does."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fakes.orchestrators import ObedientOrchestrator, SlowOrchestrator
from kit.patience import PATIENCE_SECONDS
from sqlalchemy import event, update

from app.conductor import Conductor
from app.domain import (
    ExecutionFilter,
    ExecutionStatus,
    Identity,
    Parameter,
    ResolvedWorkflow,
    Role,
)
from app.engine.folder import DefinitionFolder
from app.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    UpstreamRefused,
    UpstreamUnreachable,
)
from app.services.idle import outcome
from app.services.inputs import InputChecker
from app.services.launching import LaunchService
from app.services.workflows import WorkflowService
from app.store.conductors import Node
from app.store.database import Database
from app.store.schema import executions as table

ADA = Identity("ada", frozenset({Role.USER}))


@pytest.fixture
def conduct():
    """Run a conductor over the very orchestrators of a service, until the test ends."""
    running = []

    def start(service):
        orchestrators = service.services.steering._orchestrators
        conductor = Conductor(
            service.web.database, orchestrators, service.settings.conductor, Node("host/mark", "")
        )
        thread = threading.Thread(target=conductor.run)
        thread.start()
        running.append((conductor, thread))

    yield start
    for conductor, thread in running:
        conductor.stop()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


ASKED_LONG_AGO = {"asked_up_ms": -3_600_000}
"""Of a launch: an hour before the machine was started."""


def launch(service, inputs=None, key=None, reference="remote"):
    return service.services.launching.launch(reference, inputs, ADA, key=key)


def number_of_executions(service):
    return service.store.find(ExecutionFilter())[1]


def ended(service, execution):
    """Wait for the end of an execution."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        current = outcome(service.services.executions.wait(execution.id, ADA, 5.0))
        if current.status.final:
            return current
        assert time.monotonic() < deadline


def test_an_accepted_launch_is_asked_for_once_and_with_all_that_identifies_it(make_service):
    service = make_service(fake="Obedient")
    execution = launch(service, {"colour": "blue"})
    [asked] = service.orchestrator("remote").launched
    assert asked.execution_id == execution.id
    assert (asked.workflow_id, asked.inputs) == ("remote", {"colour": "blue"})
    assert (asked.identity, asked.created_at) == (ADA, execution.created_at)
    stored = service.driving.get(execution.id)
    assert (stored.status, stored.reference) == (ExecutionStatus.PENDING, {"job": execution.id})
    assert (stored.owner, stored.workflow_name) == ("ada", "Remote")


def test_defaults_are_written_down_with_the_launch(make_service):
    assert launch(make_service(fake="Obedient")).inputs == {"colour": "red"}


@pytest.mark.parametrize(
    ("reference", "inputs", "error"),
    [
        ("nothing", {}, NotFound),
        ("remote", {"colour": "green"}, InvalidRequest),
        ("remote", {"coulor": "red"}, InvalidRequest),
        ("remote", [], InvalidRequest),
    ],
)
def test_what_cannot_be_launched_is_neither_written_down_nor_asked_for(
    make_service, reference, inputs, error
):
    service = make_service(fake="Obedient")
    with pytest.raises(error):
        launch(service, inputs, reference=reference)
    assert number_of_executions(service) == 0
    assert service.orchestrator("remote").launched == []


@pytest.mark.parametrize(
    ("fake", "error"),
    [("Refusing", UpstreamRefused), ("UnreachableAtLaunch", UpstreamUnreachable)],
)
def test_what_surely_did_not_start_leaves_nothing(make_service, fake, error):
    service = make_service(fake=fake)
    with pytest.raises(error):
        launch(service, key="k")
    assert number_of_executions(service) == 0


def test_after_a_launch_that_did_not_arrive_the_same_key_launches(make_service):
    service = make_service(fake="UnreachableAtLaunch")
    with pytest.raises(UpstreamUnreachable):
        launch(service, key="k")
    service.orchestrator("remote").unreachable = False
    execution = launch(service, key="k")
    assert [asked.execution_id for asked in service.orchestrator("remote").launched] == [
        execution.id
    ]


def test_a_launch_without_an_answer_exists_and_says_what_is_done_about_it(make_service):
    service = make_service(fake="TimingOut")
    execution = service.store.get(launch(service).id)
    assert execution.status is ExecutionStatus.UNKNOWN
    assert "being looked up" in execution.error
    assert "do not launch again" in execution.error


def test_a_launch_whose_reference_another_one_was_given_is_looked_up(make_service, monkeypatch):
    service = make_service(fake="Obedient")
    orchestrator = service.orchestrator("remote")
    monkeypatch.setattr(type(orchestrator), "own_references", True)
    monkeypatch.setattr(orchestrator, "trigger", lambda launch: {"job": 1})
    first, second = (service.driving.get(launch(service).id) for _ in range(2))
    assert first.reference == {"job": 1}
    assert (second.reference, second.status) == (None, ExecutionStatus.UNKNOWN)
    assert "belongs to another execution" in second.error


def test_a_launch_without_an_answer_is_found_and_was_done_once(make_service, conduct):
    service = make_service(fake="TimingOut")
    execution = launch(service)
    conduct(service)
    execution = ended(service, execution)
    assert (execution.status, execution.outputs) == (ExecutionStatus.SUCCESS, {"answer": 42})
    assert execution.error is None
    assert len(service.orchestrator("remote").launched) == 1


def test_a_launch_that_was_lost_on_the_way_fails_and_may_be_repeated(make_service, conduct):
    service = make_service(fake="Forgetful")
    execution = launch(service)
    conduct(service)
    execution = ended(service, execution)
    assert execution.status is ExecutionStatus.FAILED
    assert "safe to launch again" in execution.error


def test_a_launch_without_an_answer_repeated_with_its_key_is_not_asked_for_again(make_service):
    service = make_service(fake="TimingOut")
    ids = {launch(service, key="k").id for _ in range(3)}
    assert len(ids) == 1
    assert len(service.orchestrator("remote").launched) == 1


def test_a_launch_whose_process_died_before_asking_is_settled(make_service, conduct):
    service = make_service(fake="Obedient")
    execution = service.add_execution(owner="ada", accepted=False)
    service.web.database.write(lambda c: c.execute(update(table).values(**ASKED_LONG_AGO)))
    conduct(service)
    execution = ended(service, execution)
    assert execution.status is ExecutionStatus.FAILED
    assert "safe to launch again" in execution.error


def test_the_engine_goes_on_with_a_launch_whose_process_died(conducted, write_workflow):
    """The engine's side is our own store, so the launch is certain and is simply carried out."""
    write_workflow("{id: flow, steps: [{id: first, type: script, config: {script: 'true'}}]}")
    execution = conducted.add_execution(owner="ada", accepted=False, steps=["first"])
    long_ago = {**ASKED_LONG_AGO, "wanted": table.c.wanted + 1}
    conducted.web.database.write(lambda c: c.execute(update(table).values(**long_ago)))
    assert ended(conducted, execution).status is ExecutionStatus.SUCCESS


def test_an_execution_that_its_orchestrator_forgot_has_failed(make_service, conduct):
    service = make_service(fake="Forgetful")
    execution = service.add_execution(owner="ada")
    conduct(service)
    execution = ended(service, execution)
    assert execution.status is ExecutionStatus.FAILED
    assert "It is not among the jobs." in execution.error


def test_the_same_key_gives_the_same_execution_and_is_asked_for_once(make_service):
    service = make_service(fake="Obedient")
    ids = {launch(service, {"colour": "blue"}, key="k").id for _ in range(3)}
    assert len(ids) == 1
    assert len(service.orchestrator("remote").launched) == 1


def test_the_same_key_for_other_inputs_is_a_conflict(make_service):
    service = make_service(fake="Obedient")
    launch(service, {"colour": "blue"}, key="k")
    with pytest.raises(Conflict):
        launch(service, {"colour": "red"}, key="k")
    assert len(service.orchestrator("remote").launched) == 1


def test_the_same_key_for_another_workflow_is_a_conflict(make_service):
    service = make_service(fake="Obedient")
    service.orchestrator("remote").workflow_ids = ("remote", "other")
    launch(service, key="k")
    with pytest.raises(Conflict):
        launch(service, key="k", reference="other")
    with pytest.raises(Conflict):
        service.services.launching.launch("remote", None, ADA, key="k", orchestrator="remote")
    assert len(service.orchestrator("remote").launched) == 1


def test_many_requests_with_one_key_at_the_same_moment_launch_once(make_service):
    service = make_service(fake="Obedient")
    with ThreadPoolExecutor(8) as pool:
        ids = {e.id for e in pool.map(lambda _: launch(service, key="k"), range(8))}
    assert len(ids) == 1
    assert len(service.orchestrator("remote").launched) == 1


class Remembering(ObedientOrchestrator):
    """Remembers what its workflow takes until it is asked to read that anew."""

    def __init__(self):
        super().__init__()
        self.now = self.kept = Parameter("old", "string", required=False)
        self.read = []

    def resolve(self, found, identity, *, anew=False):
        self.read.append(anew)
        description = super().resolve(found, identity).description
        takes = self.now if anew else self.kept
        return ResolvedWorkflow(
            replace(description, inputs=(takes,)), origin=takes.name, kept=not anew
        )


@pytest.fixture
def remembering(service):
    """A launch service in front of an orchestrator that remembers."""
    orchestrator = Remembering()
    launching = LaunchService(
        WorkflowService({"remote": orchestrator}), service.launches, service.web.changes,
        inputs=InputChecker(), places=service.services.places,
    )  # fmt: skip
    return orchestrator, launching


def test_what_was_checked_is_what_is_launched(remembering):
    orchestrator, launching = remembering
    launching.launch("remote", {"old": "x"}, ADA)
    [asked] = orchestrator.launched
    assert (asked.workflow.origin, orchestrator.read) == ("old", [False])


def test_nothing_that_is_remembered_refuses_inputs(remembering):
    orchestrator, launching = remembering
    orchestrator.now = Parameter("new", "string", required=True)
    launching.launch("remote", {"new": "x"}, ADA)
    [asked] = orchestrator.launched
    assert (asked.workflow.origin, orchestrator.read) == ("new", [False, True])
    with pytest.raises(InvalidRequest) as caught:
        launching.launch("remote", {"newer": "x"}, ADA)
    assert [f.path for f in caught.value.fields] == ["inputs.newer", "inputs.new"]


def test_inputs_that_went_astray_are_judged_by_the_workflow_as_it_is(remembering):
    orchestrator, launching = remembering
    orchestrator.now = Parameter("new", "string", required=False)
    launching.launch("remote", {}, ADA, beside=["old"])
    with pytest.raises(InvalidRequest):
        launching.launch("remote", {"new": 1}, ADA, beside=["new"])


FLOW = "{id: flow, name: Flow, steps: [{id: first, type: script, config: {script: 'true'}}]}"


@pytest.mark.parametrize("reference", ["flow", "Flow"])
def test_a_launch_on_the_engine_is_one_transaction_and_one_look_at_the_folder(
    service, write_workflow, monkeypatch, reference
):
    write_workflow(FLOW)
    launch(service, reference=reference)
    writes, looks, here = [], [], threading.get_ident()
    write, look = Database.write, DefinitionFolder._stamps

    def note(self, *args, **kwargs):
        if threading.get_ident() == here:  # the audit writes meanwhile, in a thread of its own
            writes.append(1)
        return write(self, *args, **kwargs)

    monkeypatch.setattr(Database, "write", note)
    monkeypatch.setattr(DefinitionFolder, "_stamps", lambda self: (looks.append(1), look(self))[1])
    launch(service, reference=reference)
    assert (len(writes), len(looks)) == (1, 1)


def test_a_launch_on_the_engine_takes_few_statements(service, write_workflow):
    write_workflow(FLOW)
    launch(service, reference="flow")
    statements, here = [], threading.get_ident()

    def note(_connection, _cursor, statement, *_):
        if threading.get_ident() == here:  # the feed looks meanwhile, in a thread of its own
            statements.append(statement)

    for engine in (service.web.database._reader, service.web.database.engine()):
        event.listen(engine, "before_cursor_execute", note)
    launch(service, reference="flow")
    written = [s for s in statements if not s.startswith("SELECT")]
    assert [s.split()[:3] for s in written] == [
        ["UPDATE", "counters", "SET"],  # both at once
        ["INSERT", "INTO", "executions"],
        ["INSERT", "INTO", "tasks"],
    ]
    assert not [s for s in statements if s.startswith("SELECT") and "FROM executions" in s]


def test_a_launch_on_the_engine_is_accepted_by_being_written_down(service, write_workflow):
    write_workflow(FLOW)
    execution = launch(service, reference="flow", key="k")
    digest = service.driving.get(execution.id).reference["definition"]
    write_workflow(FLOW.replace("'true'", "'false'"))
    assert launch(service, reference="flow", key="k").id == execution.id
    other = launch(service, reference="flow")
    assert service.driving.get(other.id).reference["definition"] != digest


class Slow:
    """A launch service in front of a slow orchestrator, and launches under way in threads."""

    def __init__(self, service, *, fails):
        self.orchestrator = SlowOrchestrator(fails=fails)
        self.service = LaunchService(
            WorkflowService({"remote": self.orchestrator}), service.launches, service.web.changes,
            inputs=InputChecker(), places=service.services.places,
        )  # fmt: skip
        self._pool = ThreadPoolExecutor(2)

    def launch(self):
        return self._pool.submit(self.service.launch, "remote", {}, ADA, key="k")


def test_a_repetition_waits_until_the_launch_is_certain(service):
    slow = Slow(service, fails=False)
    first = slow.launch()
    assert slow.orchestrator.asked.wait(PATIENCE_SECONDS)
    again = slow.launch()
    time.sleep(0.2)
    assert not again.done()
    slow.orchestrator.answer.set()
    assert again.result(PATIENCE_SECONDS).id == first.result(PATIENCE_SECONDS).id
    assert len(slow.orchestrator.launched) == 1


def test_a_repetition_never_gets_the_id_of_a_launch_that_is_withdrawn(service):
    slow = Slow(service, fails=True)
    first = slow.launch()
    assert slow.orchestrator.asked.wait(PATIENCE_SECONDS)
    again = slow.launch()
    slow.orchestrator.answer.set()
    for attempt in (first, again):
        with pytest.raises(UpstreamUnreachable):
            attempt.result(PATIENCE_SECONDS)
    assert number_of_executions(service) == 0
