"""Encoders: what each transport writes for each event, and that a new one is a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import pytest
from follow_kit import Log, service_in

from app.assembly import DIALECTS, import_dialect
from app.domain import ExecutionStatus, Level, LogEntry
from app.resources._encoders import Encoder, Told
from app.resources.root import logs
from app.resources.root.encoders import ENCODERS, RootMessages
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
    logs._chosen.cache_clear()
    response = service.client.get(
        f"/executions/{log.execution.id}/logs", headers={"Accept": "text/csv"}
    )
    logs._chosen.cache_clear()
    assert response.status_code == 200
    assert response.content_type == "text/csv; charset=utf-8"
    assert response.headers["X-Columns"] == "number,content"
    head, *rows, last = response.text.splitlines()
    assert head == "number,content"
    assert len(rows) == 2
    assert last == "# end"
