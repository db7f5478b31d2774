"""Archives that are written while they are sent."""

from __future__ import annotations

import io
import random
import zipfile
from contextlib import contextmanager
from datetime import UTC, datetime

from app.resources._zip import archive

MOMENT = datetime(2026, 1, 31, 12, 0, 2, tzinfo=UTC)


@contextmanager
def no_turn():
    yield


def unpacked(data):
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        assert read.testzip() is None
        return {info.filename: read.read(info) for info in read.infolist()}, read.infolist()


def test_what_goes_in_comes_out():
    members = [("a/x.txt", [b"one ", b"", b"two"]), ("a/y", []), ("a/z", [b"\0" * 100_000])]
    contents, infos = unpacked(b"".join(archive(members, MOMENT, no_turn)))
    assert contents == {"a/x.txt": b"one two", "a/y": b"", "a/z": b"\0" * 100_000}
    for info in infos:
        assert info.date_time == (2026, 1, 31, 12, 0, 2)
        assert info.external_attr >> 16 == 0o100644


def test_the_same_is_the_same_byte_for_byte():
    def made():
        return b"".join(archive([("x", [b"one"]), ("y", [b"two"])], MOMENT, no_turn))

    assert made() == made()


def test_it_is_sent_while_it_is_written_and_in_turns():
    noise, asked, turns = random.Random(1), [], []

    @contextmanager
    def turn():
        turns.append(1)
        yield

    def pieces():
        for number in range(50):
            asked.append(number)
            yield noise.randbytes(100_000)

    sent = archive([("x", pieces())], MOMENT, turn)
    first = next(sent)
    assert len(first) < 200_000
    assert len(asked) == 1
    rest = [*sent]
    assert max(map(len, rest)) < 200_000
    assert len(turns) == 200  # of 32 KiB each
    assert len(unpacked(first + b"".join(rest))[0]["x"]) == 5_000_000


def test_a_reader_that_leaves_ends_it():
    closed = []

    def pieces():
        try:
            while True:
                yield random.Random(1).randbytes(100_000)
        finally:
            closed.append(1)

    sent = archive([("x", pieces()), ("y", [b"never"])], MOMENT, no_turn)
    next(sent)
    sent.close()
    assert closed == [1]
