"""Every log entry once: late, tied, out of order, after the end, and by the ten thousand."""

from __future__ import annotations

import pytest
from fakes.alien4cloud import Kind, Log, Script, Status, script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.clients.alien4cloud.api import Alien4CloudApi
from app.clients.alien4cloud.cursor import LogCursor
from app.clients.alien4cloud.logs import read_new
from app.clients.alien4cloud.model import LogRecord
from app.clients.alien4cloud.session import Alien4CloudSession
from app.domain import ExecutionStatus, Level
from app.errors import UpstreamTimeout


@pytest.fixture
def run(environment, drive):
    def launch(*events):
        environment.workflow("exec_job", script=Script((*events, Status(20, "SUCCEEDED"))))
        return drive(environment.workflow_id("exec_job"))

    return launch


@pytest.fixture
def api(make_options):
    return Alien4CloudApi(Alien4CloudSession("The orchestrator 'hpc'", make_options()))


@given(
    entries=st.lists(
        st.tuples(st.floats(0, 22), st.floats(0, 30), st.sampled_from([0.0, 0.1, 5.0])),
        max_size=30,
    )
)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whenever_entries_arrive_each_comes_once(run, server, entries):
    """Each is written at the first moment or at a round one, and arrives up to 30 s later."""
    server.state.shuffled_ties = True
    expected = []
    events = []
    for index, (written, delay, tie) in enumerate(entries):
        moment = tie or written
        events.append(Log(min(moment + delay, 22.0), f"line {index}", written=moment))
        expected.append(f"line {index}")
    driver = run(*events)
    driver.until_complete(120)
    assert sorted(driver.lines) == sorted(expected)


def test_entries_a_little_late_come_at_once_and_nothing_comes_twice(run):
    events = [Log(0.3 * i, f"line {i}", written=0.3 * (i ^ 5)) for i in range(40)]
    driver = run(*events)
    driver.until_complete()
    assert sorted(driver.lines) == sorted(f"line {i}" for i in range(40))
    assert driver.repeated == []


def test_an_entry_that_is_very_late_comes_before_the_end(run):
    driver = run(*[Log(i, f"line {i}") for i in range(18)], Log(19, "late", written=0.5))
    driver.until_complete()
    assert sorted(driver.lines) == sorted([*(f"line {i}" for i in range(18)), "late"])


def test_entries_after_the_end_are_read_until_it_is_quiet(run):
    driver = run(*[Log(20 + 1.5 * i, f"after {i}") for i in range(1, 5)])
    driver.until(ExecutionStatus.SUCCESS)
    assert "after 4" not in driver.lines
    driver.until_complete()
    assert driver.lines == [f"after {i}" for i in range(1, 5)]


def test_a_clock_that_runs_ahead_hides_no_entry_for_long(server, environment, drive):
    events = (Log(0.1, "from the future", written=7200), *script.endless().events)
    environment.workflow("exec_job", script=Script(events))
    driver = drive(environment.workflow_id("exec_job"))
    driver.look_for(5)
    server.runs[0].log(server.now(), "from the present")
    driver.look_for(25)
    assert "from the present" in driver.lines


def test_ties_beyond_a_page_are_read(run, server):
    server.state.shuffled_ties = False
    driver = run(*[Log(1, f"tie {i}") for i in range(1500)], Log(2, "behind"))
    driver.until_complete()
    assert len(set(driver.lines)) == 1501
    assert driver.repeated == []


def test_a_log_beyond_the_window_is_read_in_order(run, clock):
    driver = run(*[Log(0.001 * i, f"line {i}") for i in range(11_000)])
    clock.advance(30)
    driver.until_complete()
    assert driver.lines == [f"line {i}" for i in range(11_000)]


def test_more_ties_than_can_be_shown_do_not_stop_the_rest(run, clock):
    driver = run(*[Log(1, f"tie {i}") for i in range(10_100)], Log(2, "behind"))
    clock.advance(30)
    driver.until_complete()
    assert "behind" in driver.lines
    assert len(set(driver.lines)) >= 10_001


def test_a_burst_within_the_overlap_is_read_to_its_end(run, clock):
    driver = run(*[Log(1 + 0.0007 * i, f"line {i}") for i in range(11_000)])
    clock.advance(9)
    driver.until_complete()
    assert driver.lines == [f"line {i}" for i in range(11_000)]
    assert len(driver.execution.cursor["log"]["seen"]) < 1100


def test_a_page_too_large_is_read_in_smaller_ones(run, clock, orchestrator):
    driver = run(*[Log(0.1 * i, f"{i}:" + "x" * 1000) for i in range(100)])
    session = orchestrator._api._session._kept
    session.get_adapter("http://x")._max_body_bytes = 50_000
    clock.advance(30)
    driver.until_complete()
    assert [line.split(":")[0] for line in driver.lines] == [str(i) for i in range(100)]


def test_a_filter_that_is_ignored_shows_nobody_elses_entries(server, environment, drive, api):
    environment.workflow("exec_job", script=script.simple(1))
    ours, theirs = (drive(environment.workflow_id("exec_job")) for _ in range(2))
    ours.until_complete()
    page = api.logs([], size=1000)
    assert page.received > 0
    assert page.entries == ()
    assert theirs.journal == []


def test_two_executions_of_one_deployment_keep_their_lines_apart(environment, drive):
    environment.workflow("exec_job", script=script.simple(3, ["a line"]))
    drivers = [drive(environment.workflow_id("exec_job")) for _ in range(2)]
    for driver in drivers:
        driver.until_complete()
        assert driver.lines.count("a line") == 1


@pytest.mark.parametrize(
    ("word", "level"),
    [("DEBUG", Level.DEBUG), ("INFO", Level.INFO), ("WARN", Level.WARN), ("ERROR", Level.ERROR),
     ("TRACE", Level.INFO)],
)  # fmt: skip
def test_each_level_has_its_bit(run, word, level):
    driver = run(Log(1, "line", word))
    driver.until_complete()
    assert [entry.level for entry in driver.journal] == [level]


def test_the_time_is_the_orchestrators_own_even_if_the_zones_differ(server, run):
    server.state.log_zone_shift_seconds = -7200.0
    driver = run(Log(1, "line", written=1.0))
    driver.until_complete()
    written_ms = (server.runs[0].launched_at + 1) * 1000
    assert driver.journal[0].timestamp_ms == pytest.approx(written_ms, abs=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022-10-20T12:32:29.774123456Z", 1666269149774),
        ("2022-10-20T14:32:29.5+02:00", 1666269149500),
        ("2022-10-20T12:32:29", 5),
        ("yesterday", 5),
        ("", 5),
    ],
)
def test_the_raw_timestamp_counts_where_it_can_be_read(text, expected):
    record = LogRecord.parse({"id": "x", "timestamp": 5, "rawtimestamp": text})
    assert record.written_ms == expected


def test_newlines_and_quotes_arrive_unharmed(run):
    content = 'two\nlines, "quoted" \\ \u00e9\U0001f600'
    driver = run(Log(1, content))
    driver.until_complete()
    assert driver.lines == [content]


def test_a_failed_look_gives_the_same_entries_next_time(run, server, clock):
    driver = run(*[Log(0.1 * i, f"line {i}") for i in range(2000)])
    clock.advance(300)
    server.fault(Kind.REPLY, "search_logs", times=1)
    driver.until_complete()
    assert len(driver.lines) == 2000
    assert len(driver.failures) == 1


def test_reading_from_an_old_cursor_gives_what_came_since(run, clock, api, server):
    driver = run(*[Log(i, f"line {i}") for i in range(15)])
    clock.advance(5.5)
    first = read_new(api, [server.runs[0].id], LogCursor())
    clock.advance(3)
    second = read_new(api, [server.runs[0].id], first.cursor)
    again = read_new(api, [server.runs[0].id], first.cursor)
    assert second == again
    assert [e.content for e in second.entries] == ["line 6", "line 7", "line 8"]
    assert driver.journal == []


def test_pages_that_take_too_long_are_read_in_smaller_ones(api, run, server, clock, monkeypatch):
    run(*(Log(0.1, f"line {i}") for i in range(50)))
    clock.advance(1)
    read, sizes = api.logs, []

    def slow(*args, size, **options):
        sizes.append(size)
        if size > 20:
            raise UpstreamTimeout("It did not answer in time.")
        return read(*args, size=size, **options)

    monkeypatch.setattr(api, "logs", slow)
    found = read_new(api, [server.runs[0].id], LogCursor())
    assert {entry.content for entry in found.entries} >= {f"line {i}" for i in range(50)}
    assert sizes[1:] == [20] * (len(sizes) - 1)


def test_a_server_that_gives_not_even_a_few_lines_in_time_is_slow(api, monkeypatch):
    def slow(*args, **options):
        raise UpstreamTimeout("It did not answer in time.")

    monkeypatch.setattr(api, "logs", slow)
    with pytest.raises(UpstreamTimeout):
        read_new(api, ["x"], LogCursor())
