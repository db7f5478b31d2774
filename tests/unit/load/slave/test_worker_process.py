from __future__ import annotations

import json
import os
from contextlib import contextmanager

import gevent
import pytest

from app.load.definition import Definition, Mode, Options, to_json
from app.load.exchange import Request
from app.load.messages import DesiredTask
from app.load.segments import WHOLE
from app.load.slave.lease import boot_us
from app.load.slave.lines import (
    forget_line,
    lease_line,
    networks_line,
    read_reports,
    task_line,
)
from app.load.slave.process import Worker, lines, run
from tests.fakes.load_target import LoadTarget


class Program:
    def __init__(self, url):
        self.request = Request("GET", url)
        self.closed = False

    def __call__(self, http, recorder, vu, number):
        answer = http.send(self.request)
        recorder.request("s1", answer.microseconds, failed=False)
        recorder.step("s1", "success", answer.microseconds)
        return True

    def close(self):
        self.closed = True


class Pipes:
    """A worker of this process, at the other end of two pipes."""

    def __init__(self, worker):
        source, self.input = os.pipe()
        self.output, target = os.pipe()
        os.set_blocking(self.output, False)
        self.ends = [source, target]
        self.greenlet = gevent.spawn(run, worker, source, target)
        self.reports = gevent.spawn(self._read)
        self.last = None

    def say(self, line):
        os.write(self.input, line)
        gevent.sleep(0)

    def _read(self):
        for line in lines(self.output):
            self.last = read_reports(line)

    def until(self, holds):
        """Return the report of the one task once it is as it should be."""
        with gevent.Timeout(20):
            while not (
                self.last and len(self.last.tasks) == 1 and holds(self.last.tasks[0].report)
            ):
                gevent.sleep(0.001)
        return self.last.tasks[0]

    def close(self):
        for descriptor in (self.input, self.output, *self.ends):
            os.close(descriptor)


@pytest.fixture(scope="module")
def target():
    with LoadTarget() as made:
        yield made


@contextmanager
def working(program):
    pipes = Pipes(Worker(lambda _: program))
    try:
        yield pipes
        os.close(pipes.input)
        pipes.input = os.dup(0)
        pipes.greenlet.join(20)
        assert pipes.greenlet.dead
    finally:
        gevent.killall([pipes.reports, pipes.greenlet])
        pipes.close()


def desired(options, **more):
    definition = Definition("d", "d", (), options)
    known = {
        "task": "t1", "execution": "e1", "generation": 1, "digest": "d1", "segment": WHOLE,
        "scaled": None, "quota": options.iterations, "max_vus": 10, "elapsed_us": 0,
        "definition": to_json(definition),
    }  # fmt: skip
    return DesiredTask(**known | more)


def lease():
    return lease_line(boot_us() / 1_000_000 + 60, 0)


SEVEN = Options(Mode.SHARED_ITERATIONS, vus=2, iterations=7)


def test_does_what_it_is_told_and_says_what_it_has_done(target):
    program = Program(f"{target.url}/seven")
    with working(program) as worker:
        worker.say(task_line(desired(SEVEN)))
        assert worker.until(lambda report: not report["ended"]).report["claimed"] == 0
        assert "/seven" not in target.counts()
        worker.say(lease())
        task = worker.until(lambda report: report["ended"])
        assert (task.task, task.generation, task.report["iterations"]) == ("t1", 1, 7)
        assert task.report["requests"]["n"] == target.counts()["/seven"] == 7
        assert 0 <= worker.last.load <= 1
        assert worker.last.lag_ms >= 0
        worker.say(forget_line("t1"))
        with gevent.Timeout(20):
            while worker.last.tasks or not program.closed:
                gevent.sleep(0.001)


@pytest.mark.parametrize(
    ("allowed", "denied", "may"),
    [
        (None, None, True),
        (None, ["127.0.0.0/8"], False),
        (["10.0.0.0/8"], [], False),
        (["127.0.0.1"], [], True),
    ],
)
def test_connects_to_what_the_master_allows(target, allowed, denied, may):
    target.forget()
    options = Options(Mode.SHARED_ITERATIONS, vus=1, iterations=1)
    with working(Program(f"{target.url}/may")) as worker:
        worker.say(networks_line(allowed, denied) + lease() + task_line(desired(options)))
        report = worker.until(lambda report: report["ended"]).report
    assert (report["iterations"], report["failed"]) == (1, 0 if may else 1)
    assert len(target.requests("/may")) == may


def test_a_later_wish_needs_no_definition(target):
    endless = Options(Mode.CONSTANT_VUS, vus=1)
    with working(Program(f"{target.url}/later")) as worker:
        worker.say(lease() + task_line(desired(endless)))
        worker.until(lambda report: report["iterations"] > 0)
        worker.say(task_line(desired(endless, generation=2, definition=None, stop="gently")))
        task = worker.until(lambda report: report["ended"])
        assert (task.generation, task.report["vus"]) == (2, 0)
        assert task.report["iterations"] == target.counts()["/later"]


@pytest.mark.parametrize("definition", [None, {"is": "Nothing"}, {}, {"steps": 7}])
def test_a_task_that_it_cannot_run_has_ended_and_says_why(target, definition):
    with working(Program(target.url)) as worker:
        worker.say(lease() + task_line(desired(SEVEN, definition=definition, digest="other")))
        task = worker.until(lambda report: report["ended"])
        assert task.report["errors"][0]["code"] == "EXECUTION_ERROR"
        assert task.report["claimed"] == 0
        worker.say(task_line(desired(SEVEN, generation=2, definition=None, digest="other")))
        with gevent.Timeout(20):
            while worker.last.tasks[0].generation < 2:
                gevent.sleep(0.001)


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b"7", b"null", b'{"type": "task"}', b'{"type": "task", "data": {}}', b"\xff",
        b'{"type": "x", "data": {}}', b'{"type": "lease", "data": {}}', b'{"type": []}',
        b'{"type": "lease", "data": {"until_us": "x"}}', b'{"type": "forget", "data": null}', b"",
    ],
)  # fmt: skip
def test_what_it_does_not_understand_does_no_harm(target, line):
    with working(Program(f"{target.url}/harm")) as worker:
        worker.say(line + b"\n" + lease() + task_line(desired(SEVEN)))
        assert worker.until(lambda report: report["ended"]).report["iterations"] == 7


def test_it_ends_when_nobody_reads_what_it_says():
    pipes = Pipes(Worker(lambda _: Program("http://127.0.0.1/")))
    pipes.reports.kill()
    os.close(pipes.output)
    pipes.output = os.dup(0)
    pipes.greenlet.join(20)
    assert pipes.greenlet.dead
    pipes.close()


def test_lines_come_whole_whatever_they_come_in():
    source, target = os.pipe()
    os.set_blocking(source, False)
    found = []
    reading = gevent.spawn(lambda: found.extend(lines(source)))
    for piece in (b"on", b"e\ntwo\nthr", b"ee", b"\n\nrest"):
        os.write(target, piece)
        gevent.sleep(0)
    os.close(target)
    reading.join(20)
    os.close(source)
    assert found == [b"one", b"two", b"three", b""]


def test_reports_are_json_without_what_json_lacks(target):
    worker = Worker(lambda _: Program(target.url))
    worker.take(task_line(desired(SEVEN)))
    gevent.sleep(0)
    text = worker.reports().decode()
    assert json.loads(text, parse_constant=pytest.fail)["data"]["tasks"][0]["task"] == "t1"
    worker.take(forget_line("t1"))
