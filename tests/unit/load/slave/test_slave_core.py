"""What a slave decides: when it may make requests, what it tells its master and its processes."""

import json

import pytest
from kit.slave_messages import desired, histogram, register, report

from app.load.messages import (
    Forget,
    Heartbeat,
    HeartbeatAck,
    Leave,
    Register,
    RegisterAck,
    TaskReport,
)
from app.load.protocol import LARGEST_TEXT, from_slave
from app.load.slave.core import Core, NotTaken
from app.load.slave.lines import Reports

DEFINITION = {"id": "w"}
ACCEPTED = RegisterAck(True, "slave-1", lease_ms=5000, alone_ms=60_000)


class Bench:
    """A slave with its clock; ``begin`` is when it joined."""

    def __init__(self, processes=1):
        self.now = 1000.0
        self.core = Core(register(), processes, lambda task, segment, _: segment.share(10))
        for process in range(processes):
            self.core.worker_started(process, self.now)
        self.lines = [[] for _ in range(processes)]
        self.read()

    def read(self):
        while self.core.to_workers:
            process, line = self.core.to_workers.popleft()
            self.lines[process].append(json.loads(line))

    def join(self):
        self.core.connected(self.now)
        said = self.said()
        self.hear(ACCEPTED)
        return said

    def said(self):
        said = [from_slave(text) for text in self.core.to_master]
        self.core.to_master.clear()
        return said

    def hear(self, message):
        self.core.told(message, self.now)
        self.read()

    def at(self, now):
        self.now = now
        self.core.tick(now)
        self.read()
        return self.said()

    def works(self, process=0, task="t1", generation=None, **counted):
        told = [each["data"] for each in self.lines[process] if each["type"] == "task"]
        latest = told[-1]["generation"] if generation is None else generation
        done = TaskReport(task, latest, report(**counted))
        self.core.worker_said(process, Reports(0.2, 1.0, (done,)), self.now)
        self.read()

    def lease(self, process=0):
        """Until when requests may be made, as the process knows it."""
        told = [each["data"] for each in self.lines[process] if each["type"] == "lease"]
        return told[-1]["until_us"] / 1_000_000

    def may_begin(self, process=0):
        """Whether an iteration would begin, by the lease and by what is wanted."""
        tasks = [each["data"] for each in self.lines[process] if each["type"] == "task"]
        return self.lease(process) > self.now and not tasks[-1]["paused"]


@pytest.fixture
def bench():
    bench = Bench()
    bench.join()
    bench.at(1000.0)
    bench.hear(HeartbeatAck(1))
    bench.hear(desired(definition=DEFINITION))
    return bench


def test_it_says_who_it_is_and_then_gives_a_sign_of_life_each_second():
    bench = Bench()
    assert bench.join() == [register()]
    (first,) = bench.at(1000.0)
    assert first == Heartbeat(1, "online", 0.0, 0)
    assert bench.at(1000.9) == []
    (second,) = bench.at(1001.0)
    assert second.sequence == 2


def test_until_it_is_taken_it_may_do_nothing():
    bench = Bench()
    assert bench.lease() == 0
    bench.core.connected(1000.0)
    assert not bench.core.joined
    with pytest.raises(NotTaken, match="the id is taken"):
        bench.hear(RegisterAck(False, "slave-1", "the id is taken"))
    assert bench.lease() == 0


def test_a_lease_counts_from_when_the_message_was_sent_that_is_answered(bench):
    assert bench.lease() == 1005.0
    bench.at(1001.0)
    bench.now = 1003.0
    bench.hear(HeartbeatAck(2))
    assert bench.lease() == 1006.0


def test_answers_to_what_was_never_sent_on_this_connection_give_no_lease(bench):
    bench.now = 1003.0
    bench.hear(HeartbeatAck(1))
    bench.hear(HeartbeatAck(99))
    assert bench.lease() == 1005.0


def test_a_silent_master_is_left_and_nothing_goes_on_before_it_says_what_it_wants(bench):
    assert bench.may_begin()
    bench.at(1004.9)
    assert not bench.core.is_overdue(1004.9)
    bench.at(1005.0)
    assert bench.core.is_overdue(1005.0)
    assert not bench.may_begin()
    bench.core.dropped()
    bench.now = 1010.0
    assert bench.join() == [register(tasks=("t1",))]
    assert bench.lease() == 1015.0
    assert not bench.may_begin(), "what was wanted before is out of date"
    bench.hear(desired(elapsed_us=7_000_000))
    assert bench.may_begin()
    assert bench.lines[0][-1]["data"]["elapsed_us"] == 7_000_000


def test_who_was_frozen_begins_nothing_by_answers_that_lay_about(bench):
    bench.at(1001.0)
    bench.now = 1041.0
    bench.core.tick(bench.now)  # first thing in each turn of the loop
    bench.read()
    bench.hear(HeartbeatAck(2))
    bench.hear(desired(generation=2))
    assert bench.lease() < bench.now
    assert bench.core.is_overdue(bench.now)


def test_who_was_frozen_is_not_left_alone_by_a_goodbye_that_lay_about(bench):
    bench.now = 1041.0
    bench.core.disconnected(bench.now)
    bench.read()
    assert bench.lease() < bench.now
    assert not bench.may_begin()


def test_where_the_master_is_gone_it_goes_on_alone_for_a_minute_and_no_longer(bench):
    bench.now = 1002.0
    bench.core.disconnected(bench.now)
    bench.read()
    assert bench.lease() == 1062.0
    assert bench.may_begin()
    bench.now = 1030.0
    bench.core.connected(bench.now)
    bench.core.disconnected(bench.now)  # a second goodbye is not another minute
    bench.read()
    assert bench.lease() == 1062.0
    bench.at(1062.0)
    assert not bench.may_begin()


def test_a_master_that_is_back_is_joined_with_all_that_goes_on(bench):
    bench.works(iterations=5)
    bench.now = 1002.0
    bench.core.disconnected(bench.now)
    bench.now = 1003.0
    assert bench.join() == [register(tasks=("t1",))]
    assert bench.may_begin()
    assert bench.lease() == 1008.0, "it is not alone any more"
    (beat,) = bench.at(1003.0)
    assert beat.tasks[0].report["iterations"] == 5
    assert beat.sequence == 2, "numbers grow over all connections"


def test_who_is_not_wanted_any_more_stops_at_once(bench):
    bench.now = 1002.0
    bench.core.disconnected(bench.now, at_once=True)
    bench.read()
    assert bench.lease() == 0


def test_a_master_that_does_not_answer_at_all_is_left(bench):
    bench.core.disconnected(1002.0)
    bench.core.connected(1003.0)
    assert not bench.core.is_overdue(1008.0)
    assert bench.core.is_overdue(1008.1)


def test_the_end_of_a_task_is_told_at_once(bench):
    bench.at(1001.0)
    bench.now = 1001.2
    bench.works(iterations=3, ended=True)
    (beat,) = bench.at(1001.2)
    assert (beat.active_tasks, beat.tasks[0].report["ended"]) == (0, True)
    bench.works(iterations=3, ended=True)
    assert bench.at(1001.3) == [], "once"


def test_what_is_forgotten_is_reported_no_more(bench):
    bench.hear(Forget("t1"))
    assert bench.lines[0][-1] == {"type": "forget", "data": {"task": "t1"}}
    (beat,) = bench.at(1001.0)
    assert beat.tasks == ()
    bench.works(iterations=1)
    bench.hear(Forget("t1"))
    assert bench.lines[0][-1]["type"] == "forget"


def test_a_task_comes_with_its_definition_and_keeps_it(bench):
    bench.hear(desired(generation=2, stop="gently"))
    assert bench.lines[0][-1]["data"]["definition"] == DEFINITION
    bench.hear(desired("t2"))
    assert bench.lines[0][-1]["data"]["task"] == "t1", "one of which nothing is known is not begun"


def test_a_new_process_is_told_all(bench):
    bench.works(iterations=4)
    bench.lines[0].clear()
    bench.core.worker_started(0, bench.now)
    bench.read()
    assert [each["type"] for each in bench.lines[0]] == ["lease", "networks", "task"]
    (beat,) = bench.at(1001.0)
    assert beat.tasks[0].report["iterations"] == 4


def test_a_process_whose_work_is_late_again_and_again_is_full(bench):
    bench.join()
    loads = []
    for number, lag_ms in enumerate((50.0, 50.0, 50.0, 5.0), start=1):
        bench.core.worker_said(0, Reports(0.1, lag_ms, ()), 1000.0 + number)
        loads.append(bench.at(1001.0 + number)[0].load)
    assert loads == [0.1, 0.1, 1.0, 0.1]


def test_the_load_is_the_larger_of_room_and_processor(bench):
    bench.works(vus=10)
    assert bench.at(1001.0)[0].load == 0.2
    bench.works(vus=90)
    assert bench.at(1002.0)[0].load == 0.9
    bench.works(vus=900)
    assert bench.at(1003.0)[0].load == 1.0


def test_who_leaves_ends_gently_reports_the_last_and_says_goodbye(bench):
    bench.core.leave(bench.now)
    bench.read()
    assert bench.lines[0][-1]["data"]["stop"] == "gently"
    (beat,) = bench.at(1000.1)
    assert beat.state == "draining"
    bench.hear(HeartbeatAck(beat.sequence))
    assert not bench.core.has_left, "it has not ended yet"
    bench.works(iterations=9, ended=True)
    (last,) = bench.at(1000.2)
    assert last.tasks[0].report["iterations"] == 9
    bench.hear(HeartbeatAck(last.sequence))
    assert bench.said() == [Leave()]
    assert bench.core.has_left


def test_who_leaves_without_tasks_goes_when_that_is_heard():
    bench = Bench()
    bench.join()
    bench.core.leave(bench.now)
    (beat,) = bench.at(bench.now)
    bench.hear(HeartbeatAck(beat.sequence))
    assert bench.said() == [Leave()]


def wide(number):
    buckets = {str(bucket): 1 for bucket in range(number)}
    return {"n": number, "sum": 0, "min": 0, "max": 0, "b": buckets}


def test_many_reports_come_in_several_messages():
    bench = Bench()
    bench.join()
    for name in ("t1", "t2", "t3"):
        bench.hear(desired(name, definition=DEFINITION))
        steps = {
            f"s{number}": {"count": 0, "success": 0, "failure": 0, "duration": wide(256)}
            for number in range(280)
        }
        bench.works(task=name, steps=steps)
    texts = list(bench.core.to_master)
    bench.core.tick(bench.now)
    texts = list(bench.core.to_master)
    assert all(len(text) <= LARGEST_TEXT for text in texts)
    beats = [from_slave(text) for text in texts]
    assert [report.task for beat in beats for report in beat.tasks] == ["t1", "t2", "t3"]
    assert len(beats) > 1


def test_a_report_that_is_too_long_is_sent_without_the_times_of_steps_and_says_so():
    bench = Bench()
    bench.join()
    bench.hear(desired(definition=DEFINITION))
    step = {"count": 256, "success": 256, "failure": 0, "duration": wide(256)}
    bench.works(iterations=7, steps={f"s{number}": step for number in range(600)})
    (beat,) = bench.at(bench.now)
    told = beat.tasks[0].report
    assert told["iterations"] == 7
    assert told["steps"]["s1"] == step | {"duration": histogram()}
    assert told["errors"][0]["code"] == "REPORT_TOO_LONG"


def test_it_registers_as_what_it_is():
    assert isinstance(Bench().join()[0], Register)


def networks(bench, process):
    return [line["data"] for line in bench.lines[process] if line["type"] == "networks"]


def test_each_process_knows_what_the_master_allows_before_it_has_a_task():
    bench = Bench(processes=2)
    bench.core.connected(bench.now)
    bench.hear(RegisterAck(True, "slave-1", allowed_networks=("10.0.0.0/8",), denied_networks=()))
    bench.hear(desired(definition=DEFINITION))
    said = {"allowed": ["10.0.0.0/8"], "denied": []}
    for process in range(2):
        assert networks(bench, process)[-1] == said
        types = [line["type"] for line in bench.lines[process]]
        assert types.index("task") > len(types) - 1 - types[::-1].index("networks")
    bench.lines[0].clear()
    bench.core.worker_started(0, bench.now)
    bench.read()
    assert networks(bench, 0) == [said]
    assert bench.lines[0][-1]["type"] == "task"


def test_until_it_has_joined_metadata_services_are_denied():
    assert networks(Bench(), 0)[-1] == {"allowed": None, "denied": None}
    with pytest.raises(NotTaken, match="networks"):
        Bench().hear(RegisterAck(True, "slave-1", denied_networks=("nonsense",)))
