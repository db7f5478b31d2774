"""The log on a page, in a real browser: what is shown, found, picked, copied and followed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kit.fixtures import SETTINGS
from kit.journals import Journal, Journals
from kit.log_page import await_seen, seen
from kit.pages import DESK, FOREIGN_HOST, PHONE, Visitor, axe, sideways
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service
from playwright.sync_api import Page, expect

from app.domain import ExecutionStatus, Level

LINES = 6000
EVIL = '<script>alert(1)</script><img src=x onerror="alert(1)">'
HOSTS = {"SLIPWAY_API__ALLOWED_HOSTS": f"[{FOREIGN_HOST}]"}
CODES = (
    "\x1b[31mred\x1b[0m \x1b[1;94mblue\x1b[m "
    "\x1b[38;5;208morange \x1b[38;2;255;255;254mpale\x1b[0m."
)
expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@dataclass
class Logs:
    """A service with some logs."""

    service: Service
    long: Journal
    failed: Journal
    growing: list[Journal]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    """Logs that are there before the service, whose conductor would take what runs."""
    service = Service(tmp_path_factory.mktemp("logs"), env={**SETTINGS, **HOSTS})
    journals = Journals(service)
    long = journals.new().fill(LINES, "line {n} of it").end()
    failed = journals.new().fill(400)
    failed.write(EVIL, CODES, "evil \u202etxt.exe", "10 %\r100 %", "x" * 1_000_000)
    failed.write("no licence for 64 cores", level=Level.ERROR, error=True).fill(100)
    failed.end(ExecutionStatus.FAILED)
    growing = [journals.new().fill(1000) for _ in range(4)]
    service.start()
    yield Logs(service, long, failed, growing)
    service.end()
    journals.close()


@pytest.fixture
def visit(logs: Logs, visits: Callable[..., Visitor]) -> Callable[..., Page]:
    """Open a log: ``visit(journal, "?level=E#L12", **options of the context)``."""

    def visit(journal: Journal, more: str = "", **options: Any) -> Page:
        page = visits(logs.service.url, **options).open(f"/ui/executions/{journal.id}/log{more}")
        expect(page.locator(".log-row .log-text").first).not_to_be_empty()
        return page

    return visit


def text_of(page: Page, index: int) -> str:
    """Return what a row says."""
    return page.locator(f"#L{index} .log-text").inner_text()


def focus(page: Page) -> None:
    """Give the focus to the lines."""
    page.locator("[data-part=scroller]").focus()


def test_what_has_ended_opens_at_its_start_and_keys_lead_through_it(
    logs: Logs, visit: Callable[..., Page]
) -> None:
    page = visit(logs.long)
    assert await_seen(page, 0)[0] == 0
    expect(page.locator("[data-part=count]")).to_have_text("6,000 lines")
    focus(page)
    page.keyboard.press("End")
    await_seen(page, LINES - 1)
    page.keyboard.press("PageUp")
    await_that(lambda: LINES - 1 not in seen(page), "the end is out of sight")
    page.keyboard.press("Home")
    await_seen(page, 0)
    page.keyboard.press("PageDown")
    await_that(lambda: (seen(page) or [0])[0] > 5, "a page further")
    page.keyboard.press("n")
    await_seen(page, 50)
    expect(page.locator("[data-part=found]")).to_have_text("1 of 60")
    page.keyboard.press("n")
    await_seen(page, 150)
    page.keyboard.press("p")
    await_seen(page, 50)
    page.keyboard.press("p")
    await_seen(page, 5950)
    expect(page.locator("[data-part=found]")).to_have_text("60 of 60, from the end again")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_rows_say_where_they_are(logs: Logs, visit: Callable[..., Page]) -> None:
    page = visit(logs.long, "#L3000")
    await_seen(page, 3000)
    row = page.locator("#L3000")
    expect(row).to_have_attribute("aria-posinset", "3001")
    expect(row).to_have_attribute("aria-setsize", "6000")
    expect(page.get_by_role("list").locator("#L3000")).to_be_visible()


def test_what_failed_opens_at_its_first_error(logs: Logs, visit: Callable[..., Page]) -> None:
    page = visit(logs.failed)
    await_seen(page, 405)
    expect(page.locator("#L405")).to_have_class("log-row error marked")
    assert text_of(page, 405) == "no licence for 64 cores"
    whole = page.locator("#L404 .log-whole")
    expect(whole).to_have_text("all 1.0 MB")
    whole.click()
    field = page.get_by_role("dialog").get_by_role("textbox")
    assert len(field.input_value()) == 1_000_000
    page.keyboard.press("Escape")


def test_nothing_that_a_line_says_acts(logs: Logs, visit: Callable[..., Page]) -> None:
    page = visit(logs.failed, "?line=401")
    await_seen(page, 402)
    assert text_of(page, 400) == EVIL
    assert page.locator(".log-row script, .log-row img").count() == 0
    coloured = page.locator("#L401 .log-text")
    assert coloured.inner_text() == "red blue orange pale."
    classes = [each.get_attribute("class") for each in coloured.locator("span").all()]
    assert classes == ["ansi-1", "ansi-bold ansi-4", "", ""]
    styles = [each.get_attribute("style") for each in coloured.locator("span").all()]
    assert styles == [None, None, None, None]  # neither can be read on white
    page.emulate_media(color_scheme="dark")
    expect(coloured.locator("span").nth(2)).to_have_css("color", "rgb(255, 135, 0)")
    page.get_by_role("button", name="Colours").click()
    expect(coloured.locator("span")).to_have_count(0)
    assert "ansi=no" in page.url
    assert page.locator("#L402 .log-mark").all_inner_texts() == ["RLO"]
    assert text_of(page, 403) == "100 %"


def test_filters_stand_in_the_address(logs: Logs, visit: Callable[..., Page]) -> None:
    page = visit(logs.long)
    for word in ("Info", "Warnings"):
        page.get_by_label(word).uncheck()
    expect(page.locator("[data-part=count]")).to_have_text("60 lines with these filters")
    assert page.url.endswith("?level=E")
    await_that(lambda: seen(page)[:3] == [50, 150, 250], "errors alone")
    page.get_by_label("Step").select_option("solve")
    await_that(lambda: seen(page)[:3] == [50, 150, 250], "of the step")
    page.get_by_label("Step").select_option("mesh")
    expect(page.get_by_text("No lines with these levels and this step")).to_be_visible()
    page.reload()
    expect(page.get_by_text("No lines with these levels and this step")).to_be_visible()
    assert page.get_by_label("Step").input_value() == "mesh"
    page.get_by_label("Step").select_option("")
    await_that(lambda: seen(page)[:3] == [50, 150, 250], "of all steps")
    link = page.locator("[data-part=text]").get_attribute("href")
    assert str(link).endswith("/log/text?level=E")


def test_a_line_that_the_filters_leave_out_is_told_of(
    logs: Logs, visit: Callable[..., Page]
) -> None:
    page = visit(logs.long, "?level=E#L3001")
    await_seen(page, 3050)
    told = page.locator("[data-part=trouble]")
    expect(told).to_have_text("Line 3001 is left out by the levels or the step.")


def test_a_text_is_found_in_all_lines(logs: Logs, visits: Callable[..., Visitor]) -> None:
    visitor = visits(logs.service.url)
    page = visitor.open(f"/ui/executions/{logs.long.id}/log")
    await_seen(page, 0)
    focus(page)
    page.keyboard.press("/")
    field = page.get_by_label("Search all lines")
    expect(field).to_be_focused()
    field.fill("LINE 59")
    found = page.locator("[data-part=found]")
    expect(found).to_have_text("1 of 111")
    await_seen(page, 59)
    expect(page.locator("#L59 mark")).to_have_text("line 59")
    field.press("Enter")
    await_seen(page, 590)
    expect(found).to_have_text("2 of 111")
    page.get_by_label("Previous match").click()
    await_seen(page, 59)
    field.press("Shift+Enter")
    await_seen(page, 5999)
    expect(found).to_have_text("111 of 111, from the end again")
    page.get_by_label("Regular expression").check()
    field.fill("(")
    expect(found).to_contain_text("missing )")
    visitor.forgive("status of 422")
    field.fill("^line 4321 ")
    await_seen(page, 4321)
    expect(found).to_have_text("1 of 1, from the start again")
    page.reload()
    await_seen(page, 4321)
    field.fill("nothing of it")
    expect(found).to_have_text("Nothing found")


def test_who_does_not_wait_while_typing_sees_the_same(
    logs: Logs, visit: Callable[..., Page]
) -> None:
    page = visit(logs.long)
    field = page.get_by_label("Search all lines")
    field.fill("line 59")
    field.press("Enter")
    await_seen(page, 59)
    expect(page.locator("#L59 mark")).to_have_text("line 59")
    expect(page).to_have_url(re.compile(r"find=line\+59$"))


def test_lines_are_picked_linked_to_and_copied_from_the_data(
    logs: Logs, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(logs.service.url, permissions=["clipboard-read", "clipboard-write"])
    page = visitor.open(f"/ui/executions/{logs.long.id}/log#L120-L122")
    await_seen(page, 120)
    expect(page.locator(".log-row.picked")).to_have_count(3)
    page.locator("#L121 .log-number").click()
    assert page.url.endswith("#L121")
    page.locator("#L124 .log-number").click(modifiers=["Shift"])
    assert page.url.endswith("#L121-L124")
    expect(page.get_by_text("Lines 121 to 124")).to_be_visible()
    focus(page)
    page.keyboard.press("Control+c")
    lines = "\n".join(f"line {n} of it" for n in range(121, 125))
    assert page.evaluate("navigator.clipboard.readText()") == lines
    page.goto(f"/ui/executions/{logs.long.id}/log#L10-L3009")
    page.reload()
    await_seen(page, 10)
    page.get_by_role("button", name="Copy text").click()
    expect(page.locator("[data-said]")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert (len(copied), copied[0], copied[-1]) == (3000, "line 10 of it", "line 3009 of it")
    page.get_by_role("button", name="Clear").click()
    assert "#" not in page.url.removesuffix("#")


def test_over_plain_http_to_a_name_lines_are_copied_as_well(
    logs: Logs, visits: Callable[..., Visitor]
) -> None:
    url = logs.service.url.replace("127.0.0.1", FOREIGN_HOST)
    visitor = visits(url)
    page = visitor.open(f"/ui/executions/{logs.long.id}/log#L5")
    assert page.evaluate("navigator.clipboard === undefined")
    await_seen(page, 5)
    page.get_by_role("button", name="Copy text").click()
    expect(page.locator("[data-said]")).to_have_text("Copied")
    visitor.forgive("Cross-Origin-Opener-Policy header has been ignored")


def test_wrapping_and_times(logs: Logs, visit: Callable[..., Page]) -> None:
    page = visit(logs.failed, "?line=404", viewport=PHONE)
    await_seen(page, 404)
    assert page.locator("#L404").evaluate("row => row.offsetHeight") > 1000
    page.get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Wrap").click()
    expect(page.locator("#L404")).to_have_css("height", "20px")
    assert sideways(page) == 0
    page.locator("[data-part=time]").select_option("clock")
    expect(page.locator("#L403 time")).to_have_text("14:32:30.177")
    page.locator("[data-part=time]").select_option("step")
    expect(page.locator("#L403 time")).to_have_text("+0.00 s")
    assert "wrap=no&time=step" in page.url


def test_following_ends_by_scrolling_up_and_begins_again_at_the_end(
    logs: Logs, visit: Callable[..., Page]
) -> None:
    journal = logs.growing[0]
    page = visit(journal)
    log = page.locator("slip-log")
    await_seen(page, 999)
    expect(log).to_have_attribute("data-following", "yes")
    expect(page.get_by_text("1,000 lines, live")).to_be_visible()
    for n in range(3):
        journal.write(f"new {n}")
        await_seen(page, 1000 + n)
    page.locator("[data-part=scroller]").hover()
    page.mouse.wheel(0, -300)
    expect(log).to_have_attribute("data-following", "no")
    before = seen(page)
    journal.fill(412)
    button = page.get_by_role("button", name="412 new lines")
    expect(button).to_be_visible()
    assert await_that(lambda: seen(page), "lines")[0] == before[0]
    expect(page.get_by_text("paused, you scrolled up")).to_be_visible()
    button.click()
    await_seen(page, journal.total - 1)
    expect(button).to_be_hidden()
    journal.fill(3)
    await_seen(page, journal.total - 1)
    page.mouse.wheel(0, -300)
    expect(log).to_have_attribute("data-following", "no")
    page.mouse.wheel(0, 2000)
    expect(log).to_have_attribute("data-following", "yes")
    journal.fill(3).end()
    await_seen(page, journal.total - 1)
    expect(page.locator("[data-part=count]")).not_to_contain_text("live")
    expect(page.locator("#log-status")).to_contain_text("Succeeded")


def test_a_stream_that_is_cut_in_mid_follow_goes_on_where_it_was(
    logs: Logs, visits: Callable[..., Visitor]
) -> None:
    journal = logs.growing[1]
    visitor = visits(logs.service.url)
    page = visitor.open(f"/ui/executions/{journal.id}/log")
    await_seen(page, 999)
    journal.write("before")
    await_seen(page, 1000)
    web = logs.service.kill("web")
    journal.fill(500)
    logs.service.replaced("web", web)
    await_seen(page, 1500)
    journal.write("after")
    await_seen(page, 1501)
    assert text_of(page, 1501) == "after"
    rows = page.locator(".log-rows .log-row").evaluate_all("all => all.map((e) => e.dataset.index)")
    assert rows == [str(n) for n in range(int(rows[0]), 1502)]
    visitor.forgive("ERR_|Failed to load|status of 5")


def test_a_fault_at_the_beginning_is_got_over(logs: Logs, visits: Callable[..., Visitor]) -> None:
    visitor = visits(logs.service.url)
    visitor.page.route("**/logs/place?*", lambda route: route.fulfill(status=503), times=1)
    page = visitor.open(f"/ui/executions/{logs.long.id}/log")
    await_seen(page, 0)
    expect(page.locator("[data-part=trouble]")).to_be_hidden()
    visitor.forgive("status of 503")


def test_what_was_refused_comes_once_one_has_signed_in_again(
    logs: Logs, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(logs.service.url)
    visitor.page.route("**/logs/place?*", lambda route: route.fulfill(status=401), times=1)
    page = visitor.open(f"/ui/executions/{logs.long.id}/log")
    expect(page.locator("[data-part=trouble]")).to_contain_text("401")
    page.evaluate("""document.dispatchEvent(
      new CustomEvent("slip-session", { detail: { who: "same", username: "" } }))""")
    await_seen(page, 0)
    visitor.forgive("status of 401")


def test_what_is_followed_is_filtered(logs: Logs, visit: Callable[..., Page]) -> None:
    journal = logs.growing[2]
    page = visit(journal, "?level=E&task=solve")
    await_seen(page, 950)
    expect(page.locator("[data-part=count]")).to_have_text("10 lines with these filters, live")
    journal.write("not of it").write("of another step", level=Level.ERROR)
    journal.write("of it", level=Level.ERROR, task="solve")
    await_seen(page, 1002)
    expect(page.locator("[data-part=count]")).to_have_text("11 lines with these filters, live")
    page.get_by_label("Info").check()
    journal.write("of it, too", task="solve")
    await_seen(page, 1003)
    assert 1001 not in seen(page)


def test_without_scripts(logs: Logs, visits: Callable[..., Visitor]) -> None:
    visitor = visits(logs.service.url, java_script_enabled=False)
    page = visitor.open(f"/ui/executions/{logs.long.id}/log")
    page.get_by_role("link", name="Later").click()
    assert page.locator("#L100").count() == 1
    page.get_by_label("Info").uncheck()
    page.get_by_label("Step").select_option("solve")
    page.get_by_role("button", name="Show").click()
    assert "level=E&level=W" in page.url
    page.get_by_label("Search all lines").fill("line 5950")
    page.get_by_role("button", name="Show").click()
    assert page.locator(".log-row.marked").get_attribute("id") == "L5950"
    page.get_by_text("As text").click()
    page.get_by_role("link", name="What these filters show").click()
    assert page.locator("body").inner_text().startswith("2022-10-20T")


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_everybody_can_use_it(
    logs: Logs, visit: Callable[..., Page], viewport: dict[str, int]
) -> None:
    page = visit(logs.failed, "?find=licence", viewport=viewport)
    await_seen(page, 405)
    page.locator("#L405 .log-number").click()
    page.wait_for_timeout(300)
    assert axe(page) == []
    assert sideways(page) == 0
    page.locator("[data-part=help]").click()
    assert axe(page) == []
