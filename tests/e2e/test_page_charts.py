"""Charts of pages, in a real browser: what is drawn, told and let go of."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kit.accounts import ROOT
from kit.pages import Visitor
from kit.service import Service
from playwright.sync_api import Page, expect

MAKE = """() => {
  window.chart = document.createElement("slip-chart");
  chart.setAttribute("label", "Response times");
  chart.setAttribute("axis", "elapsed");
  document.querySelector("main").append(chart);
}"""
DATA = """(last) => {
  const series = (name, values) => ({ name, label: name, unit: "ms", values });
  chart.data = { x: [0, 60, 3661], series: [
    series("p95", [400, null, last]), series("limit", [500, 500, 500]),
  ] };
}"""


@pytest.fixture
def page(accounts: Service, visits: Callable[..., Visitor]) -> Page:
    """A page with a chart that shows nothing yet."""
    found = visits(accounts.url).sign_in(*ROOT, then="/ui/system")
    expect(found.locator("main > section slip-chart canvas")).to_have_count(6)
    found.evaluate(MAKE)
    return found


def test_a_chart_tells_what_it_shows(page: Page) -> None:
    page.evaluate(DATA, 412)
    chart = page.locator("main > slip-chart")
    expect(chart.locator("canvas")).to_have_count(1)
    words = "p95: 412 ms at last, which is the most. limit: 500 ms at last, which is the most."
    expect(chart.get_by_role("img")).to_have_attribute("aria-label", f"Response times. {words}")
    expect(chart.locator(".chart-legend")).to_contain_text("412 ms")
    dashes = chart.locator(".chart-sample path")
    assert [each.get_attribute("stroke-dasharray") for each in dashes.all()] == ["", "7 4"]
    chart.get_by_text("As a table").click()
    rows = chart.locator("tr").all_inner_texts()
    assert rows[0].split("\t") == ["Time", "p95 (ms)", "limit (ms)"]
    assert [row.split("\t")[:2] for row in rows[1:]] == [
        ["1:01:01", "412"], ["1:00", "\N{EN DASH}"], ["0:00", "400"],
    ]  # fmt: skip


def test_the_keys_move_the_cursor(page: Page) -> None:
    page.evaluate(DATA, 412)
    chart = page.locator("main > slip-chart")
    expect(chart.locator("canvas")).to_have_count(1)
    chart.get_by_role("img").focus()
    for key, told in (("Home", "0:00"), ("ArrowRight", "1:00"), ("End", "1:01:01")):
        page.keyboard.press(key)
        expect(chart.locator(".chart-when")).to_have_text(told)
    page.keyboard.press("Tab")
    expect(chart.locator(".chart-when")).to_have_text("last")


def test_what_comes_fast_is_drawn_once_and_nothing_while_hidden(page: Page) -> None:
    page.evaluate(DATA, 1)
    chart = page.locator("main > slip-chart")
    expect(chart.locator("canvas")).to_have_count(1)
    page.evaluate("""() => {
      window.drawn = 0;
      const draw = chart._plot.setData.bind(chart._plot);
      chart._plot.setData = (...all) => { window.drawn += 1; draw(...all); };
    }""")
    page.evaluate(f"for (let n = 2; n < 100; n++) ({DATA})(n);")
    expect(chart.locator(".chart-legend")).to_contain_text("99 ms")
    assert page.evaluate("window.drawn") == 1
    page.evaluate("""() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
    }""")
    page.evaluate(DATA, 7)
    page.wait_for_timeout(1500)
    assert page.evaluate("window.drawn") == 1
    page.evaluate("""() => {
      delete document.hidden;
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    expect(chart.locator(".chart-legend")).to_contain_text("7 ms")


def test_a_chart_follows_the_colours_and_ends_with_its_element(page: Page) -> None:
    page.evaluate(DATA, 412)
    chart = page.locator("main > slip-chart")
    expect(chart.locator("canvas")).to_have_count(1)
    page.evaluate("window.first = chart._plot")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => chart._plot && chart._plot !== window.first")
    expect(chart.locator("canvas")).to_have_count(1)
    page.evaluate("""() => {
      window.ended = 0;
      const destroy = chart._plot.destroy.bind(chart._plot);
      chart._plot.destroy = () => { window.ended += 1; destroy(); };
      chart.remove();
    }""")
    assert page.evaluate("[window.ended, chart._plot]") == [1, None]
    page.evaluate("document.querySelector('main').append(chart)")
    page.evaluate(DATA, 413)
    expect(chart.locator("canvas")).to_have_count(1)


def test_names_of_series_are_text(page: Page) -> None:
    page.evaluate("""() => {
      const name = "<img src=x onerror=alert(1)>";
      chart.data = { x: [1, 2], series: [
        { name, label: name, unit: name, values: [1, 2] },
        { name: "other", label: name, unit: "", values: [1, 2] },
      ] };
    }""")
    chart = page.locator("main > slip-chart")
    expect(chart.locator(".chart-legend")).to_contain_text("<img src=x")
    chart.get_by_text("As a table").click()
    assert page.locator("img").count() == 0
