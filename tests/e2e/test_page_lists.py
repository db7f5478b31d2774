"""The lists of workflows and executions in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import Any

import pytest
from kit.accounts import ADA, ROOT
from kit.client import Client
from kit.definitions import script, workflow
from kit.page_contents import EVIL
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.service import Service
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import Connection, insert, select

from app.store.database import Database
from app.store.schema import executions

Visits = Callable[..., Visitor]
LIST = "/ui/executions"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that the executions of a test wait for; all end with the test."""
    made = tmp_path / "go"
    yield made
    made.touch()


def waiting(id_: str, gate: Path, behind: str = "true", **more: Any) -> dict[str, Any]:
    """A workflow whose step ``mesh`` waits for a file, and then does something."""
    text = f"until [ -e {gate} ]; do sleep 0.1; done; {behind}"
    return workflow(id_, script("mesh", text), script("solve", "true", needs=["mesh"]), **more)


def row(page: Page, execution: str) -> Locator:
    return page.locator(f"#row-{execution}")


def live(page: Page) -> None:
    """Wait until what is shown is live."""
    expect(page.locator("#live")).to_have_text("live")


def ticks(page: Page, *executions: str) -> None:
    for execution in executions:
        row(page, execution).get_by_role("checkbox").check()


class TestWorkflows:
    def test_searching_keeps_the_address_and_goes_back(
        self, client: Client, service_url: str, visits: Visits
    ) -> None:
        client.upload(workflow("lists-alpha", script("a", "true"), description="first of letters"))
        page = visits(service_url).open("/ui/workflows")
        names = page.locator("td.name a")
        all_of_them = names.count()
        assert all_of_them > 1
        page.get_by_label("Name or description").press_sequentially("first of let")
        expect(names).to_have_text(["lists-alpha"])
        page.wait_for_url(lambda url: "?q=first" in url)
        expect(page.locator("#announced")).to_have_text(re.compile(r"^1 of \d+ workflows"))
        expect(page.get_by_label("Name or description")).to_be_focused()
        page.get_by_label("Stale only").check()
        page.wait_for_url(lambda url: "?q=first" in url and "stale=yes" in url)
        expect(page.locator(".empty")).to_contain_text("No workflow fits “first of let”")
        page.go_back()
        expect(names).to_have_text(["lists-alpha"])
        expect(page.get_by_label("Stale only")).not_to_be_checked()
        page.reload()
        expect(names).to_have_text(["lists-alpha"])
        page.get_by_role("link", name="clear").click()
        expect(names).to_have_count(all_of_them)

    def test_without_scripts(self, client: Client, service_url: str, visits: Visits) -> None:
        client.upload(workflow("lists-plain", script("a", "true")))
        page = visits(service_url, java_script_enabled=False).open("/ui/workflows")
        page.get_by_label("Name or description").fill("lists-plain")
        page.get_by_role("button", name="Find").click()
        expect(page.locator("td.name a")).to_have_text(["lists-plain"])
        assert "q=lists-plain" in page.url
        launch = page.get_by_role("link", name="Launch lists-plain")
        expect(launch).to_have_attribute("href", "/ui/workflows/lists-plain")


class TestLive:
    def test_a_row_changes_in_place_and_keeps_its_tick(
        self, client: Client, service_url: str, visits: Visits, gate: Path
    ) -> None:
        definition = waiting("lists-live", gate, "echo no licence for 64 cores; exit 2")
        first = client.run(definition)
        second = client.launch("lists-live")
        page = visits(service_url).open(f"{LIST}?workflow=lists-live")
        live(page)
        expect(row(page, first).locator(".says")).to_have_text("now: mesh")
        expect(row(page, first).locator(".took [data-since]")).to_be_visible()
        order = page.locator("tbody tr").evaluate_all("rows => rows.map((each) => each.dataset.id)")
        assert order == [second, first]
        ticks(page, first)
        expect(page.locator(".chosen")).to_have_text("1 ticked: 1 can be cancelled")
        gate.touch()
        expect(row(page, first).locator(".state")).to_contain_text("Failed")
        expect(row(page, first).locator(".state .remark")).to_have_text("exit 2")
        expect(row(page, first).locator(".says")).to_have_text("mesh: no licence for 64 cores")
        expect(row(page, first).locator(".took [data-since]")).to_have_count(0)
        expect(row(page, first).get_by_role("checkbox")).to_be_checked()
        expect(page.locator(".chosen")).to_contain_text("0 can be cancelled, 1 has ended")
        expect(page.locator(".bar button")).to_be_disabled()
        assert order == page.locator("tbody tr").evaluate_all("r => r.map((e) => e.dataset.id)")

    def test_new_ones_wait_and_what_fits_no_more_is_dimmed(
        self, client: Client, service_url: str, visits: Visits, gate: Path
    ) -> None:
        old = client.run(waiting("lists-new", gate))
        other = client.upload(
            workflow("lists-other", script("a", f"until [ -e {gate} ]; do sleep 0.1; done"))
        )
        client.wait(old, "RUNNING")
        page = visits(service_url).open(f"{LIST}?workflow=lists-new&state=open")
        live(page)
        client.launch(other)
        new = client.launch("lists-new")
        button = page.locator(".count .fresh")
        expect(button).to_have_text("1 new: show")
        expect(page.locator("tbody tr")).to_have_count(1)
        button.click()
        expect(page.locator("tbody tr")).to_have_count(2)
        live(page)
        gate.touch()
        for each in (old, new):
            expect(row(page, each)).to_have_class("past")
            expect(row(page, each).locator(".note")).to_contain_text("not among these filters")
        expect(button).to_be_hidden()

    def test_filters_are_kept_in_the_address_with_what_is_ticked(
        self, client: Client, service_url: str, visits: Visits, gate: Path
    ) -> None:
        one = client.run(waiting("lists-kept", gate))
        client.wait(one, "RUNNING")
        visitor = visits(service_url)
        page = visitor.open(f"{LIST}?workflow=lists-kept")
        live(page)
        ticks(page, one)
        page.get_by_label("State").select_option("open")
        page.wait_for_url("**?state=open&workflow=lists-kept")
        expect(row(page, one).get_by_role("checkbox")).to_be_checked()
        page.get_by_label("Launched").select_option("1h")
        page.wait_for_url("**since=1h**")
        live(page)
        page.go_back()
        page.wait_for_url("**?state=open&workflow=lists-kept")
        expect(page.get_by_label("Launched")).to_have_value("")
        expect(row(page, one)).to_be_visible()
        live(page)
        page.get_by_label("Label").fill("!")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("#results")).to_contain_text("These filters cannot be used")
        visitor.forgive("status of 422")


class TestCancel:
    def test_several_with_a_dialog_that_counts(
        self, client: Client, service_url: str, visits: Visits, gate: Path
    ) -> None:
        ended = client.run(workflow("lists-cancel", script("mesh", "true")))
        client.wait(ended, "SUCCESS")
        client.send("PUT", "/workflows/lists-cancel", json=waiting("lists-cancel", gate))
        some = [client.launch("lists-cancel") for _ in range(2)]
        page = visits(service_url).open(f"{LIST}?workflow=lists-cancel")
        live(page)
        ticks(page, ended, *some)
        page.get_by_role("button", name="Cancel 2 executions…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("3 ticked: 2 can be cancelled, 1 has ended")
        assert axe(page) == []
        dialog.get_by_role("button", name="Keep running").click()
        expect(dialog).to_be_hidden()
        page.get_by_role("button", name="Cancel 2 executions…").click()
        dialog.get_by_role("button", name="Cancel 2 executions").click()
        expect(page.get_by_role("status").filter(has_text="2 executions are being")).to_be_visible()
        assert page.url.endswith("?workflow=lists-cancel&page=1")
        for each in some:
            expect(row(page, each).locator(".word")).to_have_text("Cancelled")

    def test_without_scripts_a_page_asks(
        self, client: Client, service_url: str, visits: Visits, gate: Path
    ) -> None:
        one = client.run(waiting("lists-asked", gate))
        page = visits(service_url, java_script_enabled=False).open(f"{LIST}?workflow=lists-asked")
        ticks(page, one)
        page.get_by_role("button", name="Cancel ticked executions").click()
        expect(page.get_by_role("heading", name="Cancel 1 execution?")).to_be_visible()
        page.get_by_role("link", name="Keep running").click()
        ticks(page, one)
        page.get_by_role("button", name="Cancel ticked executions").click()
        page.get_by_role("button", name="Cancel 1 execution").click()
        expect(page.get_by_text("1 execution is being cancelled.")).to_be_visible()
        client.wait(one, "CANCELLED")
        page.get_by_role("link", name="Reload").click()
        expect(row(page, one).locator(".word")).to_have_text("Cancelled")

    def test_one_that_ended_meanwhile_is_told_apart(
        self, client: Client, service_url: str, visits: Visits, gate: Path
    ) -> None:
        """The page is old: what it sends is judged by how things are."""
        one = client.run(waiting("lists-late", gate))
        client.wait(one, "RUNNING")
        page = visits(service_url, java_script_enabled=False).open(f"{LIST}?workflow=lists-late")
        ticks(page, one)
        gate.touch()
        client.wait(one, "SUCCESS")
        page.get_by_role("button", name="Cancel ticked executions").click()
        expect(page.get_by_role("heading", name="1 cannot be cancelled")).to_be_visible()
        assert page.get_by_role("button", name=re.compile("^Cancel")).count() == 0
        expect(page.get_by_role("link", name="Back to the list")).to_be_visible()


def test_what_was_left_running_changes_by_itself(
    accounts: Service, visits: Visits, gate: Path
) -> None:
    ada = accounts.client("ada", ADA)
    ada.upload(waiting("lists-left", gate))
    ada.launch("lists-left")
    page = visits(accounts.url).sign_in("ada", ADA, LIST)
    left = page.get_by_text(re.compile("You left .* running"))
    expect(left).to_be_visible()
    live(page)
    gate.touch()
    expect(left).to_be_hidden()


def test_two_people_at_once(accounts: Service, visits: Visits, gate: Path) -> None:
    """Each sees their own, who runs the service all; nobody is offered what they may not do."""
    of_ada, of_root = Client(accounts.url, ("ada", ADA)), Client(accounts.url, ROOT)
    theirs = of_ada.run(waiting("lists-two", gate))
    own = of_root.launch("lists-two")
    ada, root = visits(accounts.url), visits(accounts.url)
    ada_page = ada.sign_in("ada", ADA, LIST)
    root_page = root.sign_in(*ROOT, LIST)
    expect(row(ada_page, theirs)).to_be_visible()
    expect(row(ada_page, own)).to_have_count(0)
    assert ada_page.get_by_label("Whose").count() == 0
    expect(row(root_page, own)).to_be_visible()
    expect(row(root_page, theirs)).to_have_count(0)
    root_page.get_by_label("Whose").select_option("all")
    expect(row(root_page, theirs).locator(".owner")).to_have_text("ada")
    for page in (ada_page, root_page):
        live(page)
    ticks(root_page, theirs)
    root_page.get_by_role("button", name="Cancel 1 execution").first.click()
    root_page.get_by_role("dialog").get_by_role("button", name="Cancel 1 execution").click()
    expect(row(ada_page, theirs).locator(".word")).to_have_text("Cancelled")
    expect(row(root_page, theirs).locator(".word")).to_have_text("Cancelled")


def test_whatever_people_write_is_text(client: Client, service_url: str, visits: Visits) -> None:
    evil = EVIL.replace("/", "")[:90]
    definition = workflow(
        "lists-evil", script("mesh", f"echo {quote(EVIL)}; exit 2", name=evil), name=evil,
        description=EVIL,
    )  # fmt: skip
    client.upload(definition)
    page = visits(service_url).open("/ui/workflows?q=lists-evil")
    expect(page.locator("td.name a")).to_have_text(evil)
    page.goto(f"{LIST}?workflow=lists-evil")
    live(page)
    body = {"inputs": {}, "name": evil, "labels": {"said": evil}}
    answer = client.send("POST", "/workflows/lists-evil", json=body)
    assert answer.status_code == 201, answer.text
    execution = answer.headers["Location"].rpartition("/")[2]
    page.locator(".count .fresh").click()
    expect(row(page, execution).locator(".says")).to_contain_text("<img src=x")
    expect(row(page, execution).locator(".label")).to_have_text(f"said={evil}")
    row(page, execution).locator(".label").click()
    expect(row(page, execution)).to_be_visible()
    assert page.evaluate("window.taken") is None
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_on_each_screen(
    client: Client, service_url: str, visits: Visits, gate: Path, viewport: dict[str, int]
) -> None:
    bad = client.run(workflow("lists-bad", script("mesh", "echo no licence for 64 cores; exit 2")))
    client.wait(bad, "FAILED")
    client.run(waiting("lists-screen", gate, name="A name that is rather long " * 3))
    visitor = visits(service_url, viewport=viewport)
    page = visitor.page
    for path in ("/ui/workflows", LIST, f"{LIST}?q=nothing", f"{LIST}?since=soon"):
        page.goto(path)
        assert axe(page) == [], path
        assert sideways(page) == 0, path
    visitor.forgive("status of 422")  # of the filter that cannot be used


def test_12400_executions(new_service: Callable[..., Service], visits: Visits) -> None:
    service = new_service().start()
    client = service.client()
    client.wait(client.run(workflow("many", script("a", "true"))), "SUCCESS")
    repeat_executions(service, 12_399)
    page = visits(service.url).open("/ui/workflows")
    expect(page.locator("td.last .word")).to_have_text("Succeeded")
    page.goto(LIST)
    expect(page.locator(".count p").first).to_contain_text("The first 50 of 12,400 executions")
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".count p").first).to_contain_text("51\N{EN DASH}100 of 12,400")
    page.goto(f"{LIST}?page=248")
    expect(page.locator("tbody tr")).to_have_count(50)
    expect(page.get_by_role("link", name="Next")).to_have_count(0)


def repeat_executions(service: Service, number: int) -> None:
    """Put the only execution of a service into its store again and again."""
    database = Database(f"sqlite:///{service.data_dir / 'slipway.db'}")

    def write(connection: Connection) -> None:
        one = dict(connection.execute(select(executions)).mappings().one())
        rows = [
            {**one, "number": one["number"] + n, "id": f"copy-{n}", "awf_name": f"copy-{n}",
             "reference_key": None, "upstream_id": None}
            for n in range(1, number + 1)
        ]  # fmt: skip
        connection.execute(insert(executions), rows)

    database.write(write)
    database.dispose()
