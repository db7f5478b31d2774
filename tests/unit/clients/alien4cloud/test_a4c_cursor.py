import json

import pytest

from app.clients.alien4cloud.cursor import Cursor, LogCursor
from app.errors import UpstreamError

LATER = Cursor(
    "deployment", "RUNNING", 1.5, 2.5, {"a": "SUCCESS"}, {"run": "step"}, {"step": 7},
    LogCursor(1000, ["x"], 3), 9,
)  # fmt: skip


def test_it_is_read_as_it_was_written():
    assert Cursor.load(json.loads(json.dumps(LATER.dump())), 0.0) == LATER


def test_without_one_all_begins_now():
    assert Cursor.load(None, 5.0) == Cursor(changed_at=5.0, checked_at=5.0)


def test_one_from_before_there_were_versions_is_read():
    before = LATER.dump()
    del before["version"]
    assert Cursor.load(before, 0.0) == LATER


def test_one_of_a_later_version_is_refused_by_name():
    with pytest.raises(UpstreamError, match="A later version of the service") as refused:
        Cursor.load({"version": 2, "what": "nobody knows"}, 0.0)
    assert refused.value.detail == "cursor of version 2, known is 1"
