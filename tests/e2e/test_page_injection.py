"""Texts that would like to be a program: on every page that there is, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from kit.accounts import ROOT
from kit.page_contents import EVIL, Contents, fill
from kit.pages import Visitor
from kit.patience import await_that
from kit.service import Service
from playwright.sync_api import Page, expect

from app.services.key_requests import TEST
from app.store.database import Database
from app.store.operations import Operations
from app.store.slaves import NewSlave, Slaves
from app.ui import DIALECT

EVIL_NAME = "evil<img/src=x/onerror=window.taken=1>"
TERMINAL = (
    "\x1b]0;taken\x07\x1b]8;;javascript:window.taken=1\x1b\\click\x1b]8;;\x1b\\"
    "\x1b[2J\x1b[31;1mred\x1b[0m\x1b[38;2;1;2;3;url(x)m \u202eyrotsih\u2066 \x00\x9b5m\rover"
)
LOUD = {
    "id": "loud", "name": EVIL[:60], "description": EVIL,
    "inputs": {
        "choice": {"type": "string", "enum": [EVIL, "plain"], "default": EVIL, "description": EVIL},
        "lines": {"type": "array", "default": [EVIL], "description": EVIL},
        "pair": {"type": "object", "default": {EVIL: EVIL}},
    },
    "outputs": {"said": {"value": "${{ inputs.choice }}", "description": EVIL}},
    "steps": [{
        "id": "shout", "type": "script", "description": EVIL, "retries": 1,
        "config": {"shell": "python3",
                   "script": f"print({TERMINAL!r})\nprint({EVIL!r})\nraise SystemExit({EVIL!r})"},
    }],
}  # fmt: skip
FAULTY = f"id: x\nname: [\n{EVIL}: {{ {EVIL}"


@dataclass
class Hostile:
    """A service that is full of it.

    Attributes:
        pages: Addresses, for each rule of the page's.
    """

    service: Service
    contents: Contents
    loud: str
    pages: dict[str, list[str]]


@pytest.fixture(scope="module")
def hostile(accounts: Service) -> Iterator[Hostile]:
    client = accounts.client(*ROOT)
    contents = fill(client, EVIL)
    client.upload(LOUD)
    named = {"inputs": {}, "name": EVIL, "labels": {"team": EVIL}}
    answer = client.send("POST", "/workflows/loud", json=named)
    assert answer.status_code == 201, answer.text
    loud = answer.headers["Location"].rpartition("/")[2]
    client.wait(loud)
    client.send("POST", "/users", json={"username": EVIL_NAME, "password": "a long password"})
    strange = {"User-Agent": EVIL, "X-Request-ID": EVIL, "Referer": f"javascript:{EVIL}"}
    client.send("POST", "/auth/session", headers=strange)
    client.send("GET", f"/executions/{quote(EVIL, safe='')}", headers=strange)
    client.send("POST", "/ui/sign-in", data={"username": EVIL, "password": EVIL})
    node = f"node-{EVIL_NAME}"
    new = NewSlave(
        id=node, type="worker", address=EVIL, capabilities=(EVIL,), labels={"zone": EVIL},
        cpu_cores=1, memory_mb=1, max_vus=1, incarnation=EVIL, connection=EVIL,
    )  # fmt: skip
    database = Database(accounts._database_url)
    Slaves(database).register(new, 3600.0)
    key = client.get("/ssh_keys")["ssh_keys"][0]["id"]
    asked = Operations(database).file(TEST, ROOT[0], EVIL, {"key": key, "cluster": EVIL}, 9)
    ended = f"/operations/{asked.id}?wait=20s"
    await_that(lambda: client.get(ended)["state"] == "FAILED", "there is no such cluster")
    pages = addresses(contents, loud, f"/ui/keys/{key}", f"/ui/operations/{asked.id}")
    yield Hostile(accounts, contents, loud, pages)
    client.cancel(contents.running)
    client.send("DELETE", f"/users/{quote(EVIL_NAME, safe='')}")


def addresses(contents: Contents, loud: str, key: str, operation: str) -> dict[str, list[str]]:
    """Return addresses of each page, with hostile texts in the parameters that it shows."""
    evil = quote(EVIL, safe="")
    runs = [loud, contents.bad, contents.good, contents.running]

    def of(end: str = "") -> list[str]:
        return [f"/ui/executions/{run}{end}" for run in runs]

    execution = "/ui/executions/<string:execution_id>"
    definition = "/ui/definitions/<string:reference>"
    workflow = "/ui/workflows/<string:reference>"
    return {
        "/ui/": ["/ui/"],
        "/ui/account": ["/ui/account"],
        "/ui/account/api_keys": ["/ui/account/api_keys"],
        "/ui/account/api_keys/<string:key_id>/revoke": [f"/ui/account/api_keys/{evil}/revoke"],
        "/ui/account/api_keys/new": ["/ui/account/api_keys/new"],
        "/ui/account/sessions/end": ["/ui/account/sessions/end"],
        "/ui/audit": ["/ui/audit", f"/ui/audit?target={evil}&actor={evil}&since={evil}"],
        "/ui/definitions": ["/ui/definitions", f"/ui/definitions?q={evil}"],
        definition: ["/ui/definitions/loud", f"/ui/definitions/{evil}"],
        f"{definition}/diff": [f"/ui/definitions/loud/diff?base={evil}"],
        f"{definition}/remove": ["/ui/definitions/loud/remove"],
        "/ui/executions": ["/ui/executions", f"/ui/executions?workflow={evil}&since={evil}"],
        execution: [*of(), f"/ui/executions/{evil}"],
        f"{execution}/abandon": of("/abandon")[:1],
        f"{execution}/cancel": of("/cancel")[3:],
        f"{execution}/compare/<string:other_id>": of(f"/compare/{contents.good}")[:2],
        f"{execution}/graph": of("/graph"),
        f"{execution}/log": [*of("/log"), *of(f"/log?find={evil}&task={evil}")],
        f"{execution}/log/text": [],  # no page; see below
        f"{execution}/purge": of("/purge")[:1],
        f"{execution}/scale": of("/scale")[3:],
        f"{execution}/timeline": of("/timeline"),
        "/ui/keys": ["/ui/keys"],
        "/ui/keys/<string:key_id>/revoke": [f"/ui/keys/{evil}/revoke"],
        "/ui/keys/<string:key_id>/rotate": [f"{key}/rotate", f"/ui/keys/{evil}/rotate"],
        "/ui/keys/<string:key_id>/test": [f"{key}/test?orchestrator={evil}"],
        "/ui/keys/new": ["/ui/keys/new"],
        "/ui/new-definition": ["/ui/new-definition"],
        "/ui/nodes": ["/ui/nodes"],
        "/ui/operations/<string:operation_id>": [operation, f"/ui/operations/{evil}"],
        "/ui/sign-in": [f"/ui/sign-in?next={evil}"],
        "/ui/signed-out": ["/ui/signed-out"],
        "/ui/system": ["/ui/system"],
        "/ui/users": ["/ui/users"],
        "/ui/users/<path:username>": [f"/ui/users/{quote(EVIL_NAME, safe='')}"],
        "/ui/workflows": ["/ui/workflows", f"/ui/workflows?q={evil}"],
        workflow: ["/ui/workflows/loud", f"/ui/workflows/loud?like={loud}", f"/ui/workflows/{evil}",
                   "/ui/workflows/mesh-and-solve"],
        f"{workflow}/graph": ["/ui/workflows/loud/graph"],
    }  # fmt: skip


def rules() -> set[str]:
    """Return what the page has addresses for, without its assets."""
    app = Flask("rules", static_folder=None)
    for number, blueprint in enumerate(DIALECT.blueprints):
        app.register_blueprint(blueprint, url_prefix=DIALECT.prefix, name=f"b{number}")
    return {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in rule.methods and "/assets/" not in rule.rule
    }


def foreign(page: Page) -> Any:
    """Return what stands in a page that none of its templates and scripts has put there."""
    return page.evaluate("""() => {
      const found = [...document.querySelectorAll("img, script:not([src]), iframe, [onerror]")];
      const links = [...document.querySelectorAll("a[href]")]
        .map((link) => new URL(link.getAttribute("href"), document.baseURI).protocol);
      const strange = links.filter((each) => !["http:", "https:", "blob:"].includes(each));
      return [...found.map((each) => each.outerHTML), ...strange,
              ...(window.taken ? ["taken"] : []), ...(document.title === "taken" ? ["title"] : [])];
    }""")


def test_nothing_that_is_shown_runs(hostile: Hostile, visits: Callable[..., Visitor]) -> None:
    assert set(hostile.pages) == rules(), "say in addresses() where each page is"
    visitor = visits(hostile.service.url, user_agent=f"Mozilla/5.0 {EVIL} Firefox/1")
    visitor.sign_in(*ROOT)
    notice = quote(json.dumps(["bad", EVIL]))
    wrong = {}
    for path in [path for found in hostile.pages.values() for path in found]:
        cookie = {"name": "slipway_notice", "value": notice, "url": hostile.service.url}
        visitor.context.add_cookies([cookie])
        page = visitor.open(path)
        for closed in page.locator("main details").all():
            closed.evaluate("(element) => { element.open = true; }")
        page.wait_for_load_state("load")
        page.wait_for_timeout(100)
        found = foreign(page)
        if found:
            wrong[path] = found
        assert "[object Object]" not in page.locator("main").inner_text(), path
    visitor.forgive("status of 4")
    assert not wrong


def test_what_a_log_says_to_a_terminal_is_said_to_nobody(
    hostile: Hostile, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(hostile.service.url)
    page = visitor.sign_in(*ROOT, then=f"/ui/executions/{hostile.loud}/log")
    expect(page.locator("main")).to_contain_text("window.taken")
    assert "\u202e" not in page.locator("main").inner_text()
    assert foreign(page) == []
    answer = page.goto(f"/ui/executions/{hostile.loud}/log/text")
    assert answer is not None
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_faulty_definition_says_its_faults_as_text(
    hostile: Hostile, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(hostile.service.url)
    page = visitor.sign_in(*ROOT, then="/ui/new-definition")
    page.locator("textarea").first.fill(FAULTY)
    page.wait_for_timeout(1500)
    assert foreign(page) == []
    with page.expect_navigation():
        page.get_by_role("button", name="Upload").first.click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert foreign(page) == []
    visitor.forgive("status of 422")
