"""One execution on the page, in a real browser: why it failed, and each of its buttons."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from kit.accounts import ADA, EVE, ROOT
from kit.client import Client
from kit.definitions import script, workflow
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.service import Service
from playwright.sync_api import Page, expect

HARM = "<img src=x onerror=\"document.body.dataset.harm='yes'\">"
BAD_INPUT = """
for i in $(seq 25); do echo "refining $i"; done
if [ "$INPUT_CELLS" -gt 100 ]; then echo "ERROR no licence for 64 cores" >&2; exit 127; fi
"""

SHIFTS = """() => new PerformanceObserver((list) => {
  const before = Number(document.body.dataset.shift ?? 0);
  document.body.dataset.shift = list.getEntries().reduce((sum, each) => sum + each.value, before);
}).observe({type: "layout-shift"})"""

Visits = Callable[..., Visitor]


@pytest.fixture
def ada_client(accounts: Service) -> Client:
    return accounts.client("ada", ADA)


@pytest.fixture
def gated(ada_client: Client, tmp_path: Path) -> Any:
    """An execution whose first step waits for a file ``gate``; it is ended with the test."""
    gate = tmp_path / "gate"
    wait = f"echo waiting; until [ -e {gate} ]; do sleep 0.05; done"
    id_ = ada_client.run(
        workflow(
            "gated", script("first", wait), script("second", 'echo "done=yes" >> "$SLIPWAY_OUTPUT"',
            needs=["first"]), outputs={"done": "${{ steps.second.outputs.done }}"},
        )
    )  # fmt: skip
    ada_client.wait(id_, "RUNNING")
    yield id_, gate
    gate.touch()
    ada_client.cancel(id_)
    ada_client.wait(id_)


def meshing(client: Client) -> tuple[str, str]:
    """One that went well, and one that failed with another input."""
    client.upload(
        workflow(
            "meshing", script("fetch", "true"), script("mesh", BAD_INPUT, needs=["fetch"]),
            script("solve", "true", needs=["mesh"]),
            inputs={"cells": {"type": "integer", "default": 100}},
        )
    )  # fmt: skip
    good = client.launch("meshing")
    assert client.wait(good)["state"] == "SUCCESS"
    bad = client.launch("meshing", {"cells": 200})
    assert client.wait(bad)["state"] == "FAILED"
    return good, bad


def address(id_: str, more: str = "") -> str:
    return f"/ui/executions/{id_}{more}"


def state(page: Page) -> Any:
    return page.locator("#state")


def scripted(page: Page) -> None:
    """Wait until the scripts are there: without them links that ask lead to pages."""
    page.locator("html.scripted").wait_for()


def row(page: Page, step: str) -> Any:
    return page.locator(f'tr[data-task="{step}"]')


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_why_it_failed_stands_first(
    accounts: Service, ada_client: Client, visits: Visits, viewport: Any
) -> None:
    good, bad = meshing(ada_client)
    visitor = visits(accounts.url, viewport=viewport)
    page = visitor.sign_in("ada", ADA, address(bad))
    digest = page.get_by_role("region", name="Why")
    expect(digest).to_contain_text("exit 127, something that it called was not found")
    expect(digest).to_contain_text("cells 100 → 200")
    line = digest.get_by_role("link", name="no licence for 64 cores")
    place = re.search(r"#L(\d+)$", line.get_attribute("href") or "")
    assert place is not None
    entries = ada_client.page(bad, after=int(place[1]) - 1)["logs"]
    assert entries[0]["content"] == "ERROR no licence for 64 cores"
    seen = digest.bounding_box()
    assert seen is not None
    assert seen["y"] < viewport["height"], "without scrolling"
    lines = digest.get_by_role("group", name="Last lines of mesh")
    expect(lines).to_be_hidden()
    digest.get_by_text("Last 20 lines").click()
    expect(lines).to_contain_text("refining 25")
    assert axe(page) == []
    assert sideways(page) == 0
    digest.get_by_role("link", name="Compare the two").click()
    page.wait_for_url(f"**/compare/{good}")
    expect(page.get_by_role("region", name="Inputs that differ")).to_contain_text("200")
    expect(page.get_by_role("region", name="Steps that differ")).to_contain_text("exit 127")
    assert axe(page) == []
    assert sideways(page) == 0


def test_long_names_make_nothing_wider(
    accounts: Service, ada_client: Client, visits: Visits
) -> None:
    ada_client.upload(workflow("w" * 60, script("s" * 60, "exit 7"), name="W" * 120))
    named = {"inputs": {}, "name": "N" * 64}
    made = ada_client.send("POST", f"/workflows/{'w' * 60}", json=named)
    id_ = made.headers["Location"].rpartition("/")[2]
    ada_client.wait(id_)
    visitor = visits(accounts.url, viewport=PHONE)
    visitor.sign_in("ada", ADA)
    for where in (address(id_), address(id_, "/log"), "/ui/executions", "/ui/workflows"):
        assert sideways(visitor.open(where)) == 0, where
    button = visitor.open(address(id_)).get_by_role("button", name="Retry from s")
    box = button.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] < PHONE["width"]


def test_a_retry_goes_on_in_another_execution(
    accounts: Service, ada_client: Client, visits: Visits
) -> None:
    _, bad = meshing(ada_client)
    page = visits(accounts.url).sign_in("ada", ADA, address(bad))
    assert page.get_by_role("link", name="Run again…").get_attribute("href") == (
        f"/ui/workflows/meshing?like={bad}"
    )
    page.get_by_role("button", name="Retry from mesh").dblclick()
    page.wait_for_url(lambda url: bad not in url and "/ui/executions/" in url)
    expect(page.get_by_text(f"This goes on from {bad[:8]}.")).to_be_visible()
    new = page.url.rpartition("/")[2]
    assert ada_client.wait(new)["continues"] == bad
    expect(state(page)).to_contain_text("Failed")
    page.locator("dl").get_by_role("link", name=bad[:8]).click()
    expect(page.get_by_role("button", name="Retry from mesh")).to_be_disabled()
    expect(page.get_by_text("It goes on in").first).to_be_visible()
    again = ada_client.get("/executions", continues=bad)
    assert again["total"] == 1, "a double click is one"


def test_pausing_resuming_and_cancelling(accounts: Service, gated: Any, visits: Visits) -> None:
    id_, _ = gated
    page = visits(accounts.url).sign_in("ada", ADA, address(id_))
    page.get_by_role("button", name="Pause").click()
    expect(state(page)).to_contain_text("Paused")
    expect(page.get_by_text("It is paused: nothing more of it begins")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(state(page)).to_contain_text("Running")
    scripted(page)
    page.get_by_role("link", name="Cancel execution").click()
    dialog = page.get_by_role("dialog", name="Cancel this execution?")
    assert axe(page) == []
    dialog.get_by_role("link", name="Keep running").click()
    expect(dialog).to_be_hidden()
    expect(state(page)).to_contain_text("Running")
    page.get_by_role("link", name="Cancel execution").click()
    dialog.get_by_role("button", name="Cancel execution").click()
    expect(state(page)).to_contain_text("Cancelled")
    expect(page.get_by_role("link", name="Purge…")).to_be_visible()


def test_it_follows_to_the_end_without_being_loaded_again(
    accounts: Service, gated: Any, visits: Visits
) -> None:
    id_, gate = gated
    page = visits(accounts.url).sign_in("ada", ADA, address(id_))
    first = row(page, "first")
    expect(first).to_contain_text("Running")
    page.evaluate("() => { document.body.dataset.kept = 'yes'; }")
    gate.touch()
    expect(first).to_contain_text("Succeeded")
    expect(state(page)).to_contain_text("Succeeded")
    expect(page.get_by_role("link", name="Purge…")).to_be_visible()
    expect(page.locator("#announced")).to_contain_text("The execution succeeded")
    expect(page.locator("#tally [data-count]")).to_have_text(["Succeeded 2"])
    page.get_by_role("link", name="Outputs").click()
    expect(page.get_by_label("done", exact=True)).to_contain_text("yes")


def test_nothing_moves_while_steps_come_and_go(
    accounts: Service, ada_client: Client, visits: Visits, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    wait = f"until [ -e {gate} ]; do sleep 0.05; done"
    steps = [
        script(f"s{n}", "true", needs=["first"] if n == 0 else [f"s{n - 1}"]) for n in range(8)
    ]
    last = script("last", f"until [ -e {gate}-2 ]; do sleep 0.05; done", needs=["s7"])
    id_ = ada_client.run(workflow("calm", script("first", wait), *steps, last))
    ada_client.wait(id_, "RUNNING")
    page = visits(accounts.url).sign_in("ada", ADA, address(id_))
    expect(row(page, "first")).to_contain_text("Running")
    expect(page.locator("#live")).to_contain_text("live")
    page.evaluate(SHIFTS)
    gate.touch()
    expect(row(page, "last")).to_contain_text("Running")
    assert float(page.evaluate("document.body.dataset.shift ?? 0")) < 0.005
    Path(f"{gate}-2").touch()
    ada_client.wait(id_)


def test_outputs_appear_where_they_are_looked_at(
    accounts: Service, gated: Any, visits: Visits
) -> None:
    id_, gate = gated
    page = visits(accounts.url).sign_in("ada", ADA, address(id_, "?view=outputs"))
    expect(page.get_by_text("No outputs yet.")).to_be_visible()
    gate.touch()
    expect(page.get_by_label("done", exact=True)).to_contain_text("yes")


def test_a_step_that_fails_shows_at_once_why(
    accounts: Service, ada_client: Client, visits: Visits, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    text = f"until [ -e {gate} ]; do sleep 0.05; done; echo 'ERROR gone' >&2; exit 3"
    id_ = ada_client.run(workflow("failing", script("only", text)))
    ada_client.wait(id_, "RUNNING")
    page = visits(accounts.url).sign_in("ada", ADA, address(id_))
    expect(row(page, "only")).to_contain_text("Running")
    expect(page.get_by_role("region", name="Why")).to_have_count(0)
    gate.touch()
    expect(page.get_by_role("region", name="Why")).to_contain_text("ERROR gone")
    expect(state(page)).to_contain_text("exit 3")


def test_the_service_is_restarted_in_between(
    new_service: Callable[..., Service], visits: Visits, tmp_path: Path
) -> None:
    service = new_service(env={"SLIPWAY_STREAMS__HEARTBEAT": "1s"}).start()
    client, gate = service.client(), tmp_path / "gate"
    text = f"until [ -e {gate} ]; do sleep 0.05; done"
    id_ = client.run(workflow("lasting", script("only", text)))
    client.wait(id_, "RUNNING")
    visitor = visits(service.url)
    page = visitor.open(address(id_))
    expect(row(page, "only")).to_contain_text("Running")
    service.replaced("web", service.kill("web"))
    gate.touch()
    expect(state(page)).to_contain_text("Succeeded")
    expect(page.get_by_role("link", name="Purge…")).to_be_visible()
    visitor.forgive("Failed to load resource|ERR_")


def test_purging_and_what_can_be_downloaded(
    accounts: Service, ada_client: Client, visits: Visits
) -> None:
    _, bad = meshing(ada_client)
    visitor = visits(accounts.url)
    page = visitor.sign_in("ada", ADA, address(bad))
    page.locator("summary", has_text="Download").click()
    with page.expect_download() as loading:
        page.get_by_role("link", name="Archive for the help desk").click()
    archive = Path(loading.value.path()).read_bytes()
    names = zipfile.ZipFile(BytesIO(archive)).namelist()
    assert any(name.endswith("/digest.txt") for name in names)
    scripted(page)
    page.get_by_role("link", name="Purge…").click()
    dialog = page.get_by_role("dialog", name="Purge this execution?")
    assert axe(page) == []
    dialog.get_by_role("button", name="Purge execution").click()
    page.wait_for_url("**/ui/executions")
    visitor.forgive("status of 404")  # until there is a list
    page.goto(address(bad))
    visitor.forgive("status of 410")
    expect(page.get_by_role("main")).to_contain_text("was purged")


def test_a_stranger_sees_nothing_and_an_operator_can_help(
    accounts: Service, gated: Any, visits: Visits
) -> None:
    id_, _ = gated
    name = f"eve-{id_[:8]}"
    body = {"username": name, "password": EVE, "roles": ["user"]}
    made = accounts.client(*ROOT).send("POST", "/users", json=body)
    assert made.status_code == 201, made.text
    eve = visits(accounts.url)
    eve.sign_in(name, EVE)
    eve.open(address(id_))
    eve.forgive("status of 404")
    expect(eve.page.get_by_role("heading", name="Not Found")).to_be_visible()
    root = visits(accounts.url).sign_in(*ROOT, address(id_))
    ada = visits(accounts.url).sign_in("ada", ADA, address(id_))
    expect(row(ada, "first")).to_contain_text("Running")
    scripted(root)
    root.get_by_role("link", name="Cancel execution").click()
    root.get_by_role("dialog").get_by_role("button", name="Cancel execution").click()
    expect(state(ada)).to_contain_text("Cancelled")


def test_without_scripts_it_asks_on_a_page_and_acts(
    accounts: Service, gated: Any, visits: Visits
) -> None:
    id_, _ = gated
    page = visits(accounts.url, java_script_enabled=False).sign_in("ada", ADA, address(id_))
    expect(state(page)).to_contain_text("Running")
    page.get_by_role("button", name="Pause").click()
    expect(state(page)).to_contain_text("Paused")
    for view in ("Graph", "Timeline", "Inputs", "Outputs", "Steps"):
        page.get_by_role("navigation", name="Views").get_by_role("link", name=view).click()
        expect(page.locator("#part-view")).to_be_visible()
    page.get_by_role("link", name="Cancel execution").click()
    page.wait_for_url("**/cancel")
    page.get_by_role("link", name="Keep running").click()
    page.get_by_role("link", name="Cancel execution").click()
    page.get_by_role("button", name="Cancel execution").click()
    expect(state(page)).to_contain_text(re.compile("Cancelling|Cancelled"))
    page.get_by_role("link", name="Reload").click()
    expect(state(page)).to_be_visible()


def test_what_is_shown_is_never_markup(
    accounts: Service, ada_client: Client, visits: Visits
) -> None:
    failing = f"cat >&2 <<'X'\nERROR {HARM}\nX\nexit 1"
    said = "cat >> \"$SLIPWAY_OUTPUT\" <<'X'\nsaid=" + HARM + "\nX"
    ada_client.upload(
        workflow(
            "harm", script("one", said), script("two", failing, needs=["one"], name=HARM),
            name=HARM, description=HARM,
            inputs={"text": {"type": "string", "default": HARM}},
            outputs={"said": "${{ steps.one.outputs.said }}"},
        )
    )  # fmt: skip
    body = {"inputs": {}, "name": HARM, "labels": {"case": HARM[:60]}}
    launched = ada_client.send("POST", "/workflows/harm", json=body)
    assert launched.status_code == 201, launched.text
    id_ = launched.headers["Location"].rpartition("/")[2]
    ada_client.wait(id_)
    page = visits(accounts.url).sign_in("ada", ADA)
    views = ("steps", "graph", "timeline", "inputs", "outputs")
    for more in (*(f"?view={view}" for view in views), "?step=two", f"/compare/{id_}"):
        page.goto(address(id_, more))
        assert page.locator("[data-harm]").count() == 0
        assert page.locator("img").count() == 0
    page.goto(address(id_))
    expect(page.get_by_role("region", name="Why")).to_contain_text(f"ERROR {HARM}")
