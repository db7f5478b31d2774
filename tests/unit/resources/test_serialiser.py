"""Objects are written by the schema that documents them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
import pytest
from marshmallow import fields

from app.domain import Level, LogEntry, Task, TaskStatus
from app.resources._api import Timestamp
from app.resources._serialiser import Serialiser
from app.resources.root.serialisers.entries import LogEntrySchema, entry_json
from app.resources.root.serialisers.tasks import TaskSchema, task_json

MOMENT = datetime(2022, 10, 20, 12, 32, 29, 774_500, UTC)


class InnerSchema(ma.Schema):
    """Inner."""

    at = Timestamp(allow_none=True)


class OuterSchema(ma.Schema):
    """Outer."""

    name_ = fields.String(data_key="name")
    size = fields.Integer(attribute="length")
    share = fields.Float()
    inner = fields.Nested(InnerSchema, allow_none=True)
    others = fields.List(fields.Nested(InnerSchema))
    anything = fields.Dict()
    doubled = fields.Integer()


@dataclass
class Inner:
    at: datetime | None = None


@dataclass
class Outer:
    name_: str = "a"
    length: int = 3
    share: float = 1
    inner: Inner | None = None
    others: list[Inner] = field(default_factory=lambda: [Inner(MOMENT), Inner()])
    anything: dict[str, Any] = field(default_factory=lambda: {"x": [1, None]})


def twice(outer: Outer) -> int:
    return 2 * outer.length


def test_it_writes_what_the_schema_says() -> None:
    write = Serialiser(OuterSchema, doubled=twice)
    made = write(Outer())
    assert made == {
        "name": "a", "size": 3, "share": 1.0, "inner": None,
        "others": [{"at": "2022-10-20T12:32:29.774Z"}, {"at": None}],
        "anything": {"x": [1, None]}, "doubled": 6,
    }  # fmt: skip
    assert isinstance(made["share"], float)
    assert write(Outer(inner=Inner(MOMENT)))["inner"] == {"at": "2022-10-20T12:32:29.774Z"}


def test_it_writes_some_of_the_fields() -> None:
    assert Serialiser(OuterSchema, only={"size", "name_"})(Outer()) == {"name": "a", "size": 3}


@pytest.mark.parametrize("more", [{"only": {"sise"}}, {"dubled": twice}])
def test_a_field_that_the_schema_does_not_have_is_a_fault_at_once(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no field"):
        Serialiser(OuterSchema, **more)


def test_a_task_is_written_as_marshmallow_would() -> None:
    task = Task("first", TaskStatus.FAILED, MOMENT, None, 3, 2, "n1", "exit code 3")
    assert task_json(task) == TaskSchema().dump(task)


def test_what_is_written_by_hand_has_the_fields_of_its_schema() -> None:
    entry = LogEntry(5, Level.INFO, 1_666_269_149_774, "split", "hello")
    assert list(entry_json(entry)) == list(LogEntrySchema().fields)
