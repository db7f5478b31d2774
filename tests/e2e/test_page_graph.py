"""The graph of an execution in a real browser: live, by keyboard, on a phone, without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.graphs import fan, lattice
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.patience import PATIENCE_SECONDS
from playwright.sync_api import Locator, Page, expect

LONG_MS = 1000 * PATIENCE_SECONDS
"""For what steps do meanwhile."""
EVIL = "<img src=x onerror=alert(1)>\"'"

_COUNT_FRAMES = """() => {
  window.mostAtOnce = 0;
  let before = 0;
  const look = () => {
    const shown = document.querySelectorAll(".graph-part.shown").length;
    window.mostAtOnce = Math.max(window.mostAtOnce, shown - before);
    before = shown;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
"""Notes how many parts of a picture appeared from one frame to the next."""


def held(path: Path) -> str:
    """A script that runs until there is a file."""
    return f"until [ -e '{path}' ]; do sleep 0.1; done"


def drawn(needs: list[list[int]], id_: str) -> dict[str, object]:
    """A definition with the steps of a graph, of which none takes any time."""
    steps = (
        script(f"s{n}", "true", needs=[f"s{m}" for m in needed]) for n, needed in enumerate(needs)
    )
    return workflow(id_, *steps)


def box(page: Page, name: str) -> Locator:
    """The box whose name begins like this."""
    return page.get_by_role("link", name=re.compile(f"^{re.escape(name)}"))


@pytest.fixture
def running(client: Client, tmp_path: Path) -> Iterator[str]:
    """An execution that goes on once the files ``go`` and ``end`` are there."""
    yield client.run(
        workflow(
            "page-graph",
            script("fetch", "true"),
            script("mesh", held(tmp_path / "go") + "; exit 2", needs=["fetch"]),
            script("solve", held(tmp_path / "end"), needs=["fetch"]),
            script("report", "true", needs=["mesh"]),
        )
    )
    (tmp_path / "go").touch()
    (tmp_path / "end").touch()


def test_states_change_while_one_looks(
    running: str, client: Client, service_url: str, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    page = visits(service_url).open(f"/ui/executions/{running}/graph")
    expect(box(page, "mesh")).to_have_attribute("aria-label", "mesh, running", timeout=LONG_MS)
    expect(box(page, "report, waiting")).to_be_visible()
    (tmp_path / "go").touch()
    expect(box(page, "mesh")).to_have_attribute(
        "aria-label", "mesh, failed, exit 2", timeout=LONG_MS
    )
    expect(box(page, "mesh")).to_have_class("graph-node bad")
    expect(box(page, "mesh").locator("use")).to_have_attribute("href", "#shape-bad")
    expect(box(page, "mesh")).to_contain_text("Failed · exit 2")
    expect(box(page, "report, not run")).to_be_visible()
    expect(page.locator("h1 + slip-state .word")).to_have_text("Running")
    (tmp_path / "end").touch()
    expect(page.locator("h1 + slip-state .word")).to_have_text("Failed", timeout=LONG_MS)


def test_what_is_done_goes_away_and_what_leads_to_a_step_stands_out(
    running: str, service_url: str, visits: Callable[..., Visitor]
) -> None:
    page = visits(service_url).open(f"/ui/executions/{running}/graph")
    expect(box(page, "fetch, succeeded")).to_be_visible(timeout=LONG_MS)
    page.get_by_label("Hide what is done").check()
    expect(box(page, "fetch")).to_be_hidden()
    expect(box(page, "mesh")).to_be_visible()
    page.get_by_label("Hide what is done").uncheck()
    box(page, "report").focus()
    traced = page.locator(".graph-node.traced")
    expect(traced).to_have_count(3)
    assert traced.evaluate_all("all => all.map((each) => each.dataset.name).sort()") == [
        "fetch", "mesh", "report",
    ]  # fmt: skip
    page.get_by_role("button", name="Fit").focus()
    expect(traced).to_have_count(0)


def test_it_is_made_larger_and_smaller_in_steps_by_keyboard(
    running: str, service_url: str, visits: Callable[..., Visitor]
) -> None:
    page = visits(service_url).open(f"/ui/executions/{running}/graph")
    picture = page.locator(".graph-picture")
    width = float(picture.get_attribute("width") or 0)
    shown = page.locator(".graph-zoom output")
    expect(shown).to_have_text("100 %")
    page.get_by_role("button", name="Smaller").focus()
    page.keyboard.press("Enter")
    expect(shown).to_have_text("90 %")
    assert float(picture.get_attribute("width") or 0) == pytest.approx(0.9 * width)
    page.get_by_role("button", name="Larger").click(click_count=3)
    expect(shown).to_have_text("120 %")
    page.get_by_role("button", name="Full size").click()
    expect(shown).to_have_text("100 %")
    for _ in range(12):
        smaller = page.get_by_role("button", name="Smaller")
        if smaller.is_enabled():
            smaller.click()
    expect(shown).to_have_text("20 %")
    page.get_by_role("group", name="Graph of").focus()
    page.keyboard.press("Tab")
    expect(box(page, "fetch")).to_be_focused()
    log = f"/ui/executions/{running}/log?task=fetch"
    expect(box(page, "fetch")).to_have_attribute("href", log)


def test_many_alike_are_one_box_that_is_opened_also_without_scripts(
    client: Client, service_url: str, visits: Callable[..., Visitor]
) -> None:
    id_ = client.run(drawn(fan(160), "page-fan"))
    visitor = visits(service_url, java_script_enabled=False)
    page = visitor.open(f"/ui/executions/{id_}/graph")
    expect(page.locator(".graph-node")).to_have_count(3)
    box(page, "160 steps").click()
    expect(page.locator(".graph-node")).to_have_count(162)
    page.get_by_role("link", name="Fold steps that are alike").click()
    expect(page.locator(".graph-node")).to_have_count(3)
    client.wait(id_)
    live = visits(service_url).open(f"/ui/executions/{id_}/graph")
    expect(box(live, "160 steps, succeeded, 160 of 160, show each")).to_be_visible()


def test_five_hundred_steps_are_drawn_for_who_asks(
    client: Client, service_url: str, visits: Callable[..., Visitor]
) -> None:
    client.upload(drawn(lattice(25, 20, 1196), "page-lattice"))
    visitor = visits(service_url)
    page = visitor.open("/ui/workflows/page-lattice/graph")
    page.get_by_role("link", name="Draw 500 steps").click()
    page.get_by_role("link", name="Show each step").click()
    expect(page.locator(".graph-node")).to_have_count(500)
    assert page.locator(".graph-lines path").count() == 1196
    page.get_by_role("button", name="Fit").click()
    expect(page.locator("slip-graph")).to_have_class("graph tall large far")


def test_a_large_one_is_drawn_a_part_in_each_frame(
    client: Client, service_url: str, visits: Callable[..., Visitor]
) -> None:
    client.upload(drawn(lattice(25, 20, 1196), "page-parts"))
    page = visits(service_url).open("/ui/account")
    page.context.add_init_script(f"({_COUNT_FRAMES})()")
    page.goto("/ui/workflows/page-parts/graph?draw=yes&folded=no")
    expect(page.locator(".graph-part:not(.shown)")).to_have_count(0)
    expect(page.locator(".graph-part.shown")).to_have_count(18)
    assert page.evaluate("() => window.mostAtOnce") <= 2
    plain = visits(service_url, java_script_enabled=False)
    plain.open("/ui/workflows/page-parts/graph?draw=yes&folded=no")
    expect(plain.page.locator(".graph-node").last).to_be_visible()


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_it_is_for_everybody_on_each_screen(
    running: str,
    service_url: str,
    visits: Callable[..., Visitor],
    viewport: dict[str, int],
    tmp_path: Path,
) -> None:
    page = visits(service_url, viewport=viewport).open(f"/ui/executions/{running}/graph")
    (tmp_path / "go").touch()
    expect(box(page, "mesh, failed, exit 2")).to_be_attached(timeout=LONG_MS)
    assert axe(page) == []
    assert sideways(page) == 0


def test_what_steps_are_called_is_only_text(
    client: Client, service_url: str, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    evil = script("evil", held(tmp_path / "go"), name=EVIL)
    id_ = client.run(
        workflow("page-evil", evil, script("other", "true", needs=["evil"], name=EVIL))
    )
    page = visits(service_url).open(f"/ui/executions/{id_}/graph")
    (tmp_path / "go").touch()
    client.wait(id_)
    other = page.locator('.graph-node[data-name="other"]')
    expect(other).to_have_attribute("aria-label", f"{EVIL}, succeeded", timeout=LONG_MS)
    assert page.locator(".graph img").count() == 0


def test_a_preview_shows_as_much_as_can_be_read(
    client: Client, service_url: str, visits: Callable[..., Visitor]
) -> None:
    client.upload(drawn([[0] if n else [] for n in range(20)], "page-preview"))
    page = visits(service_url).open("/ui/workflows/page-preview")
    expect(page.locator(".graph-zoom output")).to_have_text("70 %")
    assert axe(page) == []
