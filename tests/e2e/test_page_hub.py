"""What tabs follow together: one stream for all, through cuts and to the session's end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kit.accounts import ADA
from kit.bad_network import BadNetwork
from kit.client import Client
from kit.following import Relay
from kit.hub import await_lines, await_mark, follow, told
from kit.pages import DESK, FOREIGN_HOST, PHONE, Visitor, axe, sideways
from kit.patience import await_that
from kit.service import OPEN, Service, metric
from playwright.sync_api import Page, expect

_PAGE = "/ui/account"
_ALL = {"levels": 15}


def by_name(service: Service) -> str:
    """The address of a service by a name that is not loopback for a browser."""
    return f"http://{FOREIGN_HOST}:{urlsplit(service.url).port}"


@pytest.fixture
def named(start: Callable[..., Service]) -> Service:
    """A service that answers for a name, too."""
    return start(API__ALLOWED_HOSTS=f'["{FOREIGN_HOST}"]', STREAMS__HEARTBEAT="1s")


def tabs(visitor: Visitor, number: int) -> list[Page]:
    pages = [visitor.page, *(visitor.context.new_page() for _ in range(number - 1))]
    for page in pages:
        page.goto(_PAGE)
    return pages


class TestTabs:
    def test_eight_share_one_stream_over_plain_http_to_a_name(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        client = named.client()
        relay = Relay(client, tmp_path)
        pages = tabs(visits(by_name(named)), 8)
        assert not pages[0].evaluate("isSecureContext")
        for page in pages:
            follow(page, f"log/{relay.id}", **_ALL)
            follow_more = [[f"execution/{relay.id}", {}], ["executions", {}]]
            page.evaluate("(topics) => topics.forEach(([t, o]) => hub.follow(t, o, () => {}))",
                          follow_more)  # fmt: skip
        for number in (10, 20):
            relay.write(10)
            for page in pages:
                await_lines(page, number + 2)
        assert metric(client, OPEN) == 1
        answer = pages[6].evaluate("fetch('/executions').then((answer) => answer.status)")
        assert answer == 200, "there are connections left for what else a page asks for"
        for page in pages[:-1]:
            page.close()
        relay.write(5)
        await_lines(pages[-1], 27)
        relay.end()

    def test_a_late_one_is_told_at_once_and_one_that_goes_leaves_nothing(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        client = named.client()
        relay = Relay(client, tmp_path)
        first, second = tabs(visits(named.url), 2)
        follow(first, f"log/{relay.id}", **_ALL)
        relay.write(10)
        await_lines(first, 12)
        follow(second, f"log/{relay.id}", **_ALL)
        await_lines(second, 12)
        await_mark(second, "live")
        relay.write(10)
        await_lines(first, 22)
        await_lines(second, 22)
        first.close()
        second.goto("about:blank")
        await_that(lambda: metric(client, OPEN) == 0, "the stream is let go")
        relay.end()

    def test_one_where_nothing_changes_any_more_is_not_called_live_while_others_are(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        folders = [tmp_path / "first", tmp_path / "second"]
        for folder in folders:
            folder.mkdir()
        relays = [Relay(named.client(), folder) for folder in folders]
        pages = tabs(visits(named.url), 2)
        for page, relay in zip(pages, relays, strict=True):
            follow(page, f"log/{relay.id}", f"execution/{relay.id}", **_ALL)
            await_mark(page, "live")
        relays[0].end()
        await_mark(pages[0], "idle")
        expect(pages[0].locator("#live")).to_be_hidden()
        assert told(pages[1], "marks")[-1] == "live"
        follow(pages[0], f"log/{relays[1].id}", **_ALL)
        await_mark(pages[0], "live")
        relays[1].end()
        await_mark(pages[1], "idle")

    @pytest.mark.parametrize("where", ["loopback", "name"])
    def test_without_a_shared_worker_one_tab_leads_and_another_one_after_it(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path, where: str
    ) -> None:
        client = named.client()
        relay = Relay(client, tmp_path)
        visitor = visits(named.url if where == "loopback" else by_name(named))
        visitor.context.add_init_script("delete window.SharedWorker")
        pages = tabs(visitor, 3)
        assert pages[0].evaluate("'locks' in navigator") is (where == "loopback")
        for page in pages:
            follow(page, f"log/{relay.id}", **_ALL)
        relay.write(10)
        for page in pages:
            await_lines(page, 12)
        await_that(lambda: metric(client, OPEN) == 1, "there is one stream")
        written = 12
        while len(pages) > 1:
            pages.pop(0).close()
            relay.write(10)
            written += 10
            for page in pages:
                await_lines(page, written)
                await_mark(page, "live")
        relay.end()

    def test_without_channels_either_each_has_its_own(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        relay = Relay(named.client(), tmp_path)
        visitor = visits(named.url)
        visitor.context.add_init_script(
            "delete window.SharedWorker; delete window.BroadcastChannel"
        )
        page = visitor.open(_PAGE)
        follow(page, f"log/{relay.id}", **_ALL)
        relay.write(10)
        await_lines(page, 12)
        relay.end()


class TestInterruptions:
    def test_cuts_lose_no_line_and_double_none(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        relay = Relay(named.client(), tmp_path)
        budgets: dict[int, int] = {}
        with BadNetwork(named.url, budgets.get) as network:
            visitor = visits(network.url)
            page = visitor.open(_PAGE)
            follow(page, f"log/{relay.id}", f"execution/{relay.id}", **_ALL)
            await_mark(page, "live")
            begun = network.connections
            budgets |= {begun + n: 3000 + 2500 * n for n in range(3)}
            network.cut()
            for number in range(40, 401, 40):
                relay.write(40)
                await_lines(page, number + 2)
            assert network.cuts >= 2
            await_mark(page, "live")
            visitor.forgive("net::ERR_")
        relay.end()

    def test_a_restart_is_noticed_and_got_over(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        relay = Relay(named.client(), tmp_path)
        with BadNetwork(named.url) as network:
            visitor = visits(network.url)
            page = visitor.open(_PAGE)
            follow(page, f"log/{relay.id}", "executions", **_ALL)
            relay.write(10)
            await_lines(page, 12)
            named.stop()
            page.wait_for_function("() => ['reconnecting', 'stale'].includes(hub.state.mark)")
            marks = told(page, "marks")
            assert "idle" not in marks[marks.index("live") :], "nothing flickered"
            network.to = named.start().url
            relay.write(10)
            await_lines(page, 22)
            await_mark(page, "live")
            relay.end()
            page.wait_for_function("(id) => told.state[id] === 'SUCCESS'", arg=relay.id)
            visitor.forgive("net::ERR_|status of 50")

    def test_silence_is_told_with_its_moment(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        holding = False
        relay = Relay(named.client(), tmp_path)
        with BadNetwork(named.url, holds=lambda _: holding) as network:
            visitor = visits(network.url)
            page = visitor.open(_PAGE)
            follow(page, f"log/{relay.id}", **_ALL)
            await_mark(page, "live")
            holding = True
            for pid in named.children("web"):
                os.kill(pid, signal.SIGSTOP)  # the connections stay, and nothing comes
            await_mark(page, "stale")
            assert page.evaluate("hub.state.since <= Date.now() - 2000")
            holding = False
            for pid in named.children("web"):
                os.kill(pid, signal.SIGCONT)
            await_mark(page, "live")
            visitor.forgive("net::ERR_")
        relay.end()

    def test_what_ended_meanwhile_is_told_afterwards(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        client: Client = named.client()
        relay = Relay(client, tmp_path)
        with BadNetwork(named.url) as network:
            visitor = visits(network.url)
            page = visitor.open(_PAGE)
            follow(page, "executions")
            page.wait_for_function("(id) => told.state[id] === 'RUNNING'", arg=relay.id)
            network.to = "http://127.0.0.1:9"
            named.kill("web")
            relay.end()
            await_that(lambda: named.child("web"), "the web process is back")
            client.wait(relay.id, "SUCCESS")
            network.to = named.url
            page.wait_for_function("(id) => told.state[id] === 'SUCCESS'", arg=relay.id)
            visitor.forgive("net::ERR_")


class TestSessions:
    def test_the_end_of_a_session_is_told_without_a_password_box(
        self, accounts: Service, visits: Callable[..., Visitor]
    ) -> None:
        with BadNetwork(accounts.url) as network:
            visitor = visits(network.url)
            page = visitor.sign_in("ada", ADA)
            answers = []
            visitor.context.on("response", lambda a: answers.append((a.status, a.all_headers())))
            follow(page, "executions")
            page.evaluate("document.addEventListener('slip-signed-out', () => { told.out = 1; })")
            await_mark(page, "live")
            visitor.context.clear_cookies()
            network.cut()
            await_mark(page, "signed-out")
            assert told(page, "out") == 1
            page.evaluate(
                "import(new URL('./api.js', document.querySelector('script[type=module]').src))"
                ".then(({ api }) => api('/executions')).catch((error) => { told.error = error; })"
            )
            page.wait_for_function("() => told.error?.status === 401")
            refused = [headers for status, headers in answers if status == 401]
            assert refused
            assert all("www-authenticate" not in headers for headers in refused)
            banner = page.locator("#signed-out")
            banner.get_by_label("User name").fill("ada")
            assert axe(page) == []
            page.set_viewport_size(PHONE)
            assert sideways(page) == 0
            page.set_viewport_size(DESK)
            banner.get_by_label("Password").fill("wrong")
            banner.get_by_role("button", name="Sign in").click()
            banner.get_by_text("do not belong together").wait_for()
            banner.get_by_label("User name").fill("ada")
            banner.get_by_label("Password").fill(ADA)
            banner.get_by_role("button", name="Sign in").click()
            await_mark(page, "live")
            assert banner.is_hidden()
            assert page.get_by_text("live", exact=True).is_visible()
            other = visitor.context.new_page()
            other.goto(_PAGE)
            follow(other, "executions")
            await_mark(other, "live")
            page.get_by_role("button", name="Sign out", exact=True).click()
            await_mark(other, "signed-out")
            page.get_by_text("You have signed out.").wait_for()
            visitor.forgive("status of 401|net::ERR_")


class TestPagesThatSleep:
    def test_one_that_was_left_and_comes_back_goes_on_where_it_was(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        relay = Relay(named.client(), tmp_path)
        visitor = visits(named.url)
        page = visitor.open(_PAGE)
        follow(page, f"log/{relay.id}", **_ALL)
        relay.write(10)
        await_lines(page, 12)
        page.evaluate("""() => {
          dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
        }""")  # as when it is kept for 'Back'
        await_that(lambda: metric(named.client(), OPEN) == 0, "nobody looks")
        relay.write(10)
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        await_lines(page, 22)
        await_mark(page, "live")
        relay.end()

    def test_one_that_reads_nothing_for_long_is_let_go_and_misses_nothing(
        self, named: Service, visits: Callable[..., Visitor], tmp_path: Path
    ) -> None:
        relay = Relay(named.client(), tmp_path)
        asleep, awake = tabs(visits(named.url), 2)  # the last one is in front
        for page in (awake, asleep):
            follow(page, f"log/{relay.id}", **_ALL)
            await_mark(page, "live")
        asleep.evaluate("() => { hub._flush = () => {}; }")  # it says nothing of what it got
        for number in range(1, 101):
            relay.write(5)
            awake.wait_for_function("(n) => told.indices.length >= n", arg=5 * number + 2)
        asleep.evaluate("() => { delete hub._flush; hub._planned = false; hub._plan(); }")
        relay.write(5)
        await_lines(asleep, 507)
        await_lines(awake, 507)
        relay.end()


def test_a_worker_that_cannot_be_had_is_done_without(
    named: Service, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    relay = Relay(named.client(), tmp_path)
    visitor = visits(named.url)
    visitor.context.add_init_script(
        "const Own = window.SharedWorker;"
        "window.SharedWorker = function (url, options) {"
        "  return new Own(String(url).replace('hub-worker', 'nothing'), options); };"
    )
    page = visitor.open(_PAGE)
    follow(page, f"log/{relay.id}", **_ALL)
    relay.write(10)
    await_lines(page, 12)
    await_mark(page, "live")
    relay.end()
    visitor.forgive("status of 404")


def test_whoever_comes_while_much_is_told_misses_nothing(
    named: Service, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    relay = Relay(named.client(), tmp_path)
    pages = tabs(visits(named.url), 4)
    for number, page in enumerate(pages):
        follow(page, f"log/{relay.id}", after=40 * number - 1, **_ALL)
        for _ in range(60):
            relay.write(2)
    page = pages[0]
    page.evaluate(
        """(id) => { told.later = []; hub.follow(`log/${id}`, { after: 99, levels: 15 },
          (events) => events.forEach((each) => told.later.push(...(each.entries ?? [])))); }""",
        relay.id,
    )
    for _ in range(60):
        relay.write(2)
    last = relay.written + 1
    for number, page in enumerate(pages):
        page.wait_for_function("(n) => told.indices.at(-1) === n", arg=last)
        assert told(page, "indices") == [*range(40 * number, last + 1)]
    pages[0].wait_for_function("(n) => told.later.at(-1)?.index === n", arg=last)
    assert [each["index"] for each in told(pages[0], "later")] == [*range(100, last + 1)]
    relay.end()
