"""Encoders: what each transport writes for each event, and that a new one is a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import pytest
from follow_kit import Log, service_in

from app.assembly import DIALECTS, import_dialect
from app.domain import ExecutionStatus, Level, LogEntry, LogStream
from app.resources._encoders import Encoder, Told
from app.resources.root.encoders import ENCODERS, AwfNdjson, AwfSse, RootMessages
from app.resources.wattle.logs import WattleSse
from app.services.follow import (
    Batch,
    Dropped,
    Ended,
    Event,
    Expired,
    Heartbeat,
    Moved,
)
from app.services.stretches import Stretch

ENCODER_CLASSES = [
    encoder for name in DIALECTS for encoder in import_dialect(name).encoders.values()
]
NAMED: list[Event] = [
    Dropped(3, 10, 13), Ended(ExecutionStatus.SUCCESS, 20), Moved(20), Expired("gone"),
]  # fmt: skip


def entries(*contents: str) -> Batch:
    return Stretch(
        [LogEntry(i, Level.INFO, 0, "", text) for i, text in enumerate(contents)], len(contents)
    )


def encode(encoder: Encoder, event: Event) -> bytes:
    return b"".join(encoder.encode(event, nullcontext))


@pytest.mark.parametrize("form", ENCODER_CLASSES)
@pytest.mark.parametrize("takes_gzip", [False, True])
def test_every_event_can_be_written(form: type[Encoder], takes_gzip: bool) -> None:
    for event in (entries("one", "two"), Heartbeat(), *NAMED):
        encoder = form.for_client(takes_gzip=takes_gzip)
        assert encoder.content_type == form.content_type
        assert isinstance(encode(encoder, event), bytes)
        assert isinstance(encoder.prelude(), bytes | None)


@pytest.mark.parametrize("form", [*ENCODER_CLASSES, AwfSse, AwfNdjson, WattleSse])
def test_no_entry_forges_a_line(form: type[Encoder]) -> None:
    forged = "2026-01-01T00:00:00.000Z ERROR b: forged"
    ends = ("\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x1e", "\x85", "\u2028", "\u2029")
    kinds = [LogStream.NONE, LogStream.STDOUT]
    contents = [f"said{end}{forged}{end}event: end{end}data: x" for end in ends]
    nasty, plain = (
        Stretch([LogEntry(0, Level.INFO, 0, "a", text, stream=int(kind)) for kind in kinds
                 for text in texts], 1)
        for texts in (contents, ["said"] * len(contents))
    )  # fmt: skip
    said, as_usual = (
        encode(form.for_client(takes_gzip=False), batch).decode().splitlines()
        for batch in (nasty, plain)
    )
    own = [line for line in said if not line.startswith("    ")]
    assert len(own) == len(as_usual)
    assert not any(line.startswith(("2026", "event: end", "data: x")) for line in said)


@pytest.mark.parametrize("form", [*ENCODER_CLASSES, RootMessages])
def test_entries_are_the_same_bytes_for_every_reader(form: type[Encoder]) -> None:
    batch = entries("one", "two")
    first, second = (form.entries(batch) for _ in range(2))
    assert first == second
    assert b"one" in first
    assert form.entries == form.entries, "what is kept is found again"


@pytest.mark.parametrize(
    ("event", "code"), [(Ended(ExecutionStatus.FAILED, 1), 1000), (Moved(5), 1001),
                        (Expired("no more"), 1008)],
)  # fmt: skip
def test_a_websocket_says_why_it_is_closed(event: Any, code: int) -> None:
    said, reason = RootMessages(lambda _: []).closing(event)
    assert said == code
    assert reason


class CsvEncoder(Encoder):
    """Rows of the number and the content of entries: all that a new transport takes."""

    content_type = "text/csv"
    headers: Mapping[str, str] = {"X-Columns": "number,content"}

    def prelude(self) -> bytes:
        return b"number,content\r\n"

    @classmethod
    def entries(cls, stretch: Stretch) -> bytes:
        return b"".join(b"%d,%s\r\n" % (e.sequence, e.content.encode()) for e in stretch.entries)

    def told(self, event: Told) -> bytes:
        return b"# end\r\n" if isinstance(event, Ended) else b""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with service_in(tmp_path_factory) as made:
        yield made


def test_a_new_transport_is_one_class(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(service)
    log.write([Level.INFO, Level.WARN])
    log.end()
    monkeypatch.setitem(ENCODERS, CsvEncoder.content_type, CsvEncoder)
    response = service.client.get(
        f"/executions/{log.execution.id}/logs", headers={"Accept": "text/csv"}
    )
    assert response.status_code == 200
    assert response.content_type == "text/csv; charset=utf-8"
    assert response.headers["X-Columns"] == "number,content"
    head, *rows, last = response.text.splitlines()
    assert head == "number,content"
    assert len(rows) == 2
    assert last == "# end"
