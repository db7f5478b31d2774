"""Reading the records of a job, whatever somebody made of them.

A job's command runs as the same user, so it can damage or replace each of them, and a file system
that is purged or was full can lose some. None of that may hold its reader up or make it fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from app.domain import JSON, Usage
from app.engine.launchers.shim import records
from app.engine.launchers.shim.reading import MAX_RECORD_BYTES, Damaged, read_record

_PIDS = 2**22  # proc_pid_max(5): the kernel gives no higher one
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
_RESULT_TYPES: Mapping[str, tuple[type, ...]] = {
    "exit_code": (int,),
    "started_at": (int, float, type(None)),
    "finished_at": (int, float, type(None)),
    "timed_out": (bool,),
    "cancelled": (bool,),
    "reason": (str, type(None)),
    "fault": (str, type(None)),
}
MAX_EXIT_CODE = 255
_FIGURES = tuple(each.name for each in fields(Usage))
_LARGEST_FIGURE = 2**62
_MAX_TEXT = 1000
_MOST_TEXTS = 10
_MAX_NAME = 255
_END_OF_TIME = 253_402_300_799.0
"""The last second of the year 9999; later moments have no date."""


@dataclass(frozen=True, slots=True)
class Process:
    """The process that has a job, as no other ever is.

    Attributes:
        start_time: In clock ticks since the machine was started: proc(5).
        boot_id: Of the machine's kernel: random(4).
    """

    pid: int
    start_time: str
    boot_id: str
    hostname: str

    @classmethod
    def load(cls, stored: JSON) -> Process | None:
        """Read one that was stored; None where nothing was, or nothing of use."""
        try:
            return _process(stored) if isinstance(stored, dict) else None
        except Damaged:
            return None

    def dump(self) -> JSON:
        """Return the record as a JSON value."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who has a job.

    Attributes:
        process: None when the job was refused: it never begins.
        started_at: When the command itself began, seconds since the epoch.
        cancelled: Why it was refused.
    """

    process: Process | None
    started_at: float | None = None
    cancelled: bool = False


def read_claim(folder: Path) -> Claim | None:
    """Read who has a job; None if nobody has.

    Raises:
        Damaged: That cannot be read; the message says why, in words for the job's owner.
    """
    content = _read_json(folder / records.CLAIM)
    return None if content is None else claim_of(content)


def claim_of(content: Mapping[str, JSON]) -> Claim:
    """Read who has a job from what its claim holds.

    Raises:
        Damaged: That makes no sense.
    """
    if content.get("refused") is True:
        return Claim(None, cancelled=content.get("cancelled") is True)
    started_at = content.get("started_at")
    if not is_moment(started_at):
        raise Damaged(f"{records.CLAIM} is damaged")
    return Claim(_process(content), started_at)


def read_result(folder: Path) -> dict[str, Any] | None:
    """Read how a job ended, as fields of a JobState; None if that was not recorded.

    Raises:
        Damaged: It cannot be read; the message says why.
    """
    content = _read_json(folder / records.EXIT)
    return None if content is None else result_of(content)


def result_of(content: Mapping[str, JSON]) -> dict[str, Any]:
    """Read how a job ended from what its result holds.

    Raises:
        Damaged: That makes no sense.
    """
    result: dict[str, Any] = {name: content.get(name) for name in _RESULT_TYPES}
    whole = all(type(result[name]) in types for name, types in _RESULT_TYPES.items())
    in_range = whole and 0 <= content["exit_code"] <= MAX_EXIT_CODE
    if not (in_range and is_moment(result["started_at"]) and is_moment(result["finished_at"])):
        raise Damaged(f"{records.EXIT} is damaged")
    result["usage"] = usage_of(content.get("usage"))
    result["losses"] = losses_of(content.get("losses"))
    for name in ("reason", "fault"):
        result[name] = result[name] and clean_text(result[name])
    return result


def read_usage(folder: Path) -> Usage | None:
    """Read what a running job was last seen to take; None if nothing of use was left.

    Raises:
        OSError: The disk cannot be used now.
    """
    with suppress(Damaged):
        return measured(read_record(folder / records.USAGE) or b"")
    return None


def measured(record: bytes) -> Usage | None:
    """Read what a job takes from the record of it; None if that is none."""
    if len(record) < records.USAGE_RECORD.size:
        return None
    return _measured(*records.USAGE_RECORD.unpack_from(record))


def _measured(seconds: float, percent: float, memory: float, peak: float) -> Usage | None:
    if not all(map(is_figure, (seconds, percent, memory, peak))):
        return None
    return Usage(round(seconds, 3), round(percent, 1), int(memory) or None, int(peak) or None)


def usage_of(told: JSON) -> Usage | None:
    """Make a usage from what somebody may have made up; None if it is none."""
    figures = [told.get(name) for name in _FIGURES] if isinstance(told, dict) else []
    if not figures or not all(figure is None or is_figure(figure) for figure in figures):
        return None
    seconds, percent, memory, peak = figures
    return Usage(seconds, percent, memory and int(memory), peak and int(peak))


def losses_of(told: JSON) -> tuple[str, ...]:
    """Make losses from what somebody may have made up; what is none of them is left out."""
    told = told if isinstance(told, list) else []
    return tuple(clean_text(each) for each in told[:_MOST_TEXTS] if isinstance(each, str))


def is_figure(value: JSON) -> bool:
    """Return whether something is a number that any store can keep, and no less than 0."""
    return type(value) in (int, float) and 0 <= value <= _LARGEST_FIGURE


def clean_text(text: str) -> str:
    """Make a text that somebody may have made up fit for any store and reader; it may be cut."""
    return _NO_CHARACTER.sub("\ufffd", text[:_MAX_TEXT])


def is_moment(value: JSON) -> bool:
    """Return whether something is seconds since the epoch that have a date, or None."""
    if value is None:
        return True
    return type(value) in (int, float) and 0 <= value <= _END_OF_TIME


def _read_json(path: Path) -> dict[str, Any] | None:
    data = read_record(path)
    return None if data is None else parse_record(path.name, data)


def parse_record(name: str, data: bytes) -> dict[str, Any]:
    """Read a record that is an object.

    Raises:
        Damaged: It is none, or too large.
    """
    try:
        content = json.loads(data) if len(data) <= MAX_RECORD_BYTES else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Damaged(f"{name} is damaged")
    return content


def _process(content: Mapping[str, JSON]) -> Process:
    pid = content.get("pid")
    start_time, boot_id, hostname = (
        name if isinstance(name := content.get(key), str) else ""
        for key in ("start_time", "boot_id", "hostname")
    )
    names = (start_time, boot_id, hostname)
    named = all(name and len(name) <= _MAX_NAME and clean_text(name) == name for name in names)
    if not isinstance(pid, int) or not 0 < pid < _PIDS or not named:
        raise Damaged(f"{records.CLAIM} is damaged")
    return Process(pid, start_time, boot_id, hostname)
