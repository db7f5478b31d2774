"""Following an execution, before it is written on any wire."""

import threading
from collections.abc import Callable, Iterator

import pytest
from follow_kit import ALL, Log, await_that, places, service_in, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from app.domain import ALL_LEVELS, ExecutionStatus, Identity, Level, Role, TaskStatus
from app.domain import Task as DomainTask
from app.errors import NotAuthenticated, NotFound, UpstreamUnreachable
from app.identity.anonymous import EVERYBODY
from app.services.follow import (
    Batch,
    Changed,
    Dropped,
    Ended,
    Event,
    Expired,
    FollowQuery,
    Heartbeat,
    Moved,
    StatusChanged,
)
from app.store.execution_rows import change
from app.store.schema import executions

D, I, W, E = Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR  # noqa: E741
FIXTURES = HealthCheck.function_scoped_fixture
MIXED = [I, D, W, I, E, D, I] * 200
RUNNING, SUCCESS = ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS
ADA = Identity("ada", frozenset({Role.USER}))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with service_in(tmp_path_factory, streams__heartbeat="100ms") as made:
        yield made


@pytest.fixture
def log(service):
    return Log(service)


def follow(
    service,
    log: Log,
    levels: int = ALL,
    caller: Callable[[], Identity] = lambda: EVERYBODY,
    **query,
) -> Iterator[Event]:
    return service.services.follow.open(log.id, caller, FollowQuery(Level(levels), **query))


class TestWhatComes:
    def test_the_status_then_the_log_then_the_end(self, service, log):
        log.see(RUNNING).write(3).end()
        first, batch, last = follow(service, log)
        assert isinstance(first, StatusChanged)
        assert first.execution.status is SUCCESS
        assert places([batch]) == [0, 1, 2]
        assert last == Ended(SUCCESS, 3)

    def test_of_an_execution_without_a_log_there_are_status_and_end(self, service, log):
        events = list(follow(service, log.end(ExecutionStatus.FAILED)))
        assert [type(event) for event in events] == [StatusChanged, Ended]
        assert events[-1] == Ended(ExecutionStatus.FAILED, 0)

    def test_entries_come_when_they_are_written_and_a_status_when_it_changes(self, service, log):
        events = follow(service, log)
        assert next(events).execution.status is ExecutionStatus.PENDING
        log.see(RUNNING)
        assert until(events, StatusChanged)[-1].execution.status is RUNNING
        log.write(2)
        assert places(until(events, Batch)) == [0, 1]
        log.write(1)
        assert places(until(events, Batch)) == [2]
        log.end()
        last = until(events, Ended)
        assert [type(event) for event in last] == [StatusChanged, Ended]
        assert list(events) == []

    def test_the_last_entries_come_before_the_final_status(self, service, log):
        events = follow(service, log)
        next(events)
        log.see(RUNNING).write(1)
        log.status = SUCCESS
        log.write(2)
        log.end()
        rest = until(events, Ended)
        assert places(rest) == [0, 1, 2]
        final = next(i for i, e in enumerate(rest) if isinstance(e, StatusChanged)
                     and e.execution.status.final)  # fmt: skip
        assert places(rest[:final]) == [0, 1, 2]

    def test_tasks_that_change_without_a_word_are_told_of(self, service, log):
        log.see(RUNNING)
        events = follow(service, log)
        next(events)
        log.tasks(DomainTask("first", TaskStatus.RUNNING))
        assert isinstance(until(events, Changed, Batch)[-1], Changed)

    def test_a_long_log_comes_in_batches(self, service, log):
        log.write(MIXED).end()
        batches = [event for event in follow(service, log) if isinstance(event, Batch)]
        assert places(batches) == list(range(1400))
        assert [len(batch.entries) for batch in batches] == [500, 500, 400]

    def test_readers_at_the_same_place_share_what_they_get(self, service, log):
        log.write(10).end()
        one, other = (list(follow(service, log)) for _ in range(2))
        assert one[1] is other[1]

    def test_an_execution_of_somebody_else_cannot_be_followed(self, service, log):
        with pytest.raises(NotFound):
            follow(service, log, caller=lambda: ADA)

    def test_a_reader_never_gets_an_older_state_than_he_has_seen(self, make_service):
        """The feed does not run: as long as it has not noticed a change, others are shared."""
        service = make_service(start=False, streams__heartbeat="50ms")
        log = Log(service)
        earlier = follow(service, log)
        until(earlier, Heartbeat)
        log.see(RUNNING).write(3)
        later = follow(service, log)
        seen = [next(later) for _ in range(3)]
        assert [type(event) for event in seen] == [StatusChanged, Batch, Heartbeat]
        assert seen[0].execution.status is RUNNING


class TestWhereItBegins:
    @pytest.fixture
    def log(self, service):
        return Log(service).write(MIXED).end()

    def test_any_filter_from_any_place_gives_what_lies_behind_it(self, service, log):
        @settings(max_examples=50, suppress_health_check=[FIXTURES])
        @given(
            levels=st.integers(1, ALL),
            start=st.integers(0, 1500),
            after=st.none() | st.integers(-1, 1500),
        )
        def check(levels, start, after):
            expected = log.places(levels)
            if after is None:
                expected = expected[start:]
            else:
                expected = [place for place in expected if place > after]
            events = list(follow(service, log, levels, start=start, after=after))
            assert places(events) == expected
            assert events[-1] == Ended(SUCCESS, 1400)

        check()

    def test_an_index_in_the_future_is_waited_for(self, service):
        log = Log(service).see(RUNNING).write([I, D, I])
        events = follow(service, log, I, start=4)
        next(events)
        log.write([I, D, D, I])
        log.write([I, D, I]).end()
        assert places(until(events, Ended)) == [7, 9]

    def test_what_lies_before_a_place_in_the_future_is_left_out(self, service):
        log = Log(service).see(RUNNING).write(3)
        events = follow(service, log, after=5)
        next(events)
        log.write(5).end()
        assert places(until(events, Ended)) == [6, 7]


class TestHeartbeats:
    def test_they_come_while_nothing_happens(self, service, log):
        events = follow(service, log)
        seen = [until(events, Heartbeat) for _ in range(3)]
        assert [[type(event) for event in part] for part in seen] == [
            [StatusChanged, Heartbeat], [Heartbeat], [Heartbeat],
        ]  # fmt: skip

    def test_they_come_while_the_filter_holds_back_all_that_happens(self, service, log):
        log.see(RUNNING)
        events = follow(service, log, E)
        next(events)
        stop = threading.Event()

        def chatter():
            while not stop.wait(0.01):
                log.write([D])

        writer = threading.Thread(target=chatter)
        writer.start()
        try:
            until(events, Changed)
            seen = until(events, Heartbeat)
        finally:
            stop.set()
            writer.join()
        assert seen == [Heartbeat()]

    def test_readers_that_wait_in_vain_leave_nothing_behind(self, service, log):
        changes = service.web.changes
        with changes.subscribe(log.id) as subscription:
            for _ in range(1000):
                subscription.wait(0.0)
            assert len(changes._topics[log.id].blocks) == 0
        assert log.id not in changes._topics


class TestDropped:
    @pytest.fixture(scope="class")
    @classmethod
    def service(cls, tmp_path_factory):
        settings = {"streams__heartbeat": "100ms", "streams__max_lag": "1000"}
        with service_in(tmp_path_factory, **settings) as made:
            yield made

    @pytest.mark.parametrize("levels", [ALL, I | W | E, E])
    def test_a_reader_who_falls_behind_is_told_what_he_missed(self, service, log, levels):
        log.see(RUNNING).write(MIXED)
        events = follow(service, log, levels)
        seen = until(events, Heartbeat)
        log.write(MIXED).write(MIXED).end()
        rest = until(events, Ended)
        [gap] = [event for event in rest if isinstance(event, Dropped)]
        missed = [p for p in log.places(levels) if gap.first <= p < gap.next]
        assert (gap.first, gap.next, gap.count) == (1400, 3700, len(missed))
        got = places([*seen, *rest])
        assert got == [place for place in log.places(levels) if place not in set(missed)]
        fetched = places(follow(service, log, levels, after=gap.first - 1))
        assert fetched[: gap.count] == missed

    def test_where_he_missed_nothing_that_he_wanted_he_is_told_nothing(self, service, log):
        log.see(RUNNING).write([E])
        events = follow(service, log, E)
        until(events, Heartbeat)
        log.write([D] * 2000).write([E]).end()
        rest = until(events, Ended)
        assert not any(isinstance(event, Dropped) for event in rest)
        assert places(rest) == [2001]

    def test_who_is_just_within_the_limit_gets_everything(self, service, log):
        log.see(RUNNING).write(1)
        events = follow(service, log)
        until(events, Heartbeat)
        log.write(1000).end()
        rest = until(events, Ended)
        assert places(rest) == list(range(1, 1001))

    def test_who_reads_an_old_log_is_never_too_slow(self, service, log):
        log.see(RUNNING).write(MIXED)
        events = follow(service, log)
        seen = [next(events), next(events)]
        log.write(MIXED).write(MIXED).end()
        assert places([*seen, *until(events, Ended)]) == list(range(4200))

    def test_who_waits_for_an_index_in_the_future_misses_nothing(self, service, log):
        log.see(RUNNING)
        events = follow(service, log, start=1500)
        until(events, Heartbeat)
        log.write(1600).end()
        rest = until(events, Ended)
        assert places(rest) == list(range(1500, 1600))
        assert not any(isinstance(event, Dropped) for event in rest)

    def test_with_a_small_limit_nothing_comes_twice(self, make_service):
        service = make_service(streams__heartbeat="100ms", streams__max_lag="3")
        log = Log(service).see(RUNNING).write(10)
        events = follow(service, log)
        seen = until(events, Heartbeat)
        log.write(10).end()
        rest = until(events, Ended)
        [gap] = [event for event in rest if isinstance(event, Dropped)]
        assert gap == Dropped(7, 10, 17)
        assert places([*seen, *rest]) == [*range(10), 17, 18, 19]


class TestMoved:
    @pytest.fixture
    def service(self, make_service):
        return make_service(streams__heartbeat="100ms")

    def test_a_process_that_stops_tells_where_to_go_on(self, service, log):
        log.see(RUNNING).write(5)
        events = follow(service, log)
        until(events, Batch)
        service.web.changes.close()
        assert until(events, Moved) == [Moved(5)]
        assert list(events) == []

    def test_a_reader_in_the_middle_of_a_long_log_does_not_hold_it_up(self, service, log):
        log.see(RUNNING).write(MIXED)
        events = follow(service, log)
        assert len(places(until(events, Batch))) == 500
        service.web.changes.close()
        assert list(events) == [Moved(500)]

    def test_what_has_ended_is_told_to_the_end_all_the_same(self, service, log):
        log.write(5).end()
        events = follow(service, log)
        until(events, Batch)
        service.web.changes.close()
        assert list(events) == [Ended(SUCCESS, 5)]

    def test_when_the_store_fails_the_reader_can_come_back_to_where_he_was(self, service, log):
        answers = [EVERYBODY]

        def caller():
            if not answers:
                raise UpstreamUnreachable("The store does not answer at the moment.")
            return answers.pop()

        log.see(RUNNING).write(2)
        events = follow(service, log, caller=caller, after=0)
        assert list(events) == [Moved(1)]


class TestExpired:
    @pytest.fixture(scope="class")
    @classmethod
    def service(cls, tmp_path_factory):
        settings = {"streams__heartbeat": "50ms", "api__auth__recheck": "50ms"}
        with service_in(tmp_path_factory, **settings) as made:
            yield made

    @pytest.fixture
    def log(self, service):
        return Log(service, owner="ada").see(RUNNING)

    def test_a_user_who_is_gone_reads_no_more(self, service, log):
        here = [True]

        def caller():
            if not here:
                raise NotAuthenticated("There is no such user any more.")
            return ADA

        events = follow(service, log, caller=caller)
        until(events, Heartbeat)
        here.clear()
        assert until(events, Expired)[-1] == Expired("There is no such user any more.")
        assert list(events) == []

    def test_who_loses_the_execution_reads_no_more(self, service, log):
        events = follow(service, log, caller=lambda: ADA)
        next(events)
        taken = update(executions).where(executions.c.id == log.id).values(owner="bob")
        service.web.database.write(lambda c: change(c, taken, ("changed",)))
        assert until(events, Expired)[-1] == Expired("There is no such execution.")

    def test_who_loses_a_role_reads_no_more(self, service, log):
        operator = [Identity("ops", frozenset({Role.OPERATOR}))]
        events = follow(service, log, caller=lambda: operator[0])
        next(events)
        operator[0] = Identity("ops", frozenset({Role.USER}))
        assert until(events, Expired)[-1] == Expired("There is no such execution.")

    def test_a_check_that_cannot_be_made_ends_nothing(self, service, log):
        calls = []

        def caller():
            calls.append(1)
            if len(calls) in (3, 4):
                raise UpstreamUnreachable("Nobody can tell.")
            return ADA

        events = follow(service, log, caller=caller)
        await_that(lambda: next(events) and len(calls) > 5)
        log.write(1)
        assert places(until(events, Batch)) == [0]

    def test_it_is_not_checked_more_often_than_told(self, make_service):
        service = make_service(streams__heartbeat="50ms", api__auth__recheck="1h")
        calls = []

        def caller():
            calls.append(1)
            return EVERYBODY

        events = follow(service, Log(service), caller=caller)
        for _ in range(5):
            until(events, Heartbeat)
        assert len(calls) == 2


def test_whether_all_was_got_counts_the_whole_journal(service, log):
    ended = service.services.follow.has_ended
    log.see(RUNNING).write([I, D, I])
    assert not ended(log.id, EVERYBODY, 3)
    log.end()
    assert [ended(log.id, EVERYBODY, after) for after in (-1, 2, 3, 99)] == [
        False, False, True, True,
    ]  # fmt: skip
    with pytest.raises(NotFound):
        ended(log.id, ADA, 3)


def test_following_has_the_conductor_look_more_often(service, log):
    log.see(RUNNING)
    until(follow(service, log), Heartbeat)
    assert service.driving.get(log.id).followed_until is not None


def test_all_levels_are_those_of_the_journal():
    assert int(ALL_LEVELS) == ALL


class TestOneTask:
    """Every third entry of the log is of task ``split``."""

    def test_only_its_entries_come_at_the_cursors_of_the_whole_log(self, service, log):
        log.write(20_000).end()
        assert places(follow(service, log, task="split")) == list(range(0, 20_000, 3))
        assert places(follow(service, log, task="split", after=19_990)) == [19_992, 19_995, 19_998]
        assert places(follow(service, log, task="split", start=6_664)) == [19_992, 19_995, 19_998]

    def test_an_empty_name_is_the_execution_itself(self, service, log):
        log.write(6).end()
        assert places(follow(service, log, task="")) == [1, 2, 4, 5]

    def test_levels_count_as_well(self, service, log):
        log.write([I, I, I, W, I, I, W]).end()
        assert places(follow(service, log, int(W), task="split")) == [3, 6]

    def test_one_that_says_nothing_has_an_end_all_the_same(self, service, log):
        log.write(1000).end()
        *_, last = follow(service, log, task="nobody")
        assert last == Ended(SUCCESS, 1000)

    def test_who_opens_it_before_the_first_line_waits(self, service, log):
        events = follow(service, log, task="split")
        until(events, Heartbeat)
        log.write(1).end()
        assert places(events) == [0]

    def test_nothing_is_dropped(self, tmp_path_factory):
        with service_in(tmp_path_factory, streams__max_lag=100) as service:
            log = Log(service)
            log.write(3)
            events = follow(service, log, task="split")
            until(events, Batch)
            log.write(3000).end()
            assert places(events) == list(range(3, 3003, 3))
