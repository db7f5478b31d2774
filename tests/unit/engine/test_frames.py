import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.launchers.base import OutputLine, Stream
from app.engine.launchers.frames import parse_frames
from app.engine.launchers.shim.lines import whole_lines
from app.engine.launchers.shim.output import Output, Pipe
from app.engine.launchers.shim.reading import MAX_FRAME
from app.engine.launchers.shim.records import (
    CONTINUED,
    HEADER,
    MAX_LINE,
    REMARK,
    STDERR,
    STDOUT,
)

# Many line ends, pieces of characters, and the bytes that are treated in a special way.
OUTPUT = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.text(max_size=4).map(str.encode),
        st.sampled_from([b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xc3", b"\xf0\x9f"]),
    )
).map(b"".join)


def payloads(data: bytes, sizes: list[int], limit: int) -> list[bytes]:
    """What a pipe makes of data that arrive in chunks of such sizes."""
    written, rest = [], b""
    for size in [*sizes, *[limit] * len(data)]:
        room = min(size, limit + 1 - len(rest))
        payload, rest = whole_lines(rest + data[:room], limit)
        data = data[room:]
        written += [payload] if payload else []
    assert not data
    return [*written, rest] if rest else written


def frames(*payloads_: bytes, stream: int = STDOUT) -> bytes:
    return b"".join(HEADER.pack(stream, 1.5, len(p)) + p for p in payloads_)


def texts(data: bytes) -> list[str]:
    lines, size = parse_frames(data)
    assert size == len(data)
    return [line.text for line in lines]


def naive_lines(data: bytes) -> list[str]:
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *ended, rest = data.split(b"\n")
    lines = ended + ([rest] if rest else [])
    return [line.decode("utf-8", "replace").replace("\0", "\ufffd") for line in lines]


@given(OUTPUT, st.lists(st.integers(0, 20)))
def test_any_chunks_of_any_bytes_give_the_lines_of_a_naive_splitter(data, sizes):
    assert texts(frames(*payloads(data, sizes, limit=MAX_LINE))) == naive_lines(data)


@given(OUTPUT, st.lists(st.integers(0, 20)), st.integers(4, 12))
def test_a_long_line_is_cut_and_nothing_is_lost(data, sizes, limit):
    written = payloads(data, sizes, limit)
    assert b"".join(written) == data
    for payload in written:
        assert len(payload) <= limit + 1
        assert all(len(line) <= limit for line in payload.split(b"\n"))


@given(st.text(), st.integers(4, 12))
def test_no_cut_goes_through_a_character(text, limit):
    for payload in payloads(text.encode(), [], limit):
        payload.decode()


@given(OUTPUT, st.lists(st.integers(0, 20)), st.integers(0, 100))
def test_a_frame_that_is_cut_off_is_left_for_later(data, sizes, cut):
    whole = frames(*payloads(data, sizes, limit=16))
    first, size = parse_frames(whole[:cut])
    rest, _ = parse_frames(whole[size:])
    assert size <= min(cut, len(whole))
    assert first + rest == parse_frames(whole)[0]


def test_stream_and_time_are_those_of_the_frame():
    data = frames(b"out\n") + frames(b"err\n", stream=STDERR) + frames(b"note\n", stream=REMARK)
    assert parse_frames(data)[0] == [
        OutputLine(Stream.STDOUT, 1.5, "out"),
        OutputLine(Stream.STDERR, 1.5, "err"),
        OutputLine(Stream.REMARK, 1.5, "note"),
    ]


@pytest.mark.parametrize("rubbish", [b"\xff" * 100, HEADER.pack(STDOUT, 0.0, 2**32 - 1) + b"x"])
def test_rubbish_behind_a_frame_is_not_read(rubbish):
    good = frames(b"line\n")
    assert parse_frames(good + rubbish) == (parse_frames(good)[0], len(good))


def test_the_longest_line_and_its_line_feed_are_one_frame():
    data = b"x" * MAX_LINE + b"\n"
    assert payloads(data, [], MAX_LINE) == [data]
    assert len(frames(data)) == MAX_FRAME


def test_output_that_finds_no_place_leaves_no_half_frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = Output()
    output.append(STDOUT, b"first\n")
    monkeypatch.setattr(os, "write", lambda _fd, _data: 7)  # as at the end of a disk
    output.append(STDOUT, b"second\n")
    monkeypatch.undo()
    assert output.lost == len(b"second\n")
    assert texts((tmp_path / "frames").read_bytes()) == ["first"]


def test_a_pipe_keeps_back_what_is_not_a_line_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reading, writing = os.pipe()
    pipe = Pipe(STDOUT, reading, Output())
    os.write(writing, b"one\ntwo, in ")
    assert pipe.read()
    assert not pipe.read()
    assert texts((tmp_path / "frames").read_bytes()) == ["one"]
    os.write(writing, b"parts")
    os.close(writing)
    assert pipe.read()
    assert not pipe.read()
    assert pipe.closed
    assert texts((tmp_path / "frames").read_bytes()) == ["one", "two, in parts"]


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_frame_of_no_moment_is_damaged_and_so_is_what_follows(moment):
    whole = frames(b"one\n")
    damaged = HEADER.pack(STDOUT, moment, 4) + b"two\n"
    lines, size = parse_frames(whole + damaged + whole)
    assert [line.text for line in lines] == ["one"]
    assert size == len(whole)


def test_a_frame_may_go_on_with_a_line_and_end_others():
    data = frames(b"ing\nnext\n", stream=STDOUT | CONTINUED) + frames(
        b"s", stream=STDERR | CONTINUED
    )
    assert parse_frames(data)[0] == [
        OutputLine(Stream.STDOUT, 1.5, "ing", continues=True),
        OutputLine(Stream.STDOUT, 1.5, "next"),
        OutputLine(Stream.STDERR, 1.5, "s", continues=True),
    ]


def test_what_is_missing_is_told_where_it_is_missing_and_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = Output()
    output.append(STDOUT, b"first\n")
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda _fd, _data: 0)
        output.append(STDOUT, b"second\n")
        output.append(STDOUT, b"third\n")
    output.append(STDOUT, b"fourth\n")
    assert texts((tmp_path / "frames").read_bytes()) == [
        "first", "13 bytes of output found no place on the disk here", "fourth"
    ]  # fmt: skip
    assert list(output.losses()) == ["13 bytes of output found no place on the disk"]


def test_beyond_the_limit_output_is_counted_and_remarks_are_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = Output(100)
    for _ in range(5):
        output.append(STDOUT, b"x" * 39 + b"\n")
    output.append(STDOUT, b"short\n")
    output.remark("told")
    kept = texts((tmp_path / "frames").read_bytes())
    assert kept[0] == "x" * 39
    assert "limit of 100 bytes" in kept[-2]
    assert kept[-1] == "told"
    beyond = output.beyond
    assert beyond == 5 * 40 + 6 - 40 * (len(kept) - 2)
    assert list(output.losses()) == [
        f"{beyond} bytes of output were not kept, beyond the limit of 100 bytes"
    ]
