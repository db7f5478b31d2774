"""The parts of a page's stream, each by itself in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from kit.accounts import ADA
from kit.following import Relay
from kit.hub import await_lines, await_mark, follow, told
from kit.pages import Visitor
from kit.service import OPEN, Service, metric
from playwright.sync_api import Page

_WITH: Final = """async ([name, script, given]) => {
  const page = document.querySelector('script[type="module"]').src;
  const module = await import(new URL(`./${name}.js`, page));
  return (0, eval)(script)(module, given);
}"""


@pytest.fixture
def page(service: Service, visits: Callable[..., Visitor]) -> Page:
    return visits(service.url, bypass_csp=True).open("/ui/account")  # so that a test has its eval


def run(page: Page, name: str, script: str, given: Any = None) -> Any:
    """Run a function in a page that gets one of its modules."""
    return page.evaluate(_WITH, [name, script, given])


def test_events_are_read_wherever_the_stream_is_cut(page: Page) -> None:
    text = (
        ": remark\n\nretry: 5\n\nevent: log\ndata: {}\n\n:\n\ndata: a\r\ndata:b\r\n\r\n"
        "event: grüße\nid: 3\ndata: 😀\u2028\n\nevent: none\n\ndata\n\ndata: cut off"
    )
    whole = [["log", "{}"], ["message", "a\nb"], ["grüße", "😀\u2028"], ["message", ""]]
    script = """({ SseParser }, text) => {
      const bytes = new TextEncoder().encode(text);
      return Array.from(bytes, (_, size) => {
        const found = [];
        const parser = new SseParser((type, data) => found.push([type, data]));
        for (let at = 0; at < bytes.length; at += size + 1) {
          parser.feed(bytes.slice(at, at + size + 1));
        }
        return found;
      });
    }"""
    for found in run(page, "sse", script, text):
        assert found == whole


def test_a_topic_is_written_as_the_service_reads_it(page: Page) -> None:
    script = """({ topicKey }, asked) => asked.map(([topic, options]) => {
      try { return topicKey(topic, options); } catch (error) { return error.name; }
    })"""
    asked = [
        ["executions", {}], ["log/x", {"levels": 15, "after": 3}],
        ["log/x", {"task": "a,b;c"}], ["log/x;y", {}], ["executions", {"levels": 1}],
        ["log/x", {"levels": 1.5}], ["Log/x", {}],
    ]  # fmt: skip
    assert run(page, "topics", script, asked) == [
        "executions", "log/x;levels=15", "log/x;task=a%2Cb%3Bc", *["TypeError"] * 4,
    ]  # fmt: skip


def test_what_is_too_much_for_one_stream_stays_away_and_that_is_told(
    page: Page, service: Service, tmp_path: Path
) -> None:
    relay = Relay(service.client(), tmp_path)
    tasks = [f"t{number}" for number in range(55)]
    follow(page)
    page.evaluate(
        """([id, tasks]) => tasks.forEach((task) => hub.follow(`log/${id}`, { task }, (events) => {
          for (const event of events) told.events.push([task, event.type, event.code ?? ""]);
        }))""",
        [relay.id, tasks],
    )
    page.wait_for_function("() => told.events.filter(([, type]) => type === 'status').length >= 50")
    page.wait_for_function(
        "() => told.events.filter(([, , code]) => code === 'too_many').length >= 5"
    )
    refused = {task for task, _, code in told(page, "events") if code == "too_many"}
    assert refused == {*tasks[:5]}, "what was asked for last goes first"
    await_mark(page, "live")
    relay.end()


def test_a_topic_that_is_not_there_is_told_and_the_others_go_on(
    page: Page, service: Service, tmp_path: Path
) -> None:
    relay = Relay(service.client(), tmp_path)
    follow(page, "log/00000000-0000-4000-8000-00000000ffff", f"log/{relay.id}", levels=15)
    relay.write(5)
    await_lines(page, 7)
    page.wait_for_function("() => told.events.some(([, type]) => type === 'refused')")
    relay.end()
    page.wait_for_function("() => told.events.some(([, type]) => type === 'end')")
    await_mark(page, "idle")
    assert metric(service.client(), OPEN) == 0
    assert "reconnecting" not in told(page, "marks")


def test_what_is_followed_no_more_is_let_go(page: Page, service: Service, tmp_path: Path) -> None:
    relay = Relay(service.client(), tmp_path)
    follow(page)
    page.evaluate("(id) => { told.stop = hub.follow(`log/${id}`, {}, () => {}); }", relay.id)
    await_mark(page, "live")
    page.evaluate("told.stop()")
    await_mark(page, "idle")
    relay.end()


def test_one_that_comes_later_has_all_of_it_behind_its_own_cursor(
    page: Page, service: Service, tmp_path: Path
) -> None:
    relay = Relay(service.client(), tmp_path)
    follow(page, f"log/{relay.id}", levels=15)
    relay.write(30)
    await_lines(page, 32)
    page.evaluate(
        """(id) => {
          told.later = [];
          hub.follow(`log/${id}`, { after: 9, levels: 15 }, (events) => {
            for (const event of events) told.later.push(...(event.entries ?? []));
          });
        }""",
        relay.id,
    )
    page.wait_for_function("() => told.later.length >= 22")
    relay.write(10)
    page.wait_for_function("() => told.later.length >= 32")
    assert [each["index"] for each in told(page, "later")] == [*range(10, 42)]
    await_lines(page, 42)
    relay.end()


def test_too_many_requests_are_waited_for(
    start: Callable[..., Service], visits: Callable[..., Visitor]
) -> None:
    service = start(API__RATE_LIMIT__REQUESTS_PER_MINUTE="5")
    visitor = visits(service.url)
    page = visitor.open("/ui/account")
    page.evaluate("Promise.all(Array.from({ length: 8 }, () => fetch('/executions')))")
    follow(page, "executions")
    await_mark(page, "limited")
    page.get_by_text("too many requests, on again at").wait_for()
    assert page.evaluate("hub.state.retryAt > Date.now()")
    visitor.forgive("status of 429")


def test_the_faults_of_a_request_are_told_in_words(
    accounts: Service, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(accounts.url, bypass_csp=True)
    page = visitor.sign_in("ada", ADA)
    script = """({ api }, [path, options]) => api(path, options).then(
      (value) => ({ value }),
      ({ status, code, message, fields }) => ({ status, code, message, fields }),
    )"""
    fault = run(page, "api", script, ["/events", {}])
    assert (fault["status"], fault["code"]) == (422, "invalid_request")
    assert fault["fields"][0]["path"] == "topics"
    made = run(page, "api", script, ["/executions/nothing/cancel", {"method": "POST"}])
    assert made["status"] == 404, "the token of the session was sent along"
    assert "executions" in run(page, "api", script, ["/executions", {}])["value"]
    visitor.forgive("status of 4")
