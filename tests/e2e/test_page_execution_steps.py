"""Single steps on the page, and the numbers of virtual users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.load_target import LoadTarget
from kit.client import Client
from kit.definitions import script, workflow
from kit.engine_v1 import get_step, load
from kit.pages import PHONE, Visitor, axe, sideways
from kit.patience import await_that
from playwright.sync_api import expect

Visits = Callable[..., Visitor]


@pytest.fixture
def running(client: Client, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An execution whose step writes down each of its runs, and waits for a file ``gate``."""
    wait = f"echo x >> {tmp_path}/began; until [ -e {tmp_path}/gate ]; do sleep 0.05; done"
    id_ = client.run(
        workflow("steered", script("only", wait), script("next", "true", needs=["only"]))
    )
    client.wait(id_, "RUNNING")
    await_that(lambda: runs(tmp_path) == 1, "it runs")
    yield id_, tmp_path
    (tmp_path / "gate").touch()
    client.cancel(id_)
    client.wait(id_)


def runs(folder: Path) -> int:
    file = folder / "began"
    return len(file.read_text().split()) if file.exists() else 0


def test_a_step_is_restarted_and_stopped_and_started_again(
    client: Client, running: tuple[str, Path], visits: Visits
) -> None:
    id_, folder = running
    page = visits(client.url).open(f"/ui/executions/{id_}")
    page.get_by_role("link", name="only", exact=True).click()
    step = page.get_by_role("region", name="only")
    expect(step.get_by_role("button", name="Start step", exact=True)).to_be_disabled()
    assert axe(page) == []
    step.get_by_role("button", name="Restart step").click()
    expect(page.get_by_text("A run of only was asked for.")).to_be_visible()
    await_that(lambda: runs(folder) == 2, "it runs once more")
    page.goto(f"/ui/executions/{id_}?step=only")
    step.get_by_role("button", name="Stop step").click()
    expect(page.get_by_text("The end of only was asked for.")).to_be_visible()
    expect(page.locator("#state")).to_contain_text("Cancelled")
    page.goto(f"/ui/executions/{id_}?step=only")
    step.get_by_role("button", name="Start step", exact=True).click()
    page.wait_for_url(lambda url: id_ not in url)
    expect(page.get_by_text(f"which goes on from {id_[:8]}")).to_be_visible()
    await_that(lambda: runs(folder) == 3, "it runs in another execution")
    (folder / "gate").touch()
    client.wait(page.url.rpartition("/")[2])


def test_elements_of_a_list_appear_and_are_steps_as_any_other(
    client: Client, tmp_path: Path, visits: Visits
) -> None:
    wait = f"until [ -e {tmp_path}/$GATE ]; do sleep 0.05; done"
    each = {"env": {"GATE": "g${{ index }}"}, "needs": ["find"]}
    id_ = client.run(
        workflow(
            "fanned", script("find", wait, env={"GATE": "find"}),
            script("each", wait, foreach=["x", "y"], **each),
        )
    )  # fmt: skip
    page = visits(client.url).open(f"/ui/executions/{id_}")
    page.locator("html.scripted").wait_for()
    find = page.locator("tr[data-task='find']")
    expect(find).to_contain_text("Running")
    (tmp_path / "find").touch()
    for place in (0, 1):
        row = page.locator(f"tr[data-task='each[{place}]']")
        expect(row).to_contain_text("Running")
        (tmp_path / f"g{place}").touch()
        expect(row).to_contain_text("Succeeded")
    client.wait(id_)
    page.get_by_role("link", name="each[1]", exact=True).click()
    expect(page.get_by_role("region", name="each[1]")).to_be_visible()
    assert axe(page) == []
    page.goto(f"/ui/executions/{id_}?view=graph")
    expect(page.locator(".graph-node", has_text="each \N{MULTIPLICATION SIGN}2")).to_be_visible()


def test_steps_that_came_to_be_before_events_arrive_appear(
    client: Client, tmp_path: Path, visits: Visits
) -> None:
    wait = f"until [ -e {tmp_path}/$GATE ]; do sleep 0.05; done"
    id_ = client.run(
        workflow(
            "late", script("find", wait, env={"GATE": "find"}),
            script("each", wait, foreach=["x", "y"], env={"GATE": "each"}, needs=["find"]),
        )
    )  # fmt: skip
    await_that(lambda: client.tasks(id_)["find"]["status"] == "RUNNING", "it runs")
    visitor, path = visits(client.url), f"/ui/executions/{id_}"
    before = visitor.context.request.get(path)
    (tmp_path / "find").touch()
    await_that(lambda: len(client.tasks(id_)) > 2, "there are elements")
    visitor.page.route(f"**{path}", lambda route: route.fulfill(response=before), times=1)
    page = visitor.open(path)
    expect(page.locator("tr[data-task='each[1]']")).to_contain_text("Running")
    expect(page.locator("#number-of-steps")).to_have_text(str(len(client.tasks(id_))))
    (tmp_path / "each").touch()
    client.wait(id_)


def test_virtual_users_are_seen_and_scaled(
    client: Client, load_target: LoadTarget, visits: Visits
) -> None:
    definition = load(
        get_step(load_target.url + "/get"), mode="constant-vus", vus=3, duration="10m",
        thresholds=[{"metric": "http_req_duration", "condition": "p(95) < 60000"}],
    )  # fmt: skip
    id_ = client.run(definition)
    client.wait(id_, "RUNNING")
    visitor = visits(client.url)
    page = visitor.open(f"/ui/executions/{id_}?view=load")
    summary = page.locator("#load-summary")
    expect(summary).to_contain_text("3 virtual users")
    expect(page.get_by_role("region", name="Slaves")).to_be_visible()
    expect(page.locator("#chart-vus canvas")).to_be_visible()
    page.locator("html.scripted").wait_for()
    page.get_by_role("link", name="Scale…").click()
    dialog = page.get_by_role("dialog", name="Scale this execution")
    dialog.get_by_label("Virtual users").fill("7")
    assert axe(page) == []
    dialog.get_by_role("button", name="Scale execution").click()
    expect(page.get_by_text("7 virtual users were asked for.")).to_be_visible()
    expect(summary).to_contain_text("7 virtual users")
    page.locator("html.scripted").wait_for()
    page.get_by_role("link", name="Scale…").click()
    dialog.get_by_label("Virtual users").fill("many")
    dialog.get_by_role("button", name="Scale execution").click()
    expect(page.get_by_text("Must be a whole number, 0 or more")).to_be_visible()
    visitor.forgive("status of 422")
    client.cancel(id_)
    client.wait(id_)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(f"/ui/executions/{id_}?view=load")
    expect(page.get_by_role("region", name="Thresholds")).to_contain_text("Holds")
    assert axe(page) == []
    assert sideways(page) == 0
