"""The pages of those who run the service, in a real browser: each page, each action, two roles."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.accounts import ADA, ROOT
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.service import Service
from playwright.sync_api import Page, expect

from app.store.database import Database
from app.store.slaves import NewSlave, Slaves

PASSWORD = "long enough for a test"
HOSTILE = '"><img/src="x"/onerror="document.title=1">'
PAGES = ("/ui/system", "/ui/nodes", "/ui/users", "/ui/users/ada", "/ui/audit")
_numbers = itertools.count()

Visits = Callable[..., Visitor]


@pytest.fixture
def root(accounts: Service, visits: Visits) -> Visitor:
    """An admin who has signed in."""
    visitor = visits(accounts.url)
    visitor.sign_in(*ROOT)
    return visitor


# It stands before visitors in tests, so that these are gone before their users are.
@pytest.fixture
def make_user(accounts: Service) -> Iterator[Callable[..., str]]:
    """Add users whose names no other test has; they are removed with the test."""
    client, made = accounts.client(*ROOT), []

    def make(*roles: str, name: str = "") -> str:
        made.append(name or f"page-user-{next(_numbers)}")
        body = {"username": made[-1], "password": PASSWORD, "roles": roles or ("user",)}
        assert client.send("POST", "/users", json=body).status_code == 201
        return made[-1]

    yield make
    for name in made:
        client.send("DELETE", f"/users/{name}")


@pytest.fixture
def slave(accounts: Service) -> str:
    """A slave that has joined, and has gone again."""
    return add_slave(accounts)


def add_slave(service: Service) -> str:
    """Write down a slave as if it had joined; return its id."""
    name = f"page-slave-{next(_numbers)}"
    new = NewSlave(
        id=name, type="worker", address=HOSTILE, capabilities=("http_executor",),
        labels={"zone": HOSTILE}, cpu_cores=1, memory_mb=1, max_vus=1, incarnation=name,
        connection=name,
    )  # fmt: skip
    Slaves(Database(service._database_url)).register(new, 3600.0)
    return name


def says(page: Page, text: str) -> None:
    """Make sure of what a page says of what was just done."""
    expect(page.locator(".banner").filter(has_text=text)).to_be_visible()


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_each_page_is_fit_for_everybody_and_each_screen(
    accounts: Service, visits: Visits, slave: str, viewport: dict[str, int]
) -> None:
    visitor = visits(accounts.url, viewport=viewport)
    visitor.sign_in(*ROOT)
    for path in PAGES:
        page = visitor.open(path)
        if path == "/ui/system":
            expect(page.locator("slip-chart canvas")).to_have_count(6)
        for closed in page.locator("main details").all():
            closed.evaluate("(element) => { element.open = true; }")
        assert axe(page) == [], path
        assert sideways(page) == 0, path


def test_a_system_says_how_it_is_and_draws_the_last_hour(root: Visitor) -> None:
    page = root.open("/ui/system")
    expect(page.locator("#verdict .status").first).to_be_visible()
    expect(page.locator("#orchestrators")).to_contain_text("local")
    expect(page.locator("#processes")).to_contain_text("Conductor")
    expect(page.locator("#signed-in")).to_contain_text("root")
    charts = page.locator("slip-chart")
    expect(charts.locator("canvas")).to_have_count(6)
    first = charts.first
    first.get_by_text("As a table").click()
    expect(first.locator("table tr")).to_have_count(61)
    expect(first.get_by_role("img")).to_be_visible()


def test_a_page_that_stays_open_is_brought_up_to_date_where_nobody_is_at_it(
    accounts: Service, make_user: Callable[..., str], root: Visitor
) -> None:
    page = root.open("/ui/system")
    page.evaluate("window.stays = true")
    name = make_user()
    signed_in = accounts.client(name, PASSWORD).send("POST", "/auth/session")
    assert signed_in.status_code == 201

    def told() -> bool:
        page.get_by_role("link", name="Reload").click()
        page.get_by_text("as of").wait_for()
        return name in page.locator("#signed-in").inner_text()

    _await(page, told)
    assert page.evaluate("window.stays"), "the page was not loaded again"


def test_after_the_session_what_is_shown_stays_and_goes_on_in_the_next_one(
    accounts: Service, make_user: Callable[..., str], visits: Visits
) -> None:
    name = make_user("operator")
    visitor = visits(accounts.url)
    page = visitor.sign_in(name, PASSWORD, "/ui/system")
    ended = accounts.client(name, PASSWORD).send("DELETE", "/sessions")
    assert ended.status_code == 200
    reload = page.get_by_role("link", name="Reload")
    banner = page.get_by_text("Signed out. Sign in to go on")
    _await(page, lambda: reload.click() or banner.is_visible())
    expect(page.locator("#orchestrators")).to_contain_text("local")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(banner).to_be_hidden()
    reload.click()
    expect(page.locator("slip-refresh")).to_contain_text("as of")
    visitor.forgive("status of 401")


def test_a_node_is_drained_and_undrained_where_nobody_signs_in(
    start: Callable[..., Service], visits: Visits
) -> None:
    service = start(LOAD__LEASE="1h")
    name = add_slave(service)
    page = visits(service.url).open("/ui/nodes")
    expect(page.locator("#slaves")).to_contain_text(HOSTILE)
    expect(page.locator("#slaves .status")).to_have_text("Online")
    page.get_by_role("button", name=f"Drain {name}", exact=True).click()
    says(page, f"{name} gets no new work")
    expect(page.locator("#slaves .status")).to_have_text("Draining")
    page.get_by_role("button", name=f"Undrain {name}").click()
    says(page, f"{name} gets new work again")
    expect(page.locator("#slaves .status")).to_have_text("Online")


def test_users_are_added_changed_disabled_and_removed(
    accounts: Service, root: Visitor, visits: Visits
) -> None:
    name = f"added-{next(_numbers)}"
    page = root.open("/ui/users")
    page.get_by_text("Add user…").click()
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Add user").click()
    expect(page.get_by_text("Must be 8 to 1024 characters long")).to_be_visible()
    root.forgive("status of 422")
    assert page.get_by_label("User name").input_value() == name, "what was right stays"
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("checkbox", name="operator").check()
    page.get_by_role("button", name="Add user").click()
    says(page, f"{name} can sign in now")

    member = visits(accounts.url)
    other = member.sign_in(name, PASSWORD, "/ui/nodes")
    expect(other.get_by_role("heading", name="Nodes")).to_be_visible()

    page.get_by_role("checkbox", name="operator").uncheck()
    page.get_by_role("button", name="Change roles").click()
    says(page, f"{name} is user from now on")
    expect(page.get_by_role("heading", name="Sessions").locator("..")).to_contain_text("127.0.0.1")
    member.forgive("status of 401")
    page.get_by_role("button", name=re.compile("Sign out .*, the session of")).click()
    says(page, f"{name} is signed out there")
    _await(other, lambda: "/ui/sign-in" in (other.reload() and other.url))

    page.get_by_text("Disable…").click()
    page.get_by_role("button", name=f"Disable {name}").click()
    says(page, "may not sign in any more")
    page.get_by_role("button", name=f"Enable {name}").click()
    says(page, "may sign in again")
    page.get_by_text("Remove…").click()
    page.get_by_role("button", name=f"Remove {name}").click()
    says(page, f"{name} is no user any more")
    assert page.url == f"{accounts.url}/ui/users"


def test_two_roles_at_once_see_and_may_what_is_theirs(
    accounts: Service, make_user: Callable[..., str], root: Visitor, visits: Visits, slave: str
) -> None:
    name = make_user("operator")
    operator, developer = visits(accounts.url), visits(accounts.url)
    page = operator.sign_in(name, PASSWORD, "/ui/nodes")
    header = page.get_by_role("navigation", name="Pages")
    assert header.get_by_role("link").all_inner_texts()[-2:] == ["Nodes", "System"]
    expect(page.get_by_role("button", name=f"Drain {slave}", exact=True)).to_have_count(1)
    operator.open("/ui/system")
    expect(page.locator("#signed-in")).to_have_count(0)
    for path in ("/ui/users", f"/ui/users/{name}", "/ui/audit"):
        assert page.goto(path).status == 403, path  # type: ignore[union-attr]
    token = page.locator('meta[name="csrf-token"]').get_attribute("content") or ""
    for path, do in (("/ui/users/ada", "disable"), (f"/ui/users/{name}", "roles")):
        assert _post(page, path, {"do": do, "roles": "admin", "csrf_token": token}) == 403
    ada = developer.sign_in("ada", ADA)
    assert not {"Nodes", "Users", "Audit", "System"} & {
        *ada.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts()
    }
    assert ada.goto("/ui/nodes").status == 403  # type: ignore[union-attr]
    for visitor in (operator, developer):
        visitor.forgive("status of 403")

    admin = root.open(f"/ui/audit?user={name}")
    denied = admin.locator(".events li").filter(has_text="users:change")
    expect(denied.first).to_contain_text("Denied")
    admin.goto(f"/ui/users/{name}")
    admin.get_by_text("Disable…").click()
    admin.get_by_role("button", name=f"Disable {name}").click()
    operator.forgive("status of 401")
    _await(page, lambda: "/ui/sign-in" in (page.goto("/ui/system") and page.url))


def test_a_form_without_the_token_of_the_session_does_nothing(
    make_user: Callable[..., str], root: Visitor
) -> None:
    name = make_user()
    page = root.open(f"/ui/users/{name}")
    assert _post(page, f"/ui/users/{name}", {"do": "remove"}) == 403
    root.forgive("status of 403")
    assert page.reload().status == 200  # type: ignore[union-attr]


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_events_are_found_by_filters_in_the_address(
    accounts: Service, make_user: Callable[..., str], visits: Visits, viewport: dict[str, int]
) -> None:
    name = make_user()
    visitor = visits(accounts.url, viewport=viewport)
    page = visitor.sign_in(*ROOT, then="/ui/audit")
    page.get_by_label("Action").fill("users:add")
    page.get_by_label("Target").fill(f"/users/{name}")
    page.get_by_label("Result").select_option("success")
    page.get_by_role("button", name="Filter").click()
    assert "action=users%3Aadd" in page.url
    events = page.locator(".events li")
    expect(events).to_have_count(1)
    events.first.locator("summary").click()
    expect(events.first.locator("dl")).to_contain_text("127.0.0.1")
    events.first.get_by_role("link", name="only this action").click()
    assert page.get_by_label("Action").input_value() == "users:add"
    page.get_by_role("link", name="Clear filters").click()
    assert page.url == f"{accounts.url}/ui/audit"
    page.get_by_label("Since").fill("yesterday")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("Must be a moment such as")).to_be_visible()
    visitor.forgive("status of 422")


def test_hostile_texts_are_text_everywhere(accounts: Service, root: Visitor, slave: str) -> None:
    name = f"evil-{next(_numbers)}<img-src=x-onerror=alert(1)>"
    client = accounts.client(*ROOT)
    body = {"username": name, "password": PASSWORD}
    assert client.send("POST", "/users", json=body).status_code == 201
    client.send("GET", f"/executions/{HOSTILE}")
    for path in ("/ui/users", "/ui/audit", "/ui/nodes", "/ui/system"):
        page = root.open(path)
        assert page.locator("img").count() == 0, path
        assert page.title().endswith("Slipway"), path
    page = root.open("/ui/users")
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    page.get_by_text("Remove…").click()
    page.get_by_role("button", name=f"Remove {name}").click()
    says(page, name)


def test_without_scripts_all_of_it_works(accounts: Service, visits: Visits, slave: str) -> None:
    visitor = visits(accounts.url, java_script_enabled=False)
    page = visitor.sign_in(*ROOT, then="/ui/system")
    expect(page.locator("#verdict .status").first).to_be_visible()
    expect(page.locator("slip-chart").first).to_contain_text("Requests")
    page.goto("/ui/nodes")
    page.get_by_role("button", name=f"Drain {slave}", exact=True).click()
    says(page, f"{slave} gets no new work")
    name = f"plain-{next(_numbers)}"
    page.goto("/ui/users")
    page.get_by_text("Add user…").click()
    page.get_by_label("User name").fill(name)
    page.get_by_role("button", name="Add user").click()
    page.get_by_text("Remove…").click()
    page.get_by_role("button", name=f"Remove {name}").click()
    page.goto("/ui/audit")
    page.get_by_label("Target").fill(f"/users/{name}")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".events li")).to_have_count(2)


def _post(page: Page, path: str, data: dict[str, Any]) -> int:
    """Post a form from within a page, and return the status of the answer."""
    return int(page.evaluate(
        """async ([path, data]) => {
          const body = new URLSearchParams(data);
          return (await fetch(path, {method: "POST", body, redirect: "manual"})).status;
        }""",
        [path, data],
    ))  # fmt: skip


def _await(page: Page, condition: Callable[[], Any]) -> None:
    """Wait until something holds; a browser must be waited for by its own clock."""
    for _ in range(600):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come about in time")
