"""What a slave and its master say to each other: JSON texts ``{"type", "data"}`` on one WebSocket.

The slave begins (``register``), gives a sign of life each second (``heartbeat``, with the
cumulative report of each task) and says goodbye (``leave``). The master answers each of the first
two, and says what is wanted: the whole state of a task, never a difference to an earlier one. So
what is lost or repeated does no harm.

Whatever comes is checked as it is read, on both sides: types, lengths and ranges. What is not known
beside that is left out, so that a newer side may say more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from app.domain import JSON
from app.load.measures import read_report
from app.load.messages import (
    MOST_TASKS,
    STATES,
    STOPS,
    TYPES,
    VERSION,
    DesiredTask,
    Forget,
    FromMaster,
    FromSlave,
    Heartbeat,
    HeartbeatAck,
    Leave,
    Machine,
    Register,
    RegisterAck,
    TaskReport,
)
from app.load.segments import Segment, segment_of_json

PATH: Final = "/api/v1/slave-ws"
"""Where a master takes slaves."""
LARGEST_TEXT: Final = 1024 * 1024
"""Longest text of a slave, in bytes."""
LARGEST_ORDER: Final = 4 * LARGEST_TEXT
"""Longest text of a master: a definition comes along."""
NORMAL_CLOSURE, PROTOCOL_ERROR, UNREADABLE, NOT_ALLOWED, TOO_LARGE = 1000, 1002, 1007, 1008, 1009
"""Codes with which a connection is closed (RFC 6455, 7.4.1)."""
SERVICE_RESTART, TRY_AGAIN_LATER = 1012, 1013
"""Likewise (the registry of IANA): another process will take the slave, or this one later."""
TAKEN_FOR_LOST: Final = 4001
"""What the slave does was given to others: it stops at once, and may join again."""

_LARGEST: Final = 2**53 - 1
SLAVE_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,100}")
"""What a slave may call itself."""
_ID: Final = SLAVE_ID
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PRINTABLE: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")
_LONGEST_TEXT: Final = 255
_LONGEST_ERROR: Final = 1000
_MOST_WORDS: Final = 100


class Malformed(Exception):
    """What came is none of the messages, or one that says something impossible.

    Attributes:
        code: With which the connection is to be closed.
        reason: Names the place, and what was expected there.
    """

    def __init__(self, reason: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def from_slave(text: str | bytes) -> FromSlave:
    """Read what a slave says.

    Raises:
        Malformed: It is no message of a slave.
    """
    return _read(text, _FROM_SLAVE, LARGEST_TEXT)  # type: ignore[no-any-return]


def from_master(text: str | bytes) -> FromMaster:
    """Read what a master says.

    Raises:
        Malformed: It is no message of a master.
    """
    return _read(text, _FROM_MASTER, LARGEST_ORDER)  # type: ignore[no-any-return]


def written(message: FromSlave | FromMaster) -> bytes:
    """Write a message as the text that the other side reads."""
    type_, write = _WRITERS[type(message)]
    return orjson.dumps({"type": type_, "data": write(message)})


def written_order(data: Mapping[str, JSON]) -> bytes:
    """Write a desired state as the text that a slave reads.

    Args:
        data: The fields of a :class:`DesiredTask`, as JSON.
    """
    return orjson.dumps({"type": "task", "data": data})


def task_json(task: DesiredTask) -> dict[str, JSON]:
    """Write a desired state as the data of a message."""
    data: dict[str, JSON] = {
        "task": task.task,
        "execution": task.execution,
        "generation": task.generation,
        "digest": task.digest,
        "segment": task.segment.to_json(),
        "scaled": task.scaled,
        "quota": task.quota,
        "max_vus": task.max_vus,
        "elapsed_us": task.elapsed_us,
        "paused": task.paused,
        "stop": task.stop,
    }
    if task.definition is not None:
        data["definition"] = task.definition
    return data


def read_task(value: JSON) -> DesiredTask:
    """Read a desired state off the data of a message.

    Raises:
        Malformed: It is none.
    """
    data = _Fields(value, "data")
    return DesiredTask(
        task=data.text("task", _ID),
        execution=data.text("execution", _ID),
        generation=data.whole("generation", 1),
        digest=data.text("digest", _TOKEN),
        segment=_segment(data.get("segment")),
        scaled=data.optional("scaled", data.whole),
        quota=data.optional("quota", data.whole),
        max_vus=data.whole("max_vus"),
        elapsed_us=data.whole("elapsed_us"),
        paused=data.boolean("paused"),
        stop=data.word("stop", STOPS),
        definition=data.optional("definition", data.object),
    )


class _Fields:
    """The fields of an object, read with what they must be.

    Args:
        value: What should be the object.
        place: Where it stands.
    """

    def __init__(self, value: JSON, place: str) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{place} must be an object")
        self._value: dict[str, JSON] = value
        self._place = place

    def get(self, name: str) -> JSON:
        return self._value.get(name)

    def wrong(self, name: str, expected: str) -> Malformed:
        return Malformed(f"{self._place}.{name} must be {expected}")

    def optional(self, name: str, read: Callable[[str], Any]) -> Any:
        return None if self._value.get(name) is None else read(name)

    def text(self, name: str, form: re.Pattern[str] | None = None) -> str:
        value = self._value.get(name)
        if form is not None:
            if not isinstance(value, str) or not form.fullmatch(value):
                raise self.wrong(name, f"a text of the form {form.pattern}")
            return value
        if not _is_short(value):
            raise self.wrong(name, f"a text of at most {_LONGEST_TEXT} visible characters")
        return str(value)

    def word(self, name: str, words: tuple[str, ...]) -> str:
        value = self._value.get(name)
        if value not in words:
            raise self.wrong(name, f"one of {', '.join(words)}")
        return str(value)

    def whole(self, name: str, least: int = 0, most: int = _LARGEST) -> int:
        value = self._value.get(name)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return value

    def boolean(self, name: str) -> bool:
        value = self._value.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def share(self, name: str) -> float:
        value = self._value.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self.wrong(name, "a number from 0 to 1")
        return float(value)

    def object(self, name: str) -> Mapping[str, JSON]:
        value = self._value.get(name)
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return value

    def items(self, name: str, most: int) -> list[JSON]:
        value = self._value.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise self.wrong(name, f"a list of at most {most}")
        return value

    def words(self, name: str) -> tuple[str, ...]:
        found = self.items(name, _MOST_WORDS)
        if not all(map(_is_short, found)):
            raise self.wrong(name, f"texts of at most {_LONGEST_TEXT} visible characters")
        return tuple(dict.fromkeys(found))

    def ids(self, name: str) -> tuple[str, ...]:
        found = self.items(name, MOST_TASKS)
        if not all(isinstance(each, str) and _ID.fullmatch(each) for each in found):
            raise self.wrong(name, "a list of ids")
        return tuple(dict.fromkeys(found))

    def pairs(self, name: str) -> Mapping[str, str]:
        found = self._value.get(name, {})
        few = isinstance(found, dict) and len(found) <= _MOST_WORDS
        if not few or not all(map(_is_short, [*found, *found.values()])):
            expected = f"at most {_MOST_WORDS} pairs of texts of {_LONGEST_TEXT} visible characters"
            raise self.wrong(name, expected)
        return dict(found)


def _is_short(value: JSON) -> bool:
    return (
        isinstance(value, str) and len(value) <= _LONGEST_TEXT and bool(_PRINTABLE.fullmatch(value))
    )


def _read(text: str | bytes, readers: Mapping[str, Callable[[JSON], Any]], most: int) -> Any:
    if len(text) > most:
        raise Malformed(f"a message must be no longer than {most} bytes", TOO_LARGE)
    try:
        whole = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise Malformed(f"a message must be JSON: {exc}", UNREADABLE) from None
    message = _Fields(whole, "the message")
    return readers[message.word("type", tuple(readers))](message.get("data"))


def _tasks(data: _Fields) -> tuple[TaskReport, ...]:
    found = tuple(map(_task_report, data.items("tasks", MOST_TASKS)))
    if len({each.task for each in found}) < len(found):
        raise Malformed("data.tasks must name each task once")
    return found


def _task_report(value: JSON) -> TaskReport:
    data = _Fields(value, "data.tasks[]")
    task, generation = data.text("task", _ID), data.whole("generation")
    try:
        return TaskReport(task, generation, read_report(data.get("report")))
    except ValueError as exc:
        raise data.wrong("report", f"a report: {exc}") from None


def _register(value: JSON) -> Register:
    data = _Fields(value, "data")
    if data.get("protocol") != VERSION:
        raise Malformed(f"data.protocol must be {VERSION}")
    machine = _Fields(data.get("resources"), "data.resources")
    return Register(
        slave_id=data.text("slave_id", _ID),
        incarnation=data.text("incarnation", _TOKEN),
        type=data.word("type", TYPES),
        address=data.text("address"),
        capabilities=data.words("capabilities"),
        labels=data.pairs("labels"),
        machine=Machine(
            machine.whole("cpu_cores", 1, 1_000_000),
            machine.whole("memory_mb"),
            machine.whole("max_vus", 1, 1_000_000_000),
        ),
        tasks=data.ids("tasks"),
    )


def _heartbeat(value: JSON) -> Heartbeat:
    data = _Fields(value, "data")
    status = _Fields(data.get("status"), "data.status")
    return Heartbeat(
        sequence=data.whole("sequence"),
        state=status.word("state", STATES),
        load=status.share("load"),
        active_tasks=status.whole("active_tasks", 0, MOST_TASKS),
        tasks=_tasks(data),
    )


def _register_ack(value: JSON) -> RegisterAck:
    data = _Fields(value, "data")
    error = data.get("error") or ""
    return RegisterAck(
        accepted=data.boolean("accepted"),
        assigned_id=data.text("assigned_id"),
        error=str(error)[:_LONGEST_ERROR],
        heartbeat_interval_ms=data.whole("heartbeat_interval_ms", 10, 60_000),
        lease_ms=data.whole("lease_ms", 100, 3_600_000),
        alone_ms=data.whole("alone_ms", 0, 3_600_000),
        master_id=data.text("master_id"),
        version=data.text("version"),
        allowed_networks=data.optional("allowed_networks", data.words),
        denied_networks=data.optional("denied_networks", data.words),
    )


def _segment(value: JSON) -> Segment:
    try:
        return segment_of_json(value)
    except ValueError as exc:
        raise Malformed(f"data.segment must be a share of the whole: {exc}") from None


_FROM_SLAVE: Final[Mapping[str, Callable[[JSON], Any]]] = {
    "register": _register,
    "heartbeat": _heartbeat,
    "leave": lambda _: Leave(),
}
_FROM_MASTER: Final[Mapping[str, Callable[[JSON], Any]]] = {
    "register_ack": _register_ack,
    "heartbeat_ack": lambda value: HeartbeatAck(_Fields(value, "data").whole("sequence")),
    "task": read_task,
    "forget": lambda value: Forget(_Fields(value, "data").text("task", _ID)),
}


def _task_reports(tasks: Iterable[TaskReport]) -> list[JSON]:
    return [
        {"task": each.task, "generation": each.generation, "report": each.report} for each in tasks
    ]


def _register_json(message: Register) -> JSON:
    machine = message.machine
    return {
        "protocol": VERSION,
        "slave_id": message.slave_id,
        "incarnation": message.incarnation,
        "type": message.type,
        "address": message.address,
        "capabilities": message.capabilities,
        "labels": message.labels,
        "resources": {
            "cpu_cores": machine.cpu_cores,
            "memory_mb": machine.memory_mb,
            "max_vus": machine.max_vus,
        },
        "tasks": message.tasks,
    }


def _heartbeat_json(message: Heartbeat) -> JSON:
    status = {
        "state": message.state, "load": message.load, "active_tasks": message.active_tasks,
    }  # fmt: skip
    tasks = _task_reports(message.tasks)
    return {"sequence": message.sequence, "status": status, "tasks": tasks}


def _register_ack_json(message: RegisterAck) -> JSON:
    return {
        "accepted": message.accepted,
        "assigned_id": message.assigned_id,
        "error": message.error,
        "heartbeat_interval_ms": message.heartbeat_interval_ms,
        "lease_ms": message.lease_ms,
        "alone_ms": message.alone_ms,
        "master_id": message.master_id,
        "version": message.version,
        "allowed_networks": message.allowed_networks,
        "denied_networks": message.denied_networks,
    }


_WRITERS: Final[Mapping[type, tuple[str, Callable[[Any], JSON]]]] = {
    Register: ("register", _register_json),
    Heartbeat: ("heartbeat", _heartbeat_json),
    Leave: ("leave", lambda _: {}),
    RegisterAck: ("register_ack", _register_ack_json),
    HeartbeatAck: ("heartbeat_ack", lambda each: {"sequence": each.sequence}),
    DesiredTask: ("task", task_json),
    Forget: ("forget", lambda each: {"task": each.task}),
}
