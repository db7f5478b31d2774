"""Real worker processes, and a target that remembers each request."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from fractions import Fraction

import pytest

from app.load.definition import (
    SECOND_US,
    Definition,
    HttpConfig,
    Mode,
    Options,
    Stage,
    Step,
)
from app.load.modes import most_vus, quota
from app.load.segments import WHOLE, deal
from tests.fakes.load_target import Answer, LoadTarget, most_at_once
from tests.kit.load_worker import LoadWorker

MS = SECOND_US // 1000


@pytest.fixture(scope="module")
def shared_target():
    with LoadTarget() as target:
        target.answer("/slow", Answer(delay=0.01))
        target.answer("/long", Answer(delay=60))
        yield target


@pytest.fixture
def target(shared_target):
    shared_target.forget()
    return shared_target


def asking(target, options, path="/slow"):
    step = Step("get", "get", HttpConfig(f"{target.url}{path}"))
    return Definition("d", "d", (step,), options)


MODES = [
    Options(Mode.CONSTANT_VUS, vus=4, duration_us=300 * MS),
    Options(Mode.PER_VU_ITERATIONS, vus=4, iterations=5),
    Options(Mode.SHARED_ITERATIONS, vus=4, iterations=33),
    Options(Mode.RAMPING_VUS, stages=(Stage(200 * MS, Fraction(6)), Stage(200 * MS, Fraction(0)))),
    Options(
        Mode.CONSTANT_ARRIVAL_RATE, rate=Fraction(100), duration_us=400 * MS, max_vus=50,
        pre_allocated_vus=2,
    ),
    Options(
        Mode.RAMPING_ARRIVAL_RATE, max_vus=50,
        stages=(Stage(200 * MS, Fraction(100)), Stage(200 * MS, Fraction(0))),
    ),
    Options(Mode.EXTERNALLY_CONTROLLED, vus=3, max_vus=9, duration_us=300 * MS),
]  # fmt: skip
TOTALS = {
    Mode.PER_VU_ITERATIONS: 20, Mode.SHARED_ITERATIONS: 33, Mode.CONSTANT_ARRIVAL_RATE: 40,
    Mode.RAMPING_ARRIVAL_RATE: 20,
}  # fmt: skip


@pytest.mark.parametrize("options", MODES, ids=lambda options: options.mode)
def test_each_mode_counts_what_the_target_counts_over_two_processes(target, options):
    definition = asking(target, options)
    with ExitStack() as running:
        workers = []
        for segment in WHOLE.split([1, 1]):
            total = quota(options)
            share = None if total is None else deal(total, segment, most_vus(options))
            workers.append(
                running.enter_context(LoadWorker(definition, segment=segment, quota=share))
            )
        reports = [worker.ended() for worker in workers]
    iterations = sum(report["iterations"] for report in reports)
    assert iterations == sum(report["requests"]["n"] for report in reports)
    assert iterations == len(target.requests("/slow")) > 0
    assert most_at_once(target.requests("/slow")) <= most_vus(options)
    assert all(report["failed"] == report["interrupted"] == 0 for report in reports)
    dropped = sum(report["dropped"] for report in reports)
    if options.mode in TOTALS:
        assert iterations + dropped == TOTALS[options.mode]


def test_a_frozen_process_that_thaws_sends_nothing_by_a_lease_that_is_over(target):
    endless = asking(target, Options(Mode.CONSTANT_VUS, vus=5))
    with LoadWorker(endless) as worker:
        worker.until(lambda report: report["iterations"] > 5)
        worker.lease(0.5)
        worker.want()
        worker.until(lambda report: report["vus"] == 5)  # it knows of it
        with worker.frozen():
            time.sleep(0.6)
            asked = len(target.requests())
        followed = worker.until(lambda report: report["vus"] == 5)["requests"]["n"]
        worker.want(stop="now")
        report = worker.ended()
        assert len(target.requests()) == asked
        assert followed <= report["requests"]["n"] <= asked


def test_what_is_cut_is_neither_a_success_nor_a_failure(target):
    endless = asking(target, Options(Mode.CONSTANT_VUS, vus=3), path="/long")
    with LoadWorker(endless) as worker:
        worker.until(lambda report: report["claimed"] == 3)
        while target.now().open < 3:
            time.sleep(0.001)
        worker.want(stop="now")
        report = worker.ended()
    assert (report["interrupted"], report["iterations"], report["failed"]) == (3, 0, 0)
    assert (report["requests"]["n"], report["steps"], report["errors"]) == (0, {}, [])
    assert target.now().cut == 3


def test_a_dead_target_makes_no_process_spin(target):
    options = Options(Mode.CONSTANT_VUS, vus=2, duration_us=300 * MS)
    step = Step("get", "get", HttpConfig("http://127.0.0.1:1/"))
    with LoadWorker(Definition("d", "d", (step,), options)) as worker:
        report = worker.ended()
    assert 2 <= report["iterations"] == report["failed"] <= 2 * 31
    assert report["errors"][0]["count"] == report["failed"]


@pytest.mark.parametrize(
    "steps", [(), (Step("off", "off", HttpConfig("http://x/"), disabled=True),)]
)
def test_a_definition_without_anything_to_do_makes_no_process_spin(steps):
    options = Options(Mode.CONSTANT_VUS, vus=2, duration_us=300 * MS)
    with LoadWorker(Definition("d", "d", steps, options)) as worker:
        report = worker.ended()
    assert 2 <= report["iterations"] <= 2 * 31


def test_it_goes_with_its_input(target):
    endless = asking(target, Options(Mode.CONSTANT_VUS, vus=1), path="/long")
    with LoadWorker(endless) as worker:
        worker.until(lambda report: report["claimed"])
        worker._process.stdin.close()
        assert worker._process.wait(60) == 0


def test_an_interrupt_from_the_terminal_of_its_parent_does_not_end_it(target):
    options = Options(Mode.SHARED_ITERATIONS, vus=1, iterations=3)
    with LoadWorker(asking(target, options), quota=3, lease=0) as worker:
        worker.until(lambda report: report["vus"] == 1)
        os.kill(worker.pid, signal.SIGINT)
        worker.lease(60)
        assert worker.ended()["iterations"] == 3
