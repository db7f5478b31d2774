"""Looking at jobs: their records, and what their output grew by."""

import os
import time
from contextlib import suppress

from app.engine.launchers.shim.reading import (
    MAX_FRAME,
    Damaged,
    open_regular,
    read_frames,
    read_record,
    read_results,
    whole_frames,
)
from app.engine.launchers.shim.records import (
    CANCEL,
    CLAIM,
    EXIT,
    FRAMES,
    OUTPUTS,
    PAUSE,
    SPEC,
    USAGE,
)

from . import records
from .faults import Refusal, of_disk
from .folders import names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_TEXT = 8 * 1024 * 1024
"""Letters of all records that are told at once: an answer has a bound."""
_next_first = 0


def look(jobs: "list[dict[str, Any]]", most_bytes: int) -> "tuple[dict[str, Any], bytes]":
    """Look at jobs; a bounded part of what they printed comes along, each time of others first."""
    global _next_first  # noqa: PLW0603
    told: list[dict[str, Any]] = []
    room = _MOST_TEXT
    for job in jobs:
        entry = _look(job) if room > 0 else {"error": _too_much()}
        room -= sum(len(text) for text in entry.values() if isinstance(text, str))
        told.append(entry)
    pieces = [b""] * len(jobs)
    left = most_bytes
    first = _next_first % max(1, len(jobs))
    for step in range(len(jobs)):
        number = (first + step) % len(jobs)
        entry = told[number]
        offset = jobs[number]["offset"]
        if left <= 0 or entry.get("size", 0) <= offset:
            continue
        with suppress(OSError):
            path = records.path(jobs[number]["folder"], FRAMES)
            data = read_frames(path, offset, min(left, max(most_bytes // len(jobs), MAX_FRAME)))
            pieces[number] = data[: whole_frames(data)]
            left -= len(pieces[number])
            _next_first = number + 1
    for found, piece in zip(told, pieces):
        found["growth"] = len(piece)
    return {"clock": time.time(), "jobs": told}, b"".join(pieces)


def _look(job: "dict[str, Any]") -> "dict[str, Any]":
    folder = job["folder"]
    try:
        names = names_in(folder)
        if names is None:
            return {"absent": True}
        present = set(names)

        def text(name: str) -> "Any":
            return records.text_of(folder, name) if name in present else None

        # Its result comes before its size: whoever sees the one sees all output by the other.
        result = text(EXIT)
        return {
            "prepared": SPEC in present,
            "claim": text(CLAIM),
            "exit": result,
            "submission": text(records.SUBMISSION),
            "job": text(records.JOB),
            "usage": usage(folder) if USAGE in present else None,
            "cancel": CANCEL in present,
            "pause": PAUSE in present,
            "size": _size(records.path(folder, FRAMES)) if FRAMES in present else 0,
        }
    except OSError as exc:
        return {"error": of_disk(exc).told()}


def _too_much() -> "dict[str, Any]":
    text = "The records of the jobs of this account are too large to be looked at together."
    return Refusal("unreachable", text).told()


def _size(path: str) -> int:
    # A file server is asked for the size when a file is opened; before, it may be an old one.
    try:
        fd = open_regular(path)
    except Damaged:
        fd = None
    if fd is None:
        return 0
    try:
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def usage(folder: str) -> "str | None":
    """Return what a job takes, as its shim wrote it, in hexadecimal digits."""
    try:
        content = read_record(records.path(folder, USAGE))
    except Damaged:
        return None
    return None if content is None else content[:64].hex()


def read(folder: str, offset: int, most_bytes: int) -> bytes:
    """Return frames from an offset on: whole ones, at least one if there is one."""
    data = read_frames(records.path(folder, FRAMES), offset, most_bytes)
    return data[: whole_frames(data)]


def outputs(folder: str) -> bytes:
    """Return what a command wrote as its results.

    Raises:
        Refusal: They are not in a file.
    """
    try:
        return read_results(records.path(folder, OUTPUTS))
    except Damaged as exc:
        raise Refusal("invalid", f"The outputs are not a regular file: {exc}.") from exc
