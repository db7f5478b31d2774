"""A log as a text file: whole, compressed, or a range of its bytes."""

import gzip

import pytest
from follow_kit import ALL, MOMENT, Log, open_stream, service_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain import ExecutionStatus, Level, log_timestamp

FIXTURES = HealthCheck.function_scoped_fixture
D, I, W, E = Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR  # noqa: E741
CONTENTS = [
    "plain", "", "Grüße aus Köln", "日本語のログ", "\U0001f680 lift-off \U0001f468\u200d\U0001f469",
    "e\u0301 combining", "nul \x00 and half a pair \ud800", "two\nlines", "tab\tand \\", "x" * 300,
]  # fmt: skip
STORED = [text.replace("\x00", "\ufffd").replace("\ud800", "?") for text in CONTENTS]
WRITTEN = [text.replace("\n", "\n    ") for text in STORED]
LEVELS = [I, D, W, I, E, I, D]
LINES = 700


def written(count, mask=ALL):
    """What the log must look like, as its reader would write it down."""
    lines = []
    for i in range(count):
        level = LEVELS[i % len(LEVELS)]
        if level & mask:
            task = "" if i % 3 else "split: "
            stamp = log_timestamp(MOMENT + i)
            lines.append(f"{stamp} {level.name:<5} {task}{WRITTEN[i % len(WRITTEN)]}\n")
    return "".join(lines).encode()


def fill(log, count=LINES):
    levels = [LEVELS[i % len(LEVELS)] for i in range(count)]
    return log.write(levels, [CONTENTS[i % len(CONTENTS)] for i in range(count)])


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with service_in(tmp_path_factory, streams__heartbeat="50ms") as made:
        yield made


@pytest.fixture
def client(service):
    return service.client


@pytest.fixture(scope="module")
def log(service):
    return fill(Log(service).see()).end()


@pytest.fixture
def get(client, log):
    def get(range_=None, *, query="levels=15", method="GET", id_=log.id, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if range_ is not None:
            named["Range"] = range_
        path = f"/executions/{id_}/logs?{query}"
        return client.open(path, method=method, headers={"Accept": "text/plain", **named})

    return get


class TestWhole:
    @pytest.mark.parametrize("mask", [0, 1, 2, 5, 8, 15])
    def test_it_is_the_log_as_lines(self, get, mask):
        response = get(query=f"levels={mask}")
        assert response.status_code == 200
        assert response.data == written(LINES, mask or 14)
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.headers["Content-Length"] == str(len(response.data))
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.headers["Vary"] == "Accept, Accept-Encoding"

    def test_the_entity_tag_names_this_text_and_no_other(self, service, get):
        other = fill(Log(service)).end()
        tags = {get(query=f"levels={mask}").headers["ETag"] for mask in (1, 2, 15)}
        tags.add(get(id_=other.id).headers["ETag"])
        assert len(tags) == 4
        assert get().headers["ETag"] == get().headers["ETag"]

    def test_head_tells_the_same_without_the_text(self, get):
        whole, head = get(), get(method="HEAD")
        assert head.data == b""
        for name in ("Content-Length", "ETag", "Accept-Ranges", "Content-Type"):
            assert head.headers[name] == whole.headers[name]

    def test_of_a_running_execution_it_is_what_there_is(self, service, get):
        running = fill(Log(service).see(), 10)
        response = get("bytes=0-9", id_=running.id)
        assert (response.status_code, response.data) == (200, written(10))
        assert "Accept-Ranges" not in response.headers
        tag = response.headers["ETag"]
        assert tag.startswith("W/")
        assert get(id_=running.id, If_None_Match=tag).status_code == 304
        fill(running, 1)
        assert get(id_=running.id, If_None_Match=tag).status_code == 200

    def test_an_empty_log_is_an_empty_text(self, service, get):
        empty = Log(service).end()
        response = get(id_=empty.id)
        assert (response.status_code, response.data) == (200, b"")
        assert response.headers["Content-Length"] == "0"

    def test_a_log_of_many_batches_is_whole(self, service, get):
        long = fill(Log(service), 3500).end()
        assert get(id_=long.id).data == written(3500)
        begin, stop = 40_000, 170_000
        part = get(f"bytes={begin}-{stop - 1}", id_=long.id)
        assert part.data == written(3500)[begin:stop]


class TestCompressed:
    @pytest.mark.parametrize("accepted", ["gzip", "br, gzip;q=0.5", "*", "gzip, deflate, br"])
    def test_who_accepts_gzip_gets_it(self, get, accepted):
        response = get(Accept_Encoding=accepted)
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(response.data) == written(LINES)
        assert len(response.data) < len(written(LINES)) / 5
        for name in ("Content-Length", "Accept-Ranges"):
            assert name not in response.headers
        tag = response.headers["ETag"]
        assert tag.startswith("W/")
        assert tag.strip('W/"') != get().headers["ETag"].strip('"')
        assert get(Accept_Encoding=accepted, If_None_Match=tag).status_code == 304
        assert get(If_None_Match=tag).status_code == 200

    @pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br", ""])
    def test_who_does_not_gets_the_plain_text(self, get, accepted):
        response = get(Accept_Encoding=accepted)
        assert "Content-Encoding" not in response.headers
        assert response.data == written(LINES)

    def test_a_range_is_one_of_the_plain_text(self, get):
        response = get("bytes=10-99", Accept_Encoding="gzip")
        assert response.status_code == 206
        assert "Content-Encoding" not in response.headers
        assert response.data == written(LINES)[10:100]


class TestRanges:
    def test_any_range_is_the_slice_of_the_whole(self, get):
        bounds = st.integers(0, 60_000)

        @settings(max_examples=40, suppress_health_check=[FIXTURES])
        @given(mask=st.integers(1, ALL), first=st.none() | bounds, last=st.none() | bounds)
        def check(mask, first, last):
            if first is None and last is None:
                return
            whole = written(LINES, mask)
            size = len(whole)
            begin, stop = first, size if last is None else min(last + 1, size)
            if first is None:
                begin, stop = max(0, size - last), size
            text = f"bytes={'' if first is None else first}-{'' if last is None else last}"
            response = get(text, query=f"levels={mask}")
            if (first is None and last == 0) or (None not in (first, last) and last < first):
                # Nobody can mean that, and what cannot be meant may be ignored.
                assert (response.status_code, response.data) == (200, whole)
            elif begin >= size:
                assert response.status_code == 416
                assert response.headers["Content-Range"] == f"bytes */{size}"
            else:
                assert response.status_code == 206
                assert response.data == whole[begin:stop]
                assert response.headers["Content-Range"] == f"bytes {begin}-{stop - 1}/{size}"
                assert response.headers["Content-Length"] == str(stop - begin)

        check()

    @pytest.mark.parametrize("step", [1, 7, 64])
    def test_parts_put_together_are_the_whole_even_within_characters(self, get, step):
        size = min(len(written(LINES)), 120 * step)
        parts = [
            get(f"bytes={begin}-{min(begin + step, size) - 1}").data
            for begin in range(0, size, step)
        ]
        assert b"".join(parts) == written(LINES)[:size]

    def test_a_suffix_longer_than_the_text_is_all_of_it(self, get):
        response = get("bytes=-1000000")
        assert (response.status_code, response.data) == (206, written(LINES))
        size = len(written(LINES))
        assert response.headers["Content-Range"] == f"bytes 0-{size - 1}/{size}"

    @pytest.mark.parametrize("text", ["bytes=1000000-", "bytes=1000000-1000001"])
    def test_beyond_the_end_there_is_nothing(self, get, assert_problem, text):
        response = get(text)
        assert_problem(response, 416, "requested_range_not_satisfiable")
        assert response.headers["Content-Range"] == f"bytes */{len(written(LINES))}"

    @pytest.mark.parametrize("text", ["bytes=0-", "bytes=5-9", "bytes=-5"])
    def test_of_an_empty_log_there_is_no_range(self, service, get, text):
        empty = Log(service).end()
        assert get(text, id_=empty.id).status_code == 416

    @pytest.mark.parametrize(
        "text",
        ["", "bytes", "bytes=", "bytes=a-b", "bytes=9-5", "bytes=--5", "bytes=1.5-3", "lines=0-5",
         "bytes=0-1,5-6", "bytes=0-1,a", "=", "bytes=0x1-2", "bytes=-", "bytes=-0", "\u00e9"],
    )  # fmt: skip
    def test_what_is_no_single_range_of_bytes_is_ignored(self, get, text):
        response = get(text)
        assert (response.status_code, response.data) == (200, written(LINES))

    def test_with_the_right_entity_tag_a_download_goes_on(self, get):
        tag = get().headers["ETag"]
        response = get("bytes=100-", If_Range=tag)
        assert (response.status_code, response.data) == (206, written(LINES)[100:])

    @pytest.mark.parametrize(
        "given_", ['"other"', "W/{}", "Thu, 20 Oct 2022 12:32:29 GMT", "rubbish", "{}, {}", "*"]
    )
    def test_with_any_other_it_begins_again(self, get, given_):
        tag = get().headers["ETag"]
        response = get("bytes=100-", If_Range=given_.replace("{}", tag))
        assert (response.status_code, response.data) == (200, written(LINES))

    def test_the_tag_of_another_filter_is_not_the_right_one(self, get):
        tag = get(query="levels=2").headers["ETag"]
        assert get("bytes=100-", query="levels=15", If_Range=tag).status_code == 200


class TestConditions:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("given_", ["{}", "W/{}", '"x", {}', "*", '"x" , W/{}'])
    def test_who_has_it_gets_it_not_again(self, get, method, given_):
        tag = get().headers["ETag"]
        response = get(method=method, If_None_Match=given_.replace("{}", tag))
        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] == tag
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        for name in ("Content-Type", "Content-Length", "Content-Encoding"):
            assert name not in response.headers

    @pytest.mark.parametrize("given_", ['"x"', 'W/"x"', "W/{}", '"x", "y"'])
    def test_who_wants_another_one_gets_none(self, get, assert_problem, given_):
        tag = get().headers["ETag"]
        response = get(If_Match=given_.replace("{}", tag))
        assert_problem(response, 412, "precondition_failed")

    @pytest.mark.parametrize("given_", ["{}", '"x", {}', "*"])
    def test_who_wants_this_one_gets_it(self, get, given_):
        tag = get().headers["ETag"]
        response = get(If_Match=given_.replace("{}", tag))
        assert (response.status_code, response.data) == (200, written(LINES))

    def test_they_come_before_the_range_and_if_match_before_all(self, get):
        tag = get().headers["ETag"]
        assert get("bytes=0-9", If_None_Match=tag).status_code == 304
        assert get("bytes=0-9", If_Match=tag).status_code == 206
        assert get("bytes=0-9", If_Match='"x"', If_None_Match=tag).status_code == 412
        assert get("bytes=9999999-", If_Match='"x"').status_code == 412
        assert get("bytes=9999999-", If_None_Match=tag).status_code == 304
        assert get("bytes=0-9", If_None_Match='"x"', If_Range='"x"').status_code == 200
        since = "Thu, 20 Oct 2050 12:32:29 GMT"  # there is no date to compare it with
        assert get(If_Modified_Since=since).status_code == 200
        assert get(If_Unmodified_Since="Thu, 20 Oct 1994 12:32:29 GMT").status_code == 200


class TestParts:
    def lines(self, places):
        # By what comes with each: some texts hold a line feed.
        return b"".join(written(place + 1)[len(written(place)) :] for place in places)

    @pytest.mark.parametrize(
        ("query", "places"),
        [
            ("from=690", range(690, LINES)),
            ("from=3&size=4", range(3, 7)),
            ("size=2", range(2)),
            ("size=0", []),
            ("after=9&size=3", range(10, 13)),
            ("after=698", range(699, LINES)),
            ("after=-1&size=1", range(1)),
            ("from=5&after=9&size=1", range(10, 11)),
            ("from=700", []),
            ("from=9007199254740991", []),
            ("tail=3", range(697, LINES)),
            ("tail=3&size=1", range(697, 698)),
            ("tail=0", []),
            ("tail=10000", range(LINES)),
            ("task=split", range(0, LINES, 3)),
            ("task=split&tail=2", [696, 699]),
            ("task=split&from=1&size=2", [3, 6]),
            ("task=split&after=3&size=1", [6]),
            ("task=&size=2", [1, 2]),
            ("task=nobody", []),
        ],
    )
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    def test_it_is_what_was_asked_for(self, get, query, places, encoding):
        response = get(query=f"levels=15&{query}", Accept_Encoding=encoding)
        assert response.status_code == 200
        text = gzip.decompress(response.data) if encoding == "gzip" else response.data
        assert text == self.lines(list(places))
        tag = response.headers["ETag"]
        again = get(query=f"levels=15&{query}", Accept_Encoding=encoding, If_None_Match=tag)
        assert again.status_code == 304

    def test_the_levels_are_counted_within(self, get):
        last = max(i for i in range(LINES) if LEVELS[i % len(LEVELS)] & 8)
        assert get(query="levels=8&tail=1").data == self.lines([last])

    def test_a_part_has_a_tag_of_its_own(self, get):
        queries = (
            "", "from=1", "size=1", "from=1&size=1", "task=split", "task=", "tail=5",
            "task=split&size=1", "task=&size=1",
        )  # fmt: skip
        tags = {get(query=f"levels=15&{query}").headers["ETag"] for query in queries}
        assert len(tags) == len(queries)

    @pytest.mark.parametrize("more", ["from=0", "from=3", "after=3", "after=-1"])
    @pytest.mark.parametrize("accept", ["text/plain", "application/json", "text/event-stream"])
    def test_two_beginnings_are_a_fault(self, client, log, assert_problem, more, accept):
        path = f"/executions/{log.id}/logs?tail=3&{more}"
        response = client.get(path, headers={"Accept": accept})
        assert_problem(response, 422, "invalid_request", "tail")

    @pytest.mark.parametrize("value", ["-1", "a", "", "1.5", "9007199254740992"])
    def test_a_tail_is_a_number(self, get, assert_problem, value):
        assert_problem(get(query=f"tail={value}"), 422, "invalid_request", "tail")


class TestFollowed:
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    def test_it_is_the_same_text_whatever_ranges_and_encodings_are_asked_for(
        self, client, log, encoding
    ):
        path = f"/executions/{log.id}/logs?follow=true&levels=15"
        headers = {"Range": "bytes=0-9", "Accept_Encoding": encoding}
        with open_stream(client, path, "text/plain", **headers) as text:
            assert text.status == 200
            assert text.headers.get("Content-Encoding", "identity") == encoding
            received = text.read()
            read = gzip.decompress(received) if encoding == "gzip" else received
            assert read == written(LINES)
            assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert text.headers["Cache-Control"] == "no-cache, no-transform"
            assert "Content-Length" not in text.headers

    @pytest.mark.parametrize(("query", "first"), [("from=3", 3), ("after=3", 4), ("after=-1", 0)])
    def test_it_begins_where_it_was_told(self, client, log, query, first):
        path = f"/executions/{log.id}/logs?follow=true&levels=15&{query}"
        with open_stream(client, path, "text/plain") as text:
            assert text.read() == written(LINES)[len(written(first)) :]

    def test_lines_come_as_they_are_written(self, service):
        log = fill(Log(service).see(), 2)
        path = f"/executions/{log.id}/logs?follow=1&levels=15"
        with open_stream(service.client, path, "text/plain") as text:
            assert text.chunk() == written(2)
            log.write([W], ["more"])
            assert text.chunk().endswith(b"WARN  more\n")
            log.end()
            assert text.chunk() == b""

    def test_its_reader_is_told_why_it_ends_early(self, make_service):
        service = make_service(streams__heartbeat="50ms")
        log = fill(Log(service).see(), 2)
        path = f"/executions/{log.id}/logs?follow=1&levels=15"
        with open_stream(service.client, path, "text/plain") as text:
            text.chunk()
            service.web.changes.close()
            assert text.chunk() == b"--- this server stops; go on with after=1 ---\n"
            assert text.chunk() == b""


def test_a_log_that_failed_is_a_file_as_well(service, get):
    failed = fill(Log(service), 3).end(ExecutionStatus.FAILED)
    assert get("bytes=0-9", id_=failed.id).data == written(3)[:10]
