"""Executions of virtual users from their launch to their end, on slaves that only count."""

from fractions import Fraction
from itertools import pairwise

import pytest
from simulated import ADA, World, definition, options

from app.domain import DesiredState, ExecutionStatus, Observation, TaskStatus
from app.errors import Conflict, InvalidRequest, NodesMissing
from app.load.catalogue import LoadCatalogue
from app.load.definition import Mode, Stage, TargetMode, TargetSlaves, Threshold
from app.services import load_figures
from app.store.executions import Executions
from app.store.launches import Intent, Launches
from app.store.load_metrics import LoadMetrics
from app.store.load_tasks import NextStep
from app.store.slaves import LOCAL, NewSlave

SECOND_US = 1_000_000


@pytest.fixture
def world(database, tmp_path, monkeypatch):
    return World(database, tmp_path, monkeypatch)


def constant(vus=10, seconds=10, **more):
    return definition(chosen=options(vus=vus, duration_us=seconds * SECOND_US, **more))


def shared(vus, iterations, **more):
    return definition(
        chosen=options(Mode.SHARED_ITERATIONS, vus=vus, iterations=iterations, **more)
    )


def want(world, execution, desired):
    shown = {
        DesiredState.PAUSE: ExecutionStatus.PAUSED,
        DesiredState.RUN: ExecutionStatus.RUNNING,
        DesiredState.CANCEL: ExecutionStatus.CANCELLING,
    }[desired]
    assert world.steered.desire(world.driving.get(execution.id), desired, shown)
    world.look(execution)


def segments(world, execution):
    """Return the shares of those who are at it, which must cover the whole."""
    shares = sorted(
        node.segment for node in world.metrics(execution).nodes if not node.status.final
    )
    assert [start for start, _ in shares] == [0, *(end for _, end in shares[:-1])]
    assert shares[-1][1] == 1
    return shares


class TestWholeRuns:
    def test_users_run_for_their_time_and_each_iteration_counts_once(self, world):
        world.slave("slave-1")
        execution = world.launch(constant(vus=5, seconds=10))
        ended = world.run(execution)
        metrics = world.metrics(execution)
        assert ended.status is ExecutionStatus.SUCCESS
        assert ended.progress == 1
        assert metrics.final
        assert (metrics.vus, metrics.running_us) == (5, 10 * SECOND_US)
        assert metrics.iterations == metrics.requests.count == world.done > 400
        assert world.tasks.run_of(execution).tasks == ()

    @pytest.mark.parametrize(
        ("slaves", "vus", "iterations"),
        [(1, 1, 1), (7, 1, 2), (2, 5, 7), (3, 5, 100), (7, 7, 100), (3, 2, 1)],
    )
    def test_shared_iterations_are_exact_over_any_number_of_slaves(
        self, world, slaves, vus, iterations
    ):
        team = [world.slave(f"slave-{number}") for number in range(slaves)]
        execution = world.launch(shared(vus, iterations))
        assert world.run(execution).status is ExecutionStatus.SUCCESS
        assert world.done == world.metrics(execution).iterations == iterations
        assert max(world.vus_seen) <= min(vus, iterations)
        shares = {node.node_id: node for node in world.metrics(execution).nodes}
        assert {slave.id: slave.done for slave in team} == {
            id_: node.completed_iterations for id_, node in shares.items()
        }

    @pytest.mark.parametrize("slaves", [1, 3])
    def test_iterations_of_each_user_are_exact(self, world, slaves):
        for number in range(slaves):
            world.slave(f"slave-{number}")
        execution = world.launch(
            definition(chosen=options(Mode.PER_VU_ITERATIONS, vus=5, iterations=7))
        )
        world.run(execution)
        assert world.done == 35

    @pytest.mark.parametrize("slaves", [1, 7])
    def test_a_ramp_is_whole_at_every_moment(self, world, slaves):
        for number in range(slaves):
            world.slave(f"slave-{number}")
        stages = (Stage(5 * SECOND_US, Fraction(10)), Stage(5 * SECOND_US, Fraction(0), "down"))
        execution = world.launch(definition(chosen=options(Mode.RAMPING_VUS, stages=stages)))
        world.run(execution)
        assert max(world.vus_seen) == 10
        up, down = world.vus_seen[2:52], world.vus_seen[52:100]
        assert up == sorted(up)
        assert down == sorted(down, reverse=True)
        assert world.metrics(execution).vus > 0  # the last number above 0
        text = "\n".join(world.journal(execution))
        assert "Stage 1 of 2 has begun: to 10 in 5 s." in text
        assert "Stage 2 of 2 'down' has begun: to 0 in 5 s." in text

    @pytest.mark.parametrize(
        ("rate", "slaves"), [(Fraction(1), 3), (Fraction(7), 2), (Fraction(1, 2), 1)]
    )
    def test_what_is_due_is_begun_exactly_once(self, world, rate, slaves):
        for number in range(slaves):
            world.slave(f"slave-{number}")
        chosen = options(
            Mode.CONSTANT_ARRIVAL_RATE, rate=rate, max_vus=10, duration_us=10 * SECOND_US
        )
        execution = world.launch(definition(chosen=chosen))
        world.run(execution)
        assert world.done == world.metrics(execution).iterations == rate * 10

    def test_the_steps_of_the_workflow_are_its_tasks(self, world):
        world.slave("slave-1")
        execution = world.launch(shared(1, 3))
        world.run(execution)
        [task] = Executions(world.database).tasks_of(execution.number)
        assert (task.name, task.status, task.attempts) == ("s1", TaskStatus.SUCCESS, 3)

    def test_inputs_take_the_place_of_variables_and_only_in_this_execution(self, world):
        world.slave("slave-1")
        what = definition(chosen=options(Mode.SHARED_ITERATIONS, iterations=2))
        what = type(what)(**{**_fields(what), "variables": {"host": "a", "n": 1}})
        execution = world.launch(what, inputs={"host": "b"})
        world.look(execution)
        [task] = world.tasks.run_of(execution).tasks
        document = world.snapshots.get(task.desired.digest)
        assert document["variables"] == {"host": "b", "n": 1}
        assert task.desired.digest != execution.reference["definition"]

    def test_its_course_is_kept_with_a_point_each_second(self, world):
        world.slave("slave-1")
        execution = world.launch(constant(vus=1, seconds=20))
        world.run(execution)
        series = world.orchestrator.series(execution)
        assert 17 <= len(series) <= 21
        assert series[-1].running_us == 20 * SECOND_US
        assert series[-1].requests == world.done
        assert [point.running_us for point in series] == sorted(p.running_us for p in series)
        assert all(abs(point.avg_us - 100_000) < 1000 for point in series)


def _fields(what):
    return {name: getattr(what, name) for name in type(what).__slots__}


class TestClock:
    def test_the_clock_stands_while_it_is_paused_and_nothing_runs(self, world):
        world.slave("slave-1")
        execution = world.launch(constant(vus=5, seconds=10))
        world.pass_by(execution, 3)
        want(world, execution, DesiredState.PAUSE)
        world.vus_seen.clear()
        before = world.done
        world.pass_by(execution, 8)
        assert world.vus_seen == [0] * 80
        assert world.done == before
        assert world.driving.get(execution.id).status is ExecutionStatus.PAUSED
        assert abs(world.metrics(execution).running_us - 3 * SECOND_US) <= 300_000
        want(world, execution, DesiredState.RUN)
        ended = world.run(execution)
        assert ended.status is ExecutionStatus.SUCCESS
        assert world.metrics(execution).running_us == 10 * SECOND_US
        assert 450 <= world.done <= 505
        text = "\n".join(world.journal(execution))
        assert "Paused after" in text
        assert "Resumed." in text

    @pytest.mark.parametrize("step", [-3600, 3600])
    def test_it_runs_as_long_as_it_is_to_whatever_the_clock_is_set_to(self, world, step):
        for number in range(2):
            world.slave(f"slave-{number}")
        stages = (Stage(5 * SECOND_US, Fraction(10)), Stage(15 * SECOND_US, Fraction(10)))
        execution = world.launch(definition(chosen=options(Mode.RAMPING_VUS, stages=stages)))
        world.pass_by(execution, 4)
        world.clock.set(step)
        world.conduct_anew()  # in another process, which knows what is stored
        world.slave("slave-2")  # is told how long it has been running
        world.pass_by(execution, 4)
        world.clock.set(-step)
        ended = world.run(execution)
        assert ended.status is ExecutionStatus.SUCCESS
        assert world.metrics(execution).running_us == 20 * SECOND_US
        assert 1600 <= world.done <= 1900, "as many as a ramp of 5 s and 15 s of ten users do"
        assert 19 <= (ended.finished_at - ended.started_at).total_seconds() <= 22
        course = world.orchestrator.series(execution)
        assert len(course) >= 15
        for before, after in pairwise(course):
            assert 0.9 <= (after.at - before.at).total_seconds() <= 1.5
            assert after.running_us - before.running_us <= 1.5 * SECOND_US
        assert not [text for text in world.journal(execution) if "lost" in text]

    @pytest.mark.parametrize("step", [-3600, 3600])
    def test_slaves_are_waited_for_as_long_as_ever(self, world, step):
        slave = world.slave("slave-1")
        execution = world.launch(constant(vus=5, seconds=300))
        world.look(execution)
        world.kill(slave)
        world.look(execution)
        world.clock.set(step)
        world.pass_by(execution, 30)
        assert not world.driving.get(execution.id).status.final, "somebody may still come back"
        ended = world.run(execution, most_seconds=90)
        assert (ended.status, ended.error) == (ExecutionStatus.FAILED, "All slaves were lost.")

    @pytest.mark.parametrize("step", [-3600, 3600])
    def test_a_pause_is_no_running_time_whatever_the_clock_is_set_to(self, world, step):
        world.slave("slave-1")
        execution = world.launch(constant(vus=5, seconds=10))
        world.pass_by(execution, 3)
        want(world, execution, DesiredState.PAUSE)
        world.clock.set(step)
        world.pass_by(execution, 3)
        want(world, execution, DesiredState.RUN)
        world.pass_by(execution, 3)
        assert abs(world.metrics(execution).running_us - 6 * SECOND_US) <= 1_500_000
        assert world.run(execution).status is ExecutionStatus.SUCCESS
        assert 450 <= world.done <= 505

    def test_an_execution_of_an_earlier_version_goes_on_by_the_clock(self, world):
        world.slave("slave-1")
        execution = world.launch(constant(vus=5, seconds=10))
        world.pass_by(execution, 3)
        run = world.tasks.run_of(execution)
        state = {k: v for k, v in run.state.items() if k not in ("clock", "clock_ms")}
        assert world.tasks.put(execution, run, NextStep(state)) is not None
        assert world.run(execution).status is ExecutionStatus.SUCCESS
        assert world.metrics(execution).running_us == 10 * SECOND_US

    def test_a_rate_does_not_catch_up_after_a_pause(self, world):
        world.slave("slave-1")
        chosen = options(
            Mode.CONSTANT_ARRIVAL_RATE, rate=Fraction(50), max_vus=50, duration_us=10 * SECOND_US
        )
        execution = world.launch(definition(chosen=chosen))
        world.pass_by(execution, 3)
        want(world, execution, DesiredState.PAUSE)
        world.pass_by(execution, 8)
        want(world, execution, DesiredState.RUN)
        world.run(execution)
        assert world.done == 500

    def test_what_is_paused_can_be_scaled_and_ended(self, world):
        world.slave("slave-1")
        execution = world.launch(constant(vus=5, seconds=10))
        world.pass_by(execution, 1)
        want(world, execution, DesiredState.PAUSE)
        world.orchestrator.scale(execution, 10, ADA)
        world.pass_by(execution, 1)
        assert world.vus == 0
        want(world, execution, DesiredState.RUN)
        world.pass_by(execution, 1)
        assert world.vus == 10
        want(world, execution, DesiredState.PAUSE)
        want(world, execution, DesiredState.CANCEL)
        assert world.run(execution, 3).status is ExecutionStatus.CANCELLED

    def test_a_slave_lost_in_a_pause_leaves_nothing_behind(self, world):
        lost, _ = world.slave("slave-1"), world.slave("slave-2")
        execution = world.launch(constant(vus=6, seconds=5))
        world.pass_by(execution, 1)
        want(world, execution, DesiredState.PAUSE)
        world.kill(lost)
        world.pass_by(execution, 2)
        assert world.vus == 0
        want(world, execution, DesiredState.RUN)
        world.pass_by(execution, 1)
        assert world.vus == 6
        assert world.run(execution).status is ExecutionStatus.SUCCESS
        assert world.metrics(execution).running_us == 5 * SECOND_US

    def test_what_was_paused_before_it_began_begins_with_the_resume(self, world):
        world.slave("slave-1")
        execution = world.launch(constant(vus=5, seconds=1))
        want(world, execution, DesiredState.PAUSE)
        world.pass_by(execution, 2)
        assert world.driving.get(execution.id).status is ExecutionStatus.PAUSED
        want(world, execution, DesiredState.RUN)
        assert world.run(execution).status is ExecutionStatus.SUCCESS


class TestSlavesComeAndGo:
    def test_the_load_of_a_lost_slave_is_whole_again_at_the_next_look(self, world):
        team = [world.slave(f"slave-{number}") for number in range(3)]
        execution = world.launch(constant(vus=30, seconds=20))
        world.pass_by(execution, 2)
        assert world.vus == 30
        world.kill(team[0])
        world.look(execution)
        world.vus_seen.clear()
        world.pass_by(execution, 2)
        assert world.vus_seen[1:] == [30] * 19
        shares = {node.node_id: node for node in world.metrics(execution).nodes}
        assert shares["slave-0"].status is ExecutionStatus.FAILED
        assert shares["slave-0"].completed_iterations == team[0].done
        segments(world, execution)
        ended = world.run(execution)
        assert ended.status is ExecutionStatus.SUCCESS
        errors = world.metrics(execution).errors
        assert [error.code for error in errors] == ["CONNECTION_ERROR"]
        assert "slave-0" in errors[0].message

    def test_the_iterations_of_a_lost_slave_are_done_by_others(self, world):
        team = [world.slave(f"slave-{number}") for number in range(3)]
        execution = world.launch(shared(6, 200))
        world.pass_by(execution, 1)
        reported = {
            t.desired.slave: t.report["iterations"] for t in world.tasks.run_of(execution).tasks
        }
        world.kill(team[0])
        assert world.run(execution).status is ExecutionStatus.SUCCESS
        done_by_others = team[1].done + team[2].done
        assert done_by_others + reported["slave-0"] == 200
        assert world.metrics(execution).iterations == 200
        assert team[0].done - reported["slave-0"] <= 4  # since its last report

    def test_a_slave_that_comes_back_has_a_share_again_and_what_it_did_stays(self, world):
        team = [world.slave(f"slave-{number}") for number in range(3)]
        execution = world.launch(constant(vus=30, seconds=20))
        world.pass_by(execution, 2)
        world.kill(team[0])
        world.pass_by(execution, 2)
        back = world.slave("slave-0")
        world.pass_by(execution, 2)
        assert back.vus == 10
        assert world.vus == 30
        assert len(segments(world, execution)) == 3
        world.run(execution)
        shares = {node.node_id: node for node in world.metrics(execution).nodes}
        lost_done = world.metrics(execution).iterations - world.done
        assert shares["slave-0"].completed_iterations == back.done + lost_done
        assert "The slave 'slave-0' has joined." in world.journal(execution)

    def test_a_frozen_slave_drops_its_old_share_before_it_has_another(self, world):
        team = [world.slave(f"slave-{number}") for number in range(3)]
        execution = world.launch(constant(vus=30, seconds=60))
        world.pass_by(execution, 2)
        world.live.remove(team[0])  # it stands still
        world.slaves.lost("slave-0", team[0].connection)
        world.pass_by(execution, 10)
        assert world.vus == 30
        world.live.append(team[0])
        world.slaves.register(team[0].new, 5.0)
        world.vus_seen.clear()
        world.pass_by(execution, 4)
        assert max(world.vus_seen) == 30
        assert team[0].vus == 10
        assert len(world.tasks.of_slave("slave-0", team[0].incarnation)) == 2
        world.run(execution)
        assert world.metrics(execution).iterations == world.done

    def test_nobody_joins_who_is_not_needed(self, world):
        world.slave("slave-1")
        execution = world.launch(constant(vus=10, seconds=5))
        world.pass_by(execution, 1)
        late = world.slave("slave-2")
        world.pass_by(execution, 2)
        assert late.running == {}
        world.orchestrator.scale(execution, 150, ADA)
        world.pass_by(execution, 1)
        assert world.vus == 150
        assert late.vus == 75

    def test_a_slave_that_is_drained_ends_its_tasks_and_gets_no_new_ones(self, world):
        first = world.slave("slave-1")
        world.slave("slave-2")
        execution = world.launch(constant(vus=10, seconds=5))
        world.pass_by(execution, 1)
        world.orchestrator.drain("slave-1")
        world.pass_by(execution, 1)
        assert first.vus == 5
        other = world.launch(constant(vus=10, seconds=1))
        world.run(other)
        assert {node.node_id for node in world.metrics(other).nodes} == {"slave-2"}
        world.run(execution)
        world.orchestrator.undrain("slave-1")
        last = world.launch(constant(vus=10, seconds=1))
        world.run(last)
        assert {node.node_id for node in world.metrics(last).nodes} == {"slave-1", "slave-2"}

    def test_without_any_slave_it_waits_for_one_to_come_back(self, world):
        only = world.slave("slave-1")
        execution = world.launch(shared(2, 100))
        world.pass_by(execution, 1)
        world.kill(only)
        world.pass_by(execution, 5)
        assert not world.driving.get(execution.id).status.final
        world.live.append(only)
        world.slaves.register(only.new, 5.0)  # the same process, which went on alone
        assert world.run(execution).status is ExecutionStatus.SUCCESS
        assert world.done == world.metrics(execution).iterations == 100

    def test_without_any_slave_for_long_it_has_failed_and_says_why(self, world):
        only = world.slave("slave-1")
        execution = world.launch(shared(2, 100))
        world.pass_by(execution, 1)
        world.kill(only)
        ended = world.run(execution, 100)
        assert ended.status is ExecutionStatus.FAILED
        assert ended.error == "All slaves were lost."
        assert world.metrics(execution).final

    def test_a_lost_slave_does_not_keep_it_from_ending(self, world):
        team = [world.slave(f"slave-{number}") for number in range(2)]
        execution = world.launch(constant(vus=4, seconds=2))
        world.pass_by(execution, 1.8)
        world.kill(team[0])
        assert world.run(execution, 3).status is ExecutionStatus.SUCCESS

    def test_a_local_slave_is_called_only_where_it_is_needed(self, world):
        offer = NewSlave("local", LOCAL, "here", ["http_executor"], {}, 1, 1, 50, "", "")
        world.slaves.offer(offer, 3600)
        execution = world.launch(constant(vus=5, seconds=2))
        world.look(execution)
        assert world.slaves.called(60) == ["local"]
        assert world.driving.get(execution.id).status is ExecutionStatus.PENDING
        local = world.slave("local", type=LOCAL, max_vus=50)
        assert world.run(execution).status is ExecutionStatus.SUCCESS
        assert local.done > 0
        world.slave("slave-1")
        other = world.launch(constant(vus=5, seconds=1))
        world.run(other)
        assert [node.node_id for node in world.metrics(other).nodes] == ["slave-1"]

    def test_a_local_slave_that_does_not_come_is_not_waited_for_without_end(self, world):
        offer = NewSlave("local", LOCAL, "here", ["http_executor"], {}, 1, 1, 50, "", "")
        world.slaves.offer(offer, 3600)
        execution = world.launch(constant(vus=5, seconds=2))
        ended = world.run(execution)
        assert (ended.status, ended.error) == (
            ExecutionStatus.FAILED, "The local slave has not started."
        )  # fmt: skip


class TestScale:
    def test_more_and_fewer_users_take_effect_at_once_and_are_exact(self, world):
        for number in range(3):
            world.slave(f"slave-{number}")
        execution = world.launch(constant(vus=6, seconds=30))
        world.pass_by(execution, 1)
        for target in (20, 7, 0, 1, 300):
            world.orchestrator.scale(execution, target, ADA)
            world.look(execution)
            world.vus_seen.clear()
            world.pass_by(execution, 1)
            assert world.vus_seen[1:] == [target] * 9
        assert "Scaled to 20 virtual users after" in "\n".join(world.journal(execution))

    def test_iterations_left_to_a_slave_without_users_are_done_by_others(self, world):
        for number in range(2):
            world.slave(f"slave-{number}")
        execution = world.launch(shared(10, 200))
        world.pass_by(execution, 1)
        world.orchestrator.scale(execution, 1, ADA)
        assert world.run(execution, 60).status is ExecutionStatus.SUCCESS
        assert world.done == 200

    def test_more_than_the_slaves_can_carry_is_refused_and_changes_nothing(self, world):
        world.slave("slave-1", max_vus=20)
        execution = world.launch(constant(vus=6, seconds=30))
        world.pass_by(execution, 1)
        with pytest.raises(NodesMissing, match="room for 20"):
            world.orchestrator.scale(execution, 21, ADA)
        world.pass_by(execution, 1)
        assert world.vus == 6

    @pytest.mark.parametrize("target", [-1, 1_000_001])
    def test_a_number_that_cannot_be_is_refused(self, world, target):
        world.slave("slave-1")
        execution = world.launch(constant())
        with pytest.raises(InvalidRequest, match="cannot be scaled"):
            world.orchestrator.scale(execution, target, ADA)

    def test_what_has_ended_is_not_scaled(self, world):
        world.slave("slave-1")
        execution = world.launch(shared(1, 1))
        world.run(execution)
        with pytest.raises(Conflict):
            world.orchestrator.scale(execution, 2, ADA)


class TestManyAtOnce:
    def test_executions_on_the_same_slaves_do_not_touch_each_other(self, world):
        world.slave("slave-1", max_vus=20)
        first = world.launch(constant(vus=10, seconds=5))
        second = world.launch(constant(vus=10, seconds=5))
        for execution in (first, second):
            world.look(execution)
        assert world.tasks.reserved(None) == {"slave-1": 20}
        with pytest.raises(NodesMissing):
            world.orchestrator.scale(first, 11, ADA)
        for _ in range(8):
            world.pass_by(first, 1)
            world.look(second)
        assert world.driving.get(first.id).status is ExecutionStatus.SUCCESS
        assert world.driving.get(second.id).status is ExecutionStatus.SUCCESS
        done = [world.metrics(execution).iterations for execution in (first, second)]
        assert sum(done) == world.done
        assert world.tasks.reserved(None) == {}

    def test_who_finds_no_room_waits_for_it(self, world):
        world.slave("slave-1", max_vus=10)
        first = world.launch(constant(vus=10, seconds=5))
        world.look(first)
        second = world.launch(constant(vus=5, seconds=1))
        world.look(second)
        assert world.driving.get(second.id).status is ExecutionStatus.PENDING
        world.run(first)
        assert world.run(second).status is ExecutionStatus.SUCCESS


class TestEnds:
    def test_a_cancelled_execution_ends_at_once_with_what_it_did(self, world):
        world.slave("slave-1")
        execution = world.launch(constant(vus=5, seconds=60))
        world.pass_by(execution, 2)
        want(world, execution, DesiredState.CANCEL)
        world.pass_by(execution, 1)
        ended = world.driving.get(execution.id)
        assert ended.status is ExecutionStatus.CANCELLED
        assert world.metrics(execution).iterations == world.done

    def test_what_is_cancelled_before_it_began_ends(self, world):
        execution = world.launch(constant())
        want(world, execution, DesiredState.CANCEL)
        assert world.driving.get(execution.id).status is ExecutionStatus.CANCELLED

    def test_a_slave_that_never_answers_does_not_hold_up_a_cancel(self, world):
        silent = world.slave("slave-1")
        execution = world.launch(constant(vus=5, seconds=60))
        world.pass_by(execution, 2)
        world.live.remove(silent)
        want(world, execution, DesiredState.CANCEL)
        ended = world.run(execution, 10)
        assert ended.status is ExecutionStatus.CANCELLED

    def test_no_longer_than_its_user_may_let_it_run(self, world):
        world.slave("slave-1")
        execution = world.launch(shared(1, 10**9), longest_us=3 * SECOND_US)
        ended = world.run(execution, 10)
        assert ended.status is ExecutionStatus.FAILED
        assert "the longest that its user may" in str(ended.error)

    def test_a_failed_threshold_fails_it_with_an_error(self, world):
        world.slave("slave-1")
        thresholds = (
            Threshold("http_req_duration", "p(95) < 50"), Threshold("iterations", "count > 3")
        )  # fmt: skip
        execution = world.launch(constant(vus=1, seconds=3, thresholds=thresholds))
        ended = world.run(execution)
        assert ended.status is ExecutionStatus.FAILED
        assert "http_req_duration p(95) < 50" in str(ended.error)
        metrics = world.metrics(execution)
        assert [each.passed for each in metrics.thresholds] == [False, True]
        assert abs(metrics.thresholds[0].value - 100) < 1
        assert [error.code for error in metrics.errors] == ["THRESHOLD_FAILED"]
        assert any("does not hold" in text for text in world.journal(execution))

    def test_one_that_failed_and_holds_at_the_end_has_passed(self, world):
        world.slave("slave-1")
        thresholds = (Threshold("iterations", "count >= 40"),)
        execution = world.launch(constant(vus=1, seconds=5, thresholds=thresholds))
        assert world.run(execution).status is ExecutionStatus.SUCCESS
        text = "\n".join(world.journal(execution))
        assert "does not hold" in text
        assert "holds again" in text

    def test_thresholds_of_which_nothing_was_measured_have_not_passed(self, world):
        world.slave("slave-1")
        thresholds = tuple(
            Threshold(metric, condition)
            for metric, condition in (
                ("http_req_duration", "p(95)<500"), ("http_req_failed", "rate<0.1"),
                ("http_reqs", "count>500"), ("iterations", "rate>0"),
            )
        )  # fmt: skip
        execution = world.launch(constant(vus=1, seconds=1, thresholds=thresholds))
        world.orchestrator.scale(execution, 0, ADA)
        ended = world.run(execution)
        assert ended.status is ExecutionStatus.FAILED
        metrics = world.metrics(execution)
        assert [(each.passed, each.value) for each in metrics.thresholds] == [(False, 0)] * 4
        assert len(metrics.errors) == 4


class TestCrashes:
    """Whatever is killed, what is in the store is enough."""

    def test_another_conductor_goes_on_where_one_was_killed(self, world):
        for number in range(2):
            world.slave(f"slave-{number}")
        execution = world.launch(shared(4, 150))
        while not world.driving.get(execution.id).log_complete:
            world.conduct_anew()
            world.pass_by(execution, 0.4)
        assert world.done == world.metrics(execution).iterations == 150
        assert len(set(world.journal(execution))) == len(world.journal(execution))

    def test_a_look_that_was_not_stored_is_made_again_without_doing_anything_twice(self, world):
        for number in range(2):
            world.slave(f"slave-{number}")
        execution = world.launch(shared(4, 100))
        for _ in range(60):
            # Killed behind what it wrote for the slaves, and before what it saw was stored.
            world.orchestrator.observe(world.driving.get(execution.id))
            world.pass_by(execution, 0.2)
            world.orchestrator.observe(world.driving.get(execution.id))
            if world.driving.get(execution.id).log_complete:
                break
        assert world.done == world.metrics(execution).iterations == 100
        texts = world.journal(execution)
        assert len([text for text in texts if text.startswith("Begun on")]) == 1
        assert len([text for text in texts if text.startswith("Ended after")]) == 1

    def test_two_conductors_at_once_write_what_one_would(self, world):
        for number in range(2):
            world.slave(f"slave-{number}")
        execution = world.launch(shared(4, 100))
        other = world.conduct_anew()
        world.conduct_anew()
        for _ in range(60):
            stale = world.driving.get(execution.id)
            world.pass_by(execution, 0.2)
            other.observe(stale)
        assert world.done == world.metrics(execution).iterations == 100
        assert len(world.metrics(execution).nodes) == 2


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (TargetSlaves(), {"a", "b", "c"}),
        (TargetSlaves(TargetMode.MANUAL, slave_ids=("b", "c")), {"b", "c"}),
        (TargetSlaves(TargetMode.LABEL, labels={"region": "eu"}), {"a"}),
        (TargetSlaves(TargetMode.CAPABILITY, capabilities=("grpc",)), {"b"}),
        (TargetSlaves(TargetMode.AUTO, max_slaves=2), {"a", "b"}),
        (TargetSlaves(TargetMode.LOCAL), {"d"}),
    ],
    ids=["auto", "manual", "label", "capability", "at-most", "local"],
)
def test_the_slaves_are_those_that_it_is_for(world, target, expected):
    world.slave("a", labels={"region": "eu", "x": "y"})
    world.slave("b", capabilities=["http_executor", "grpc"])
    world.slave("c", labels={"region": "us"})
    world.slave("d", type=LOCAL)
    execution = world.launch(constant(vus=6, seconds=1, target=target))
    world.run(execution)
    assert {node.node_id for node in world.metrics(execution).nodes} == expected


class TestFigures:
    def test_whatever_else_runs_those_of_virtual_users_are_summed_up(self, world, monkeypatch):
        monkeypatch.setattr(load_figures, "_MOST", 1)
        world.slave("slave-1")
        execution = world.launch(constant(vus=5))
        world.pass_by(execution, 3)
        newer = Intent(
            execution_id="another", orchestrator="engine", workflow_id="w", workflow_name="w",
            owner="ada", inputs={}, steps=(), reference={},
        )  # fmt: skip
        Launches(world.database).create(newer)
        world.driving.claim("conductor-1", "node", 3600.0, [], 1000)
        other = world.driving.get("another")
        world.driving.record(other, "conductor-1", Observation(ExecutionStatus.RUNNING, None))
        figures = load_figures.LoadFigures(
            {"load": world.orchestrator}, Executions(world.database)
        ).collect()
        found = {each.name: each.samples[0].value for each in figures}
        assert found["slipway_load_vus"] == 5
        assert found["slipway_load_iterations"] == world.metrics(execution).iterations > 0

    def test_a_look_that_writes_none_does_not_read_what_was_written(self, world, monkeypatch):
        world.slave("slave-1")
        execution = world.launch(constant(vus=5))
        world.pass_by(execution, 3)
        read, get = [], LoadMetrics.get
        monkeypatch.setattr(LoadMetrics, "get", lambda *args: read.append(args[1].id) or get(*args))
        world.clock.pass_by(1)
        world.look(execution)
        assert read == [execution.id]
        world.look(execution)
        assert read == [execution.id]


class TestWaiting:
    def test_what_waits_with_inputs_keeps_its_definition_when_it_begins(self, world, monkeypatch):
        kept, keep = [], LoadCatalogue.keep
        monkeypatch.setattr(
            LoadCatalogue, "keep", lambda *args: kept.append(args[1]) or keep(*args)
        )
        execution = world.launch(definition(variables={"x": 1}), inputs={"x": 2})
        world.pass_by(execution, 3)
        assert kept == []
        world.slave("slave-1")
        world.pass_by(execution, 3)
        assert [each.variables for each in kept] == [{"x": 2}]
        [task] = world.tasks.run_of(execution).tasks
        assert world.snapshots.get(task.desired.digest)["variables"] == {"x": 2}
