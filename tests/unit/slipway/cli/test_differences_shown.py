"""``slipway diff`` with a service that does not say what it should."""

from __future__ import annotations

import json

import pytest
from kit.raw_server import RawServer, answer

ONE, OTHER = (f"0b9f6a52-7c1d-4f5e-9a3b-2d8e4c6f1a0{number}" for number in (1, 2))
SIDE = {"state": "SUCCESS", "workflow_name": "w"}
SAME = {
    "differs": False, "before": SIDE, "after": SIDE, "inputs": [], "outputs": [], "steps": [],
    "definition": {"changed": False}, "log": {"lines": []}, "duration_seconds": {},
}  # fmt: skip


def compared(person, found):
    def talk(asked, _):
        if "/diff/" in asked.target:
            return answer(200, found)
        id_ = asked.target.rpartition("/")[2]
        return answer(200, {"id": id_, "status": "SUCCESS", "state": "SUCCESS"})

    with RawServer(talk) as server:
        return person.types("--url", server.url, "diff", ONE, OTHER)


def test_two_that_are_the_same_do_not_differ(person):
    assert compared(person, SAME) == (0, "", "0b9f6a52 and 0b9f6a52 do not differ.\n")


@pytest.mark.parametrize(
    "changed",
    [
        {"before": "x"}, {"after": {}}, {"steps": [{}]}, {"inputs": 7}, {"log": None},
        {"definition": []}, {"duration_seconds": "long"},
        {"steps": [{"name": "a", "change": "changed", "before": 1, "after": None}]},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_what_is_no_comparison_is_not_of_slipway(person, changed):
    code, out, err = compared(person, {**SAME, "differs": True, **changed})
    assert (code, out) == (5, "")
    assert err.startswith("slipway: The service does not say in what the two differ")
