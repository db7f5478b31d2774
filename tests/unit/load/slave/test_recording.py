from __future__ import annotations

import orjson

from app.load.measures import MOST_KINDS, empty, read_report
from app.load.slave.recording import Recording


def report_of(recording, **more):
    known = {"vus": 0, "vus_max": 0, "seen": 0, "running_us": 0, "ended": False}
    return recording.report(**known | more)


def test_nothing_is_an_empty_report():
    assert report_of(Recording()) == empty()


def test_counts_each_in_its_place():
    it = Recording()
    it.claimed = 5
    it.dropped = it.interrupted = 1
    it.step("a", "success", 10)
    it.step("a", "failure", 20)
    it.step("b", "timeout", 30)
    it.request("a", 5, False)
    it.request("a", 7, True)
    it.iteration(100, succeeded=True)
    it.iteration(200, succeeded=False)
    report = report_of(it, vus=2, vus_max=4, seen=4, running_us=9, ended=True)
    assert read_report(report) == report
    assert {name: value for name, value in report.items() if isinstance(value, int)} == {
        "claimed": 5, "iterations": 2, "failed": 1, "interrupted": 1, "dropped": 1, "vus": 2,
        "vus_max": 4, "completed_vus": 2, "running_us": 9, "ended": True,
    }  # fmt: skip
    assert (report["requests"]["n"], report["requests"]["sum"], report["requests"]["failed"]) == (
        2, 12, 1,
    )  # fmt: skip
    steps = report["steps"].items()
    assert {id_: (s["count"], s["success"], s["failure"]) for id_, s in steps} == {
        "a": (2, 1, 1), "b": (1, 0, 1),
    }  # fmt: skip
    assert it.steps_run == 3


def test_a_report_is_a_copy():
    it = Recording()
    it.error("E", "m", "")
    before = report_of(it)
    it.error("E", "m", "")
    it.step("a", "success", 1)
    assert (before["errors"][0]["count"], before["steps"]) == (1, {})


def test_a_message_is_such_that_json_can_hold_it():
    it = Recording()
    it.error("E", "half a pair \ud800 and \0", "")
    report = report_of(it)
    assert report["errors"][0]["message"] == "half a pair ? and ?"
    assert orjson.loads(orjson.dumps(report)) == read_report(report)


def test_errors_of_many_kinds_are_counted_in_few():
    it = Recording()
    for kind in range(50):
        it.error("E", f"message {kind} {'x' * 1000}", "")
        it.error("E", "message 0", "")
    errors = report_of(it)["errors"]
    assert len(errors) == MOST_KINDS
    assert sum(error["count"] for error in errors) == 100
    assert errors[-1]["code"] == "OTHER"
    assert read_report(report_of(it))["errors"] == errors
