from datetime import timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import StatementError
from store_kit import NODE, OWNER, StoreKit, entries, let_through, together

from app.domain import (
    FINAL_STATUSES,
    DesiredState,
    ExecutionFilter,
    ExecutionStatus,
    Level,
    Observation,
    Task,
    TaskStatus,
)
from app.errors import Conflict, NotFound, QuotaExceeded
from app.store import launch_times
from app.store.conductors import Conductors, Node, OwnProcess
from app.store.database import Database
from app.store.execution_rows import NotHeld, now
from app.store.launches import UsedKey
from app.store.schema import executions as table

FINAL = sorted(FINAL_STATUSES)
OPEN = [status for status in ExecutionStatus if not status.final]


def age(kit, execution, seconds):
    """Let an execution have been written down earlier."""
    at = now() - timedelta(seconds=seconds)
    earlier = {"created_at": at, "asked_up_ms": table.c.asked_up_ms - seconds * 1000}
    mine = update(table).where(table.c.id == execution.id)
    kit.database.write(lambda c: c.execute(mine.values(**earlier)))


@pytest.fixture
def clocks(monkeypatch):
    """Set the clock, and let time go by, as those see it who take launches over."""
    began, up = now(), launch_times.uptime()

    def at(*, passed, step=0, boot=None):
        monkeypatch.setattr(launch_times, "uptime", lambda: up + passed)
        shown = began + timedelta(seconds=passed + step)
        monkeypatch.setattr(launch_times, "now", lambda: shown)
        if boot is not None:
            monkeypatch.setattr(launch_times, "boot_id", lambda: boot)

    return at


class TestIntent:
    def test_a_launch_is_written_down_as_pending_with_all_of_its_tasks(self, kit):
        execution = kit.create(inputs={"n": 10, "s": "a\u0000b\U0001f600"})
        assert kit.executions.get(execution.id) == execution
        execution = kit.driving.get(execution.id)
        assert execution.status is ExecutionStatus.PENDING
        assert execution.desired is DesiredState.RUN
        assert execution.inputs == {"n": 10, "s": "a\u0000b\U0001f600"}
        assert (execution.outputs, execution.error, execution.progress) == ({}, None, 0.0)
        assert (execution.reference, execution.log_total, execution.log_complete) == (
            None,
            0,
            False,
        )
        tasks = kit.executions.tasks(execution)
        assert [(t.name, t.status) for t in tasks] == [
            ("first", TaskStatus.PENDING),
            ("second", TaskStatus.PENDING),
        ]

    def test_an_unknown_id_is_not_found(self, kit):
        with pytest.raises(NotFound):
            kit.executions.get("nothing")

    def test_without_a_key_each_launch_is_another(self, kit):
        assert kit.create().id != kit.create().id

    def test_the_same_key_and_request_give_the_first_execution_again(self, kit):
        first, new = kit.launches.create(kit.intent(used=UsedKey("ada", "k", "d")))
        again, renewed = kit.launches.create(kit.intent(used=UsedKey("ada", "k", "d")))
        assert (new, renewed) == (True, False)
        assert again == first
        assert kit.executions.find(ExecutionFilter())[1] == 1

    def test_the_same_key_for_another_request_is_a_conflict(self, kit):
        kit.create(used=UsedKey("ada", "k", "d"))
        with pytest.raises(Conflict):
            kit.create(used=UsedKey("ada", "k", "other"))
        assert kit.executions.find(ExecutionFilter())[1] == 1

    def test_keys_of_different_users_have_nothing_to_do_with_each_other(self, kit):
        one = kit.create(used=UsedKey("ada", "k", "d"), owner="ada")
        two = kit.create(used=UsedKey("bob", "k", "other"), owner="bob")
        assert one.id != two.id

    def test_many_launches_with_one_key_at_the_same_moment_are_one(self, kit):
        intents = [kit.intent(used=UsedKey("ada", "k", "d")) for _ in range(8)]
        results = together(8, lambda i: kit.launches.create(intents[i]))
        assert len({execution.id for execution, _ in results}) == 1
        assert sum(new for _, new in results) == 1

    def test_no_more_are_open_than_a_user_may_have_when_many_come_at_the_same_moment(self, kit):
        intents = [kit.intent(most_open=3) for _ in range(8)]
        let = let_through(8, lambda n: kit.launches.create(intents[n]), QuotaExceeded)
        assert len(let) == 3
        assert kit.executions.find(ExecutionFilter())[1] == 3

    def test_a_withdrawn_launch_leaves_nothing_and_frees_its_key(self, kit):
        execution = kit.create(used=UsedKey("ada", "k", "d"))
        kit.launches.withdraw(execution)
        with pytest.raises(NotFound):
            kit.executions.get(execution.id)
        assert kit.executions.tasks(execution) == []
        assert kit.launches.create(kit.intent(used=UsedKey("ada", "k", "other")))[1]

    def test_a_launch_that_was_accepted_cannot_be_withdrawn(self, kit):
        execution = kit.create(used=UsedKey("ada", "k", "d"))
        kit.launches.launched(execution, {"job": 1})
        kit.launches.withdraw(execution)
        assert kit.driving.get(execution.id).reference == {"job": 1}
        assert len(kit.executions.tasks(execution)) == 2
        again, new = kit.launches.create(kit.intent(used=UsedKey("ada", "k", "d")))
        assert (again.id, new) == (execution.id, False)


class TestAdoption:
    def adopt(self, kit, id_="theirs", began_at=None, **more):
        intent = kit.intent(execution_id=id_, owner="", **more)
        return kit.launches.adopt(intent, {"job": 7}, ExecutionStatus.RUNNING, began_at)

    def test_what_runs_already_is_written_down_once(self, kit):
        began_at = now()
        execution = self.adopt(kit, began_at=began_at)
        assert kit.driving.get("theirs").reference == {"job": 7}
        assert (execution.status, execution.started_at) == (ExecutionStatus.RUNNING, began_at)
        assert kit.executions.known_upstream_as("theirs") == [execution]
        assert self.adopt(kit, began_at=began_at) == execution
        assert kit.executions.find(ExecutionFilter())[1] == 1

    def test_what_was_launched_here_is_given_as_it_is(self, kit):
        ours = kit.create()
        kit.launches.launched(ours, {"job": 7})
        assert self.adopt(kit, began_at=now()).id == ours.id
        assert kit.executions.find(ExecutionFilter())[1] == 1

    def test_what_was_launched_here_and_had_ended_is_found_when_it_was_resumed(self, kit):
        ours = kit.create()
        kit.launches.launched(ours, {"job": 7})
        long_ago = now() - timedelta(days=2)
        kit.database.write(
            lambda c: c.execute(
                update(table)
                .where(table.c.id == ours.id)
                .values(status=ExecutionStatus.FAILED, created_at=long_ago, finished_at=long_ago)
            )
        )
        assert self.adopt(kit, began_at=now()).id == ours.id

    @pytest.mark.parametrize("in_doubt", [False, True])
    @pytest.mark.parametrize("began", [False, True])
    def test_nothing_is_adopted_that_an_unsettled_launch_may_have_begun(self, kit, in_doubt, began):
        launch = kit.create()
        if in_doubt:
            kit.launches.doubt(launch, "?")
        with pytest.raises(Conflict, match="not settled"):
            self.adopt(kit, began_at=now() if began else None)
        with pytest.raises(NotFound):
            kit.executions.get("theirs")
        kit.launches.launched(launch, {"job": 8})
        assert self.adopt(kit, began_at=now()).id == "theirs"

    @pytest.mark.parametrize("days", [-1, 1])
    def test_a_launch_of_another_workflow_or_day_is_in_nobodys_way(self, kit, days):
        kit.create(workflow_id="another")
        assert self.adopt(kit, "one", began_at=now()).id == "one"
        kit.create(workflow_id="third")
        other_day = now() + timedelta(days=days)
        assert self.adopt(kit, "two", other_day, workflow_id="third").id == "two"


class TestDoubt:
    def test_a_launch_in_doubt_is_unknown_and_says_why(self, kit):
        execution = kit.create()
        kit.launches.doubt(execution, "It is being looked up.")
        execution = kit.executions.get(execution.id)
        assert execution.status is ExecutionStatus.UNKNOWN
        assert execution.error == "It is being looked up."

    def test_found_it_goes_on(self, kit):
        execution = kit.create()
        kit.launches.doubt(execution, "?")
        assert kit.claim() == [execution.id]
        kit.driving.settle(execution, OWNER, {"job": 7})
        execution = kit.driving.get(execution.id)
        assert execution.status is ExecutionStatus.PENDING
        assert (execution.reference, execution.error) == ({"job": 7}, None)
        assert not execution.log_complete

    def test_never_received_it_has_failed_and_may_be_launched_again(self, kit):
        execution = kit.create()
        kit.launches.doubt(execution, "?")
        kit.claim()
        kit.driving.settle(execution, OWNER, None)
        execution = kit.executions.get(execution.id)
        assert execution.status is ExecutionStatus.FAILED
        assert "safe to launch again" in execution.error
        assert execution.log_complete
        assert execution.finished_at is not None

    def test_found_after_a_cancel_it_stays_on_its_way_to_the_end(self, kit):
        execution = kit.create()
        kit.launches.doubt(execution, "?")
        kit.claim()
        kit.steered.desire(execution, DesiredState.CANCEL, ExecutionStatus.CANCELLING)
        kit.driving.settle(execution, OWNER, {"job": 7})
        execution = kit.driving.get(execution.id)
        assert execution.status is ExecutionStatus.CANCELLING
        assert execution.desired is DesiredState.CANCEL

    def test_an_answer_that_came_late_wins_over_a_look_that_found_nothing(self, kit):
        execution = kit.create()
        age(kit, execution, 3600)
        kit.claim()
        kit.launches.launched(execution, {"job": 7})
        kit.driving.settle(execution, OWNER, None)
        execution = kit.driving.get(execution.id)
        assert (execution.status, execution.reference) == (ExecutionStatus.PENDING, {"job": 7})

    def test_only_the_conductor_that_holds_it_can_settle_it(self, kit):
        execution = kit.create()
        kit.launches.doubt(execution, "?")
        kit.claim(owner="other")
        with pytest.raises(Conflict):
            kit.driving.settle(execution, OWNER, None)
        assert kit.executions.get(execution.id).status is ExecutionStatus.UNKNOWN


class TestClaim:
    def test_what_was_launched_is_taken_over_once_and_oldest_first(self, kit):
        ids = [kit.launched().id for _ in range(3)]
        assert kit.claim() == ids
        assert kit.claim() == []
        assert kit.claim(owner="other") == []

    def test_what_was_taken_without_being_told_is_taken_again(self, kit):
        mine, other = kit.held().id, kit.launched().id
        assert kit.claim(owner="other") == [other]
        again = kit.driving.claim(OWNER, NODE, 60.0, [], 10, again=True)
        assert [execution.id for execution in again] == [mine]

    def test_no_more_are_taken_than_asked_for(self, kit):
        ids = [kit.launched().id for _ in range(3)]
        assert kit.claim(limit=2) == ids[:2]
        assert kit.claim(limit=2) == ids[2:]

    def test_a_launch_that_is_being_asked_for_is_left_alone(self, kit):
        kit.create()
        assert kit.claim() == []

    def test_a_launch_whose_process_died_is_taken_over_after_a_while(self, kit):
        execution = kit.create()
        age(kit, execution, 3600)
        assert kit.claim() == [execution.id]

    @pytest.mark.parametrize("step", [-3600, 0, 3600])
    def test_a_launch_is_under_way_as_long_whatever_the_clock_is_set_to(self, kit, clocks, step):
        execution, other = kit.create(), kit.create()
        clocks(passed=89, step=step)
        assert kit.claim() == []
        assert [e.id for e in kit.driving.siblings(execution).under_way] == [other.id]
        clocks(passed=120, step=step)
        assert [e.id for e in kit.driving.siblings(execution).doubtful] == [other.id]
        assert kit.claim() == [execution.id, other.id]

    @pytest.mark.parametrize("step", [-3600, 0, 3600])
    def test_a_launch_of_our_own_is_cut_short_sooner(self, kit, clocks, step):
        execution = kit.create()
        for passed, free in ((4, []), (30, [execution.id])):
            clocks(passed=passed, step=step)
            bound = [execution.orchestrator]
            claimed = kit.driving.claim(OWNER, NODE, 60.0, bound, 10)
            assert [each.id for each in claimed] == free

    def test_on_another_machine_the_clock_tells_how_long_a_launch_is_under_way(self, kit, clocks):
        execution = kit.create()
        clocks(passed=89, boot="elsewhere")
        assert kit.claim() == []
        clocks(passed=120)
        assert kit.claim() == [execution.id]

    def test_a_lease_that_ran_out_passes_to_another_conductor(self, kit):
        execution = kit.launched()
        assert kit.claim(lease=-1.0) == [execution.id]
        assert kit.claim(owner="other") == [execution.id]
        with pytest.raises(Conflict):
            kit.see(execution)

    def test_a_lease_from_before_the_clock_was_set_back_passes_to_another_conductor(
        self, kit, monkeypatch
    ):
        execution, lively = kit.launched(), kit.launched()
        conductors = Conductors(kit.database)
        for owner in ("dead", "alive"):
            conductors.register(owner, Node(NODE, "boot"), OwnProcess(1))
            assert len(kit.claim(owner=owner, limit=1)) == 1
        earlier = now() - timedelta(hours=2)
        for module in ("driving", "conductors"):
            monkeypatch.setattr(f"app.store.{module}.now", lambda: earlier)
        conductors.beat("alive", Node(NODE, "boot"), OwnProcess(1))
        assert kit.claim(owner="other") == [execution.id]
        assert lively.id not in kit.claim(owner="third")

    def test_a_renewed_lease_stays(self, kit):
        execution = kit.launched()
        kit.claim(lease=-1.0)
        kit.driving.renew(OWNER, 3600.0)
        assert kit.claim(owner="other") == []
        assert kit.see(execution).status is ExecutionStatus.RUNNING

    def test_a_look_that_came_to_its_end_clears_the_tries_of_its_execution_only(self, kit):
        broken, well = kit.held(), kit.held()
        tries = [kit.driving.count_try(broken, OWNER), kit.driving.count_try(well, OWNER)]
        kit.driving.clear_tries(well, OWNER)
        kit.driving.clear_tries(broken, "other")
        tries += [kit.driving.count_try(broken, OWNER), kit.driving.count_try(well, OWNER)]
        assert tries == [2, 2, 3, 1]  # to take it over counted, too

    def test_only_the_own_executions_are_renewed_and_released(self, kit):
        mine, other = kit.launched(), kit.launched()
        kit.claim(limit=1)
        kit.claim(owner="other", lease=-1.0)
        kit.driving.renew(OWNER, 3600.0)
        assert kit.claim(owner="third") == [other.id]
        kit.driving.release(OWNER)
        assert kit.claim(owner="third") == [mine.id]

    def test_a_finished_execution_is_driven_by_nobody(self, kit):
        kit.see(kit.held(), ExecutionStatus.SUCCESS, log_complete=True)
        kit.driving.release(OWNER)
        assert kit.claim() == []

    def test_an_ended_execution_whose_log_is_not_complete_is_driven_on(self, kit):
        execution = kit.see(kit.held(), ExecutionStatus.SUCCESS)
        kit.driving.release(OWNER)
        assert kit.claim() == [execution.id]

    def test_an_execution_bound_to_a_machine_stays_there(self, kit):
        execution = kit.launched()
        kit.claim(bound=["local"])
        kit.driving.release(OWNER)
        assert kit.claim(node="elsewhere", bound=["local"]) == []
        assert kit.claim(node=NODE, bound=["local"]) == [execution.id]

    def test_one_that_says_so_stays_where_it_is_for_good(self, kit):
        execution = kit.see(kit.held(), stays=True)
        kit.see(execution, cursor={"n": 2})
        kit.driving.release(OWNER)
        assert kit.claim(node="elsewhere") == []
        assert kit.claim(node=NODE) == [execution.id]

    def test_an_execution_of_another_orchestrator_goes_anywhere(self, kit):
        execution = kit.launched(orchestrator="remote")
        kit.claim(bound=["local"])
        kit.driving.release(OWNER)
        assert kit.claim(node="elsewhere", bound=["local"]) == [execution.id]

    def test_conductors_that_claim_at_the_same_moment_share_and_take_nothing_twice(self, kit):
        ids = {kit.launched().id for _ in range(40)}
        stores = [Database(kit.database.url) for _ in range(4)]

        def claim_all(index):
            mine, taken = StoreKit(stores[index]), []
            while new := mine.claim(owner=f"conductor-{index}", limit=3):
                taken += new
            return taken

        taken = [id_ for share in together(4, claim_all) for id_ in share]
        for store in stores:
            store.dispose()
        assert len(taken) == len(set(taken))
        # Somebody may have found all the rest locked, and given up; nobody lost anything.
        assert set(taken) | set(kit.claim()) == ids


class TestRecord:
    def test_an_observation_is_stored_as_a_whole(self, kit):
        execution = kit.held()
        at = now()
        task = Task("first", TaskStatus.FAILED, at, at, 3, 2, "n1", "exit code 3")
        seen = kit.see(
            execution, cursor={"at": 5}, entries=tuple(entries([Level.INFO, Level.ERROR])),
            tasks=(task,), outputs={"a": 1}, error="so far", progress=0.5, started_at=at,
        )  # fmt: skip
        assert kit.driving.get(execution.id) == seen
        assert (seen.status, seen.cursor, seen.progress) == ("RUNNING", {"at": 5}, 0.5)
        assert (seen.outputs, seen.error, seen.started_at) == ({"a": 1}, "so far", at)
        assert seen.log_counts == (0, 1, 0, 1)
        assert kit.executions.tasks(seen)[0] == task

    def test_or_not_at_all(self, kit):
        execution = kit.held()
        before = kit.executions.get(execution.id)
        broken = Task("first", TaskStatus.RUNNING, started_at="yesterday")
        with pytest.raises(StatementError):
            kit.see(execution, entries=tuple(entries([Level.INFO])), tasks=(broken,))
        assert kit.executions.get(execution.id) == before
        assert kit.journal.page(execution.number, (0, 1, 0, 0), Level(15), 0, 10) == []

    def test_a_conductor_that_lost_the_execution_stores_nothing(self, kit):
        execution = kit.launched()
        kit.claim(owner="other")
        before = kit.executions.get(execution.id)
        with pytest.raises(Conflict):
            kit.see(execution, entries=tuple(entries([Level.INFO])))
        assert kit.executions.get(execution.id) == before

    def test_a_look_from_before_another_conductor_had_its_turn_is_not_stored(self, kit):
        """It would read the same output twice, although the execution is its own again."""
        mine = kit.see(kit.held(), cursor={"at": 1})
        kit.driving.release(OWNER)
        kit.claim(owner="other")
        kit.driving.record(mine, "other", Observation(ExecutionStatus.RUNNING, {"at": 2}))
        kit.driving.release("other")
        kit.claim()
        with pytest.raises(Conflict) as caught:
            kit.see(mine, cursor={"at": 2}, entries=tuple(entries([Level.INFO])))
        assert not isinstance(caught.value, NotHeld), "it goes on, from what is stored"
        assert kit.executions.get(mine.id).log_total == 0
        kit.see(kit.driving.get(mine.id), cursor={"at": 3})

    def test_a_cursor_that_json_changes_is_given_back_as_it_is_stored(self, kit):
        execution = kit.see(kit.held(), cursor={"pair": (1, 2), 3: "three"})
        assert execution.cursor == {"pair": [1, 2], "3": "three"}
        kit.see(execution, cursor=None)

    def test_a_task_that_the_workflow_did_not_announce_comes_last(self, kit):
        execution = kit.see(kit.held(), tasks=(Task("extra", TaskStatus.RUNNING),))
        assert [t.name for t in kit.executions.tasks(execution)] == ["first", "second", "extra"]

    def test_what_an_observation_does_not_tell_stays(self, kit):
        at = now()
        execution = kit.see(kit.held(), started_at=at, outputs={"a": 1})
        execution = kit.see(execution)
        assert (execution.started_at, execution.outputs) == (at, {"a": 1})

    @pytest.mark.parametrize("final", FINAL)
    @pytest.mark.parametrize("later", ExecutionStatus)
    def test_a_final_status_never_changes_again(self, kit, final, later):
        at = now()
        ended = kit.see(kit.held(), final, error="why", outputs={"a": 1}, finished_at=at)
        assert ended.status is final
        late = kit.see(
            ended, later, error="other", outputs={"a": 2}, finished_at=at + timedelta(hours=1),
            entries=tuple(entries([Level.INFO])), log_complete=True,
        )  # fmt: skip
        assert (late.status, late.error, late.outputs) == (final, "why", {"a": 1})
        assert late.finished_at == at
        # Late log lines are welcome all the same.
        assert (late.log_total, late.log_complete) == (1, True)

    @pytest.mark.parametrize("final", FINAL)
    def test_no_other_way_changes_a_final_status(self, kit, final):
        ended = kit.see(kit.held(), final, error="why")
        for desired in DesiredState:
            assert not kit.steered.desire(ended, desired, ExecutionStatus.RUNNING)
        kit.launches.doubt(ended, "?")
        kit.launches.launched(ended, {"job": 2})
        kit.driving.settle(ended, OWNER, None)
        after = kit.driving.get(ended.id)
        assert (after.status, after.desired, after.error) == (final, DesiredState.RUN, "why")

    @pytest.mark.parametrize("status", OPEN)
    def test_after_a_cancel_only_an_end_is_shown(self, kit, status):
        execution = kit.held()
        kit.steered.desire(execution, DesiredState.CANCEL, ExecutionStatus.CANCELLING)
        assert kit.see(execution, status).status is ExecutionStatus.CANCELLING

    @pytest.mark.parametrize("status", FINAL)
    def test_an_end_after_a_cancel_is_what_it_was(self, kit, status):
        execution = kit.held()
        kit.steered.desire(execution, DesiredState.CANCEL, ExecutionStatus.CANCELLING)
        assert kit.see(execution, status).status is status

    def test_what_no_database_keeps_is_replaced_in_errors_as_in_the_log(self, kit):
        execution = kit.held()
        task = Task("only", TaskStatus.FAILED, error="bad\x00byte")
        kit.see(execution, ExecutionStatus.FAILED, error="half \ud83d\x00", tasks=(task,))
        seen = kit.driving.get(execution.id)
        assert (seen.status, seen.error) == (ExecutionStatus.FAILED, "half ?\ufffd")
        assert kit.executions.tasks(seen)[-1].error == "bad\ufffdbyte"

    def test_an_observation_without_news_makes_the_status_younger(self, kit):
        execution = kit.see(kit.held(), cursor=1)
        kit.database.write(
            lambda c: c.execute(
                update(table).values(as_of=now() - timedelta(hours=1), changed=table.c.changed)
            )
        )
        kit.driving.touch(execution, OWNER, {"at": 2})
        touched = kit.driving.get(execution.id)
        assert now() - touched.as_of < timedelta(minutes=5)
        assert touched.cursor == {"at": 2}


class TestDesire:
    def test_what_the_user_wants_is_written_down_and_shown(self, kit):
        execution = kit.launched()
        assert kit.steered.desire(execution, DesiredState.PAUSE, ExecutionStatus.PAUSED)
        execution = kit.driving.get(execution.id)
        assert (execution.desired, execution.status) == (DesiredState.PAUSE, ExecutionStatus.PAUSED)

    @pytest.mark.parametrize("later", [DesiredState.PAUSE, DesiredState.RUN])
    def test_an_end_that_was_asked_for_is_not_taken_back_by_a_pause_or_a_resume(self, kit, later):
        execution = kit.launched()
        assert kit.steered.desire(execution, DesiredState.CANCEL, ExecutionStatus.CANCELLING)
        assert not kit.steered.desire(execution, later, ExecutionStatus.RUNNING)
        execution = kit.driving.get(execution.id)
        assert execution.desired is DesiredState.CANCEL
        assert execution.status is ExecutionStatus.CANCELLING

    def test_asking_for_the_end_twice_is_fine(self, kit):
        execution = kit.launched()
        for _ in range(2):
            assert kit.steered.desire(execution, DesiredState.CANCEL, ExecutionStatus.CANCELLING)


class TestFind:
    def test_the_newest_come_first_and_all_are_counted(self, kit):
        ids = [kit.create().id for _ in range(5)]
        found, total = kit.executions.find(ExecutionFilter(), 1, 2)
        assert [e.id for e in found] == [ids[3], ids[2]]
        assert total == 5
        assert kit.executions.find(ExecutionFilter(), 10, 2) == ([], 5)

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (ExecutionFilter(owners=frozenset({"bob"})), ["b", "c"]),
            (ExecutionFilter(workflow="one"), ["a", "b"]),
            (ExecutionFilter(workflow="The Other"), ["c"]),
            (ExecutionFilter(states=frozenset({ExecutionStatus.SUCCESS})), ["c"]),
            (ExecutionFilter(owners=frozenset({"bob"}), workflow="one"), ["b"]),
            (
                ExecutionFilter(
                    owners=frozenset({"ada"}), states=frozenset({ExecutionStatus.SUCCESS})
                ),
                [],
            ),
            (ExecutionFilter(owners=frozenset({"' OR 1=1 --"})), []),
            (ExecutionFilter(workflow="%"), []),
        ],
    )
    def test_filters_hold_together(self, kit, wanted, expected):
        one = {"workflow_id": "one", "workflow_name": "The One"}
        kit.launched(execution_id="a", owner="ada", **one)
        kit.launched(execution_id="b", owner="bob", **one)
        kit.launched(execution_id="c", owner="bob", workflow_id="other", workflow_name="The Other")
        kit.claim()
        kit.see(kit.driving.get("c"), ExecutionStatus.SUCCESS)
        found, total = kit.executions.find(wanted)
        assert sorted(e.id for e in found) == expected
        assert total == len(expected)


def test_many_writers_lose_nothing(kit):
    stores = [Database(kit.database.url) for _ in range(4)]
    held = [kit.held() for _ in range(4)]

    def work(index):
        mine, execution = StoreKit(stores[index]), held[index]
        for i in range(20):
            execution = mine.append(execution, entries([Level.INFO] * 5, 5 * i))
        return execution.log_total

    assert together(4, work) == [100] * 4
    for store in stores:
        store.dispose()
    with kit.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM log_entries")).scalar_one() == 400


def test_moments_are_kept_to_the_millisecond(kit):
    at = now().replace(microsecond=774_000)
    execution = kit.driving.record(
        kit.held(), OWNER, Observation(ExecutionStatus.RUNNING, cursor=None, started_at=at)
    )
    assert execution.started_at == at
