"""The log's page as the server writes it: one window, and where it begins."""

import re
from html import unescape

import pytest
from follow_kit import Log

from app.domain import ExecutionStatus, Level, LogStream, NewLogEntry, Task, TaskStatus
from app.ui._log_text import plain_text

D, I, W, E = Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR  # noqa: E741
_ROW = re.compile(r'<div class="log-row (\w+)( marked)?" role="listitem" id="L(\d+)">(.*?)</div>')


@pytest.fixture
def log(opened):
    return Log(opened)


@pytest.fixture
def show(browser_of):
    """Read the page, and return it with the indexes of its rows and the one that is marked."""

    def show(log, query=""):
        answer = browser_of.get(f"/ui/executions/{log.id}/log{query}")
        assert answer.status_code == 200, answer.text
        rows = _ROW.findall(answer.text)
        marked = [int(index) for _, mark, index, _ in rows if mark]
        return answer.text, [int(index) for _, _, index, _ in rows], marked

    return show


def links(text):
    """The links between windows, by what they say."""
    return {word: unescape(to) for to, word in re.findall(r'<a href="(\?[^"]*)">([^<]+)</a>', text)}


def test_what_runs_opens_at_its_end_and_what_has_ended_at_its_start(log, show):
    log.write(250)
    assert show(log)[1] == list(range(150, 250))
    log.end()
    assert show(log)[1] == list(range(100))


def test_windows_lead_to_each_other(log, show):
    log.write(250).end()
    text, rows, _ = show(log)
    seen = rows
    while "Later" in links(text):
        text, rows, _ = show(log, links(text)["Later"])
        seen = seen + rows[-(rows[-1] - seen[-1]) :]
    assert seen == list(range(250))
    assert show(log, links(text)["Earlier"])[1] == list(range(50, 150))
    assert show(log, links(text)["Start"])[1] == list(range(100))


def test_what_failed_opens_at_its_first_error(log, opened, show):
    log.write(300)
    error = NewLogEntry(E, 1_666_269_150_000, "no licence", "split", stream=LogStream.STDERR)
    log.see(entries=(error,))
    log.levels += [E]
    log.write(300)
    log.see(
        ExecutionStatus.FAILED,
        tasks=(Task("split", TaskStatus.FAILED, exit_code=2),),
        log_complete=True,
    )
    text, rows, marked = show(log)
    assert (rows[0], marked) == (290, [300])
    assert 'data-first-error="300"' in text
    assert show(log, "?line=20")[2] == [20]
    assert show(log, "?from=0")[1][0] == 0


def test_levels_and_step_are_a_form(log, show):
    log.write([I, D, W, E] * 30).end()
    assert show(log, "?level=E")[1] == list(range(3, 120, 4))
    assert show(log, "?level=E&level=D")[1][:4] == [1, 3, 5, 7]
    assert show(log, "?task=split")[1] == [n for n in range(0, 120, 3) if n % 4 != 1]
    assert show(log, "?task=~")[1][:3] == [2, 4, 7]
    text, rows, _ = show(log, "?task=nobody")
    assert not rows
    assert "No lines with these levels and this step." in text
    assert '<option value="nobody" selected>' in text


def test_a_text_is_looked_for_without_scripts(log, show):
    contents = ["needle" if n in {40, 180, 290} else "hay" for n in range(300)]
    log.write([I] * 300, contents).end()
    text, rows, marked = show(log, "?find=NEEDLE")
    assert (rows[0], marked) == (30, [40])
    assert "1 of 3" in text
    text, _, marked = show(log, links(text)["Next match"])
    assert marked == [180]
    text, _, marked = show(log, links(text)["Previous match"])
    assert marked == [40]
    assert show(log, "?find=n..dle&regex=yes")[2] == [40]
    assert "Nothing found" in show(log, "?find=n..dle")[0]
    assert "missing )" in show(log, "?find=(&regex=yes")[0]


@pytest.mark.parametrize(
    "query", ["?level=X", "?from=-1", "?from=x", "?line=99999999999999999999", "?from=9999", "?x=1"]
)
def test_an_address_that_is_no_good_shows_the_log_all_the_same(log, show, query):
    log.write(10).end()
    assert show(log, query)[1] == list(range(10))


def test_nothing_that_a_line_says_acts(log, show):
    evil = '<script>alert(1)</script><img src=x onerror="alert(1)">'
    log.write([I, I, I], [evil, "\x1b[31mred\x1b[0m\x07", "\u202etxt.exe"]).end()
    text, _, _ = show(log)
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "red^G" in text
    assert "\x1b" not in text
    assert "\u27e6RLO\u27e7txt.exe" in text


def test_long_lines_are_cut(log, show):
    log.write([I] * 100, ["x" * 1_000_000] * 100).end()
    text, rows, _ = show(log)
    assert len(text) < 300_000
    assert rows[0] == 0
    assert "Later" in links(text)


def test_as_text(log, browser_of):
    log.write([I, D, E]).end()
    path = f"/ui/executions/{log.id}/log/text"
    shown = browser_of.get(f"{path}?level=E")
    assert shown.content_type == "text/plain; charset=utf-8"
    assert shown.text.splitlines() == ["2022-10-20T12:32:29.776Z ERROR line 2"]
    assert browser_of.get(f"{path}?tail=yes").text.count("\n") == 2
    whole = browser_of.get(f"{path}?file=yes&level=E")
    assert whole.text.count("\n") == 3
    assert whole.headers["Content-Disposition"] == f'attachment; filename="{log.id}.log"'


def test_of_nobody_elses_log_is_anything_told(browser_of):
    for path in ("log", "log/text"):
        answer = browser_of.get(f"/ui/executions/00000000-0000-4000-8000-999999999999/{path}")
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a\rb", "b"), ("50 %\r100 %\r", "100 %"), ("a\r\nb", "a\nb"), ("\r", ""),
        ("\x1b[1;31mred\x1b[0m", "red"), ("\x1b]8;;http://evil\x07x", "x"), ("a\tb", "a\tb"),
        ("\0\x7f\x9f", "^@^?\ufffd"),
    ],
)  # fmt: skip
def test_what_is_left_of_a_text(content, text):
    assert plain_text(content) == text
