"""Watching, cancelling, pausing and resuming."""

import threading
from contextlib import nullcontext
from datetime import timedelta

import pytest
from fakes.orchestrators import UnreachableOrchestrator
from kit.patience import await_that, held
from sqlalchemy import update

from app.domain import (
    DesiredState,
    ExecutionFilter,
    ExecutionStatus,
    Identity,
    Level,
    Observation,
    Role,
    Task,
    TaskStatus,
)
from app.errors import CapabilityMissing, Conflict, Hidden, NotAllowed, NotFound, UpstreamError
from app.services.idle import outcome
from app.services.steering import requested
from app.store.execution_rows import now
from app.store.journal import Journal
from app.store.schema import executions as table

ADA = Identity("ada", frozenset({Role.USER}))
BOB = Identity("bob", frozenset({Role.USER, Role.DEVELOPER}))
OPERATOR = Identity("ops", frozenset({Role.OPERATOR}))
ADMIN = Identity("root", frozenset({Role.ADMIN}))
LONG = 3600.0
FINAL = [status for status in ExecutionStatus if status.final]


@pytest.fixture
def pausing(make_service):
    return make_service(fake="Pausing")


@pytest.fixture
def execution(pausing):
    return pausing.add_execution(owner="ada")


def show(service, execution, status, **more):
    return service.record(execution, Observation(status, **{"cursor": None, **more}))


class TestAccess:
    def test_only_the_owner_and_operators_know_of_an_execution(self, pausing, execution):
        get = pausing.services.executions.get
        for identity in (ADA, OPERATOR, ADMIN):
            assert get(execution.id, identity).id == execution.id
        with pytest.raises(NotFound):
            get(execution.id, BOB)

    @pytest.mark.parametrize("id_", ["", "x" * 65, "a/b", "a\x00", "\u00e4", "'; --", "*"])
    def test_what_cannot_be_an_id_is_not_found(self, pausing, id_):
        with pytest.raises(NotFound):
            pausing.services.executions.get(id_, ADMIN)

    def test_lists_hold_the_own_executions_only(self, pausing):
        mine = pausing.add_execution(owner="ada")
        other = pausing.add_execution(owner="bob")
        find = pausing.services.executions.find

        def ids(identity, **wanted):
            return {e.id for e in find(ExecutionFilter(**wanted), identity, 0, 10)[0]}

        assert ids(ADA) == {mine.id}
        assert ids(ADA, owners=frozenset({"bob"})) == set()
        assert find(ExecutionFilter(owners=frozenset({"bob"})), ADA, 0, 10) == ([], 0)
        assert ids(OPERATOR) == {mine.id, other.id}
        assert ids(OPERATOR, owners=frozenset({"bob"})) == {other.id}
        assert ids(OPERATOR, owners=frozenset({"ada", "bob"})) == {mine.id, other.id}

    def test_a_task_has_a_name(self, pausing, execution):
        executions = pausing.services.executions
        assert executions.task(execution.id, "second", ADA).name == "second"
        for name in ("third", "", "first\x00"):
            with pytest.raises(NotFound):
                executions.task(execution.id, name, ADA)


class TestCancel:
    def test_the_wish_is_passed_on_and_shown_at_once(self, pausing, execution):
        pausing.services.steering.cancel(execution.id, ADA)
        stored = pausing.driving.get(execution.id)
        assert stored.status is ExecutionStatus.CANCELLING
        assert stored.desired is DesiredState.CANCEL
        assert pausing.orchestrator("remote").cancelled == [execution.id]

    def test_cancelling_twice_is_fine(self, pausing, execution):
        for _ in range(2):
            pausing.services.steering.cancel(execution.id, ADA)
        assert pausing.store.get(execution.id).status is ExecutionStatus.CANCELLING

    def test_cancelling_what_was_cancelled_is_fine(self, pausing, execution):
        show(pausing, execution, ExecutionStatus.CANCELLED)
        pausing.services.steering.cancel(execution.id, ADA)
        assert pausing.orchestrator("remote").cancelled == []

    def test_an_end_that_crosses_a_cancel_is_seen(self, pausing, execution, monkeypatch):
        for status, refused in ((ExecutionStatus.CANCELLED, False), (ExecutionStatus.FAILED, True)):
            fresh = pausing.add_execution(owner="ada")

            def end(seen, status=status):
                show(pausing, seen, status)

            monkeypatch.setattr(pausing.orchestrator("remote"), "cancel", end)
            with pytest.raises(Conflict) if refused else nullcontext():
                pausing.services.steering.cancel(fresh.id, ADA)

    @pytest.mark.parametrize("status", sorted(set(FINAL) - {ExecutionStatus.CANCELLED}))
    def test_what_has_ended_cannot_be_cancelled(self, pausing, execution, status):
        show(pausing, execution, status)
        with pytest.raises(Conflict, match=status):
            pausing.services.steering.cancel(execution.id, ADA)
        assert pausing.orchestrator("remote").cancelled == []

    def test_a_refusal_changes_nothing(self, make_service):
        service = make_service(fake="Refusing")
        execution = service.add_execution(owner="ada")
        with pytest.raises(Conflict, match="refused to cancel"):
            service.services.steering.cancel(execution.id, ADA)
        stored = service.driving.get(execution.id)
        assert (stored.status, stored.desired) == (ExecutionStatus.PENDING, DesiredState.RUN)

    def test_a_silent_upstream_hears_of_it_later(self, pausing, execution):
        class Unreachable(UnreachableOrchestrator):
            def cancel(self, execution):
                raise UpstreamError("No connection.")

        pausing.services.steering._orchestrators["remote"] = Unreachable()
        pausing.services.steering.cancel(execution.id, ADA)
        assert pausing.driving.get(execution.id).desired is DesiredState.CANCEL

    def test_a_launch_in_doubt_can_be_cancelled(self, pausing):
        execution = pausing.add_execution(owner="ada", accepted=False)
        pausing.launches.doubt(execution, "?")
        pausing.services.steering.cancel(execution.id, ADA)
        assert pausing.driving.get(execution.id).desired is DesiredState.CANCEL
        assert pausing.orchestrator("remote").cancelled == []

    def test_an_orchestrator_that_is_not_configured_any_more_is_a_conflict(self, pausing):
        execution = pausing.add_execution(owner="ada", orchestrator="gone")
        with pytest.raises(Conflict, match="'gone' is not configured"):
            pausing.services.steering.cancel(execution.id, ADA)


class TestAbandon:
    def test_an_operator_can_end_whatever_has_not_ended(self, pausing, execution):
        pausing.services.steering.abandon(execution.id, OPERATOR)
        ended = pausing.store.get(execution.id)
        assert (ended.status, ended.log_complete) == (ExecutionStatus.FAILED, True)
        assert ended.error.startswith("Abandoned by 'ops'")
        statuses = {task.status for task in pausing.store.tasks(ended)}
        assert statuses == {TaskStatus.CANCELLED}

    def test_a_launch_in_doubt_too(self, pausing):
        doubtful = pausing.add_execution(accepted=False)
        pausing.launches.doubt(doubtful, "who knows")
        pausing.services.steering.abandon(doubtful.id, OPERATOR)
        pausing.launches.launched(doubtful, {"late": True})
        assert pausing.store.get(doubtful.id).status is ExecutionStatus.FAILED

    @pytest.mark.parametrize(("identity", "error"), [(ADA, NotAllowed), (BOB, NotFound)])
    def test_nobody_else_may(self, pausing, execution, identity, error):
        with pytest.raises(error):
            pausing.services.steering.abandon(execution.id, identity)
        assert not pausing.store.get(execution.id).status.final

    @pytest.mark.parametrize("status", FINAL)
    def test_what_has_ended_stays_as_it_is(self, pausing, execution, status):
        show(pausing, execution, status, log_complete=True)
        with pytest.raises(Conflict):
            pausing.services.steering.abandon(execution.id, OPERATOR)
        assert pausing.store.get(execution.id).status is status


class TestPause:
    def test_pause_and_resume(self, pausing, execution):
        steering = pausing.services.steering
        show(pausing, execution, ExecutionStatus.RUNNING)
        steering.pause(execution.id, ADA)
        steering.pause(execution.id, ADA)
        stored = pausing.driving.get(execution.id)
        assert (stored.status, stored.desired) == (ExecutionStatus.PAUSED, DesiredState.PAUSE)
        steering.resume(execution.id, ADA)
        stored = pausing.driving.get(execution.id)
        assert (stored.status, stored.desired) == (ExecutionStatus.RUNNING, DesiredState.RUN)

    def test_the_log_of_the_execution_says_who_asked(self, pausing, execution):
        steering = pausing.services.steering
        show(pausing, execution, ExecutionStatus.RUNNING)
        steering.pause(execution.id, ADA)
        steering.resume(execution.id, OPERATOR)
        steering.cancel(execution.id, OPERATOR)
        steering.cancel(execution.id, ADA)  # which adds nothing
        stored = pausing.store.get(execution.id)
        log = Journal(pausing.web.database)
        found = log.page(stored.number, stored.log_counts, Level.INFO | Level.WARN, 0, 10)
        assert [entry.content for entry in found] == [
            requested("Pause", ADA), requested("Resume", OPERATOR), requested("Cancel", OPERATOR),
        ]  # fmt: skip

    def test_what_is_not_paused_cannot_be_resumed(self, pausing, execution):
        with pytest.raises(Conflict, match="not paused"):
            pausing.services.steering.resume(execution.id, ADA)

    @pytest.mark.parametrize("status", FINAL)
    @pytest.mark.parametrize("verb", ["pause", "resume"])
    def test_what_has_ended_stays_so(self, pausing, execution, status, verb):
        show(pausing, execution, status)
        with pytest.raises(Conflict, match=status):
            getattr(pausing.services.steering, verb)(execution.id, ADA)

    @pytest.mark.parametrize("verb", ["pause", "resume"])
    def test_what_is_being_cancelled_is_not_held_up(self, pausing, execution, verb):
        pausing.services.steering.cancel(execution.id, ADA)
        with pytest.raises(Conflict):
            getattr(pausing.services.steering, verb)(execution.id, ADA)
        assert pausing.driving.get(execution.id).desired is DesiredState.CANCEL

    @pytest.mark.parametrize("verb", ["pause", "resume"])
    def test_an_orchestrator_that_cannot_pause_says_so(self, make_service, verb):
        service = make_service(fake="Obedient")
        execution = service.add_execution(owner="ada")
        with pytest.raises(CapabilityMissing, match="'remote' cannot pause"):
            getattr(service.services.steering, verb)(execution.id, ADA)
        assert service.driving.get(execution.id).desired is DesiredState.RUN


class TestWait:
    def wait(self, service, execution, seconds):
        """Wait in a thread; return the thread and where its result will be."""
        result = []
        thread = threading.Thread(
            target=lambda: result.append(
                outcome(service.services.executions.wait(execution.id, ADA, seconds))
            )
        )
        thread.start()
        await_that(lambda: held(service.web.changes))
        return thread, result

    def test_a_change_of_the_status_ends_the_wait(self, pausing, execution):
        thread, result = self.wait(pausing, execution, 60.0)
        show(pausing, execution, ExecutionStatus.RUNNING)
        thread.join(30)
        assert [e.status for e in result] == [ExecutionStatus.RUNNING]

    def test_other_changes_do_not(self, pausing, execution):
        execution = show(pausing, execution, ExecutionStatus.RUNNING)
        thread, result = self.wait(pausing, execution, 60.0)
        execution = show(pausing, execution, ExecutionStatus.RUNNING, progress=0.5, cursor=1)
        task = Task("first", TaskStatus.RUNNING)
        execution = show(pausing, execution, ExecutionStatus.RUNNING, progress=0.5, tasks=(task,))
        thread.join(0.3)
        assert thread.is_alive()
        show(pausing, execution, ExecutionStatus.SUCCESS, progress=1.0)
        thread.join(30)
        assert [e.status for e in result] == [ExecutionStatus.SUCCESS]

    def test_what_has_ended_is_told_at_once(self, pausing, execution):
        show(pausing, execution, ExecutionStatus.FAILED)
        assert outcome(pausing.services.executions.wait(execution.id, ADA, LONG)).status == "FAILED"

    def test_when_the_time_is_over_it_is_told_as_it_is(self, pausing, execution):
        steps = pausing.services.executions.wait(execution.id, ADA, 0.05)
        assert outcome(steps).status == "PENDING"

    def test_a_process_that_stops_answers_at_once(self, pausing, execution):
        thread, result = self.wait(pausing, execution, 600.0)
        pausing.web.changes.close()
        thread.join(30)
        assert [e.status for e in result] == [ExecutionStatus.PENDING]


@pytest.mark.parametrize(
    ("status", "age_seconds", "stale"),
    [
        (ExecutionStatus.RUNNING, 10, False),
        (ExecutionStatus.RUNNING, 3600, True),
        (ExecutionStatus.UNKNOWN, 3600, True),
        (ExecutionStatus.SUCCESS, 3600, False),
    ],
)
def test_a_status_that_may_be_wrong_by_now_is_stale(pausing, execution, status, age_seconds, stale):
    then = now() - timedelta(seconds=age_seconds)
    pausing.web.database.write(lambda c: c.execute(update(table).values(as_of=then, status=status)))
    assert pausing.services.executions.is_stale(pausing.store.get(execution.id)) is stale


def test_several_are_cancelled_one_after_the_other_each_with_its_own_result(service):
    able, ended, bobs = (service.add_execution(owner) for owner in ("ada", "ada", "bob"))
    service.record(ended, Observation(ExecutionStatus.SUCCESS, cursor=None))
    ids = [able.id, ended.id, bobs.id]
    first, *others = service.services.steering.cancel_each(ids, ADA, 60)
    assert first is None
    assert [type(error) for error in others] == [Conflict, Hidden]
    assert service.store.get(able.id).status is ExecutionStatus.CANCELLING
    assert service.store.get(bobs.id).status is ExecutionStatus.PENDING


def test_once_the_time_is_over_no_further_one_is_cancelled(service):
    execution = service.add_execution("ada")
    (error,) = service.services.steering.cancel_each([execution.id], ADA, 0)
    assert "took too long" in error.message
    assert service.store.get(execution.id).status is ExecutionStatus.PENDING
