"""Launching a workflow from a browser."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.accounts import ADA
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.people import COMMAND, bare
from kit.service import Service
from playwright.sync_api import Page, expect

EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}'
FLOW = {
    "id": "paged",
    "name": f"Paged {EVIL}".replace("/", ""),
    "description": EVIL,
    "inputs": {
        "cells": {"type": "integer", "required": True, "minimum": 1, "maximum": 1000000,
                  "description": EVIL},
        "tolerance": {"type": "number", "default": 0.001, "exclusiveMinimum": 0},
        "solver": {"type": "string", "enum": ["simple", "piso", EVIL], "default": "simple"},
        "scheme": {"type": "string", "enum": list("abcdef"), "required": False},
        "regions": {"type": "array", "items": {"type": "string"}, "default": ["inlet", EVIL]},
        "limits": {"type": "object", "required": False},
        "note": {"type": "string", "required": False},
        "title": {"type": "string", "required": True, "maxLength": 60},
        "verbose": {"type": "boolean", "required": False},
    },
    "steps": [{"id": "say", "type": "script", "config": {"script": "true"}}],
}  # fmt: skip
PAGE = "/ui/workflows/paged"


@pytest.fixture
def paged(service: Service) -> Service:
    """The shared service with a workflow that takes inputs of each type."""
    service.client().send("PUT", "/workflows/paged", json=FLOW)
    return service


def launch(page: Page) -> str:
    """Launch, and return the id of what was launched."""
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url(re.compile(r"/ui/executions/[^/]+$"))
    return page.url.rpartition("/")[2]


def fill(page: Page, **texts: str) -> None:
    for name, text in texts.items():
        page.get_by_label(name, exact=True).fill(text)


def inputs_of(service: Service, execution: str) -> dict[str, Any]:
    return service.client().get(f"/executions/{execution}")["inputs"]  # type: ignore[no-any-return]


def number_of(service: Service) -> int:
    return len(service.client().get("/executions", page_size=1000)["executions"])


def forgive(visitor: Visitor) -> None:
    visitor.forgive(r"status of (404|422)")


def test_inputs_of_every_type(paged: Service, visits: Callable[..., Visitor]) -> None:
    visitor = visits(paged.url)
    page = visitor.open(PAGE)
    fill(page, cells="20000", tolerance="1e-5", title="it's")
    page.get_by_label("piso").check()
    page.get_by_label("scheme", exact=True).select_option("c")
    page.get_by_label("regions").fill('[\n  "inlet"\n]')
    page.get_by_label("limits").fill('{"a": [1, null]}')
    page.get_by_label("false").check()
    assert inputs_of(paged, launch(page)) == {
        "cells": 20000, "tolerance": 1e-05, "solver": "piso", "scheme": "c",
        "regions": ["inlet"], "limits": {"a": [1, None]}, "title": "it's", "verbose": False,
    }  # fmt: skip
    forgive(visitor)


def test_faults_beside_fields_and_what_was_typed_stays(
    paged: Service, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(paged.url)
    page = visitor.open(PAGE)
    fill(page, cells="2000000", tolerance="0", regions='["inlet",\n]', title="x" * 61)
    before = number_of(paged)
    page.get_by_role("button", name="Launch", exact=True).click()
    summary = page.locator("#faults")
    expect(summary).to_contain_text("4 fields need a look")
    expect(summary).to_be_focused()
    summary.get_by_role("link", name="cells").click()
    cells = page.get_by_label("cells", exact=True)
    expect(cells).to_be_focused()
    expect(cells).to_have_value("2000000")
    expect(cells).to_have_accessible_description(re.compile("Must be at most 1000000"))
    for text in ("Must be greater than 0", "Line 2, column 1: a value was expected",
                 "Must have at most 60 characters"):  # fmt: skip
        expect(page.locator("#launch")).to_contain_text(text)
    assert axe(page) == []
    assert number_of(paged) == before
    fill(page, cells="2", tolerance="1", regions="[]", title="x")
    launch(page)
    forgive(visitor)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_double_click_launches_once(
    paged: Service, visits: Callable[..., Visitor], scripts: bool
) -> None:
    visitor = visits(paged.url, java_script_enabled=scripts)
    page = visitor.open(PAGE)
    fill(page, cells="1", title="once")
    before = number_of(paged)
    page.get_by_role("button", name="Launch", exact=True).dblclick()
    page.wait_for_url(re.compile("/ui/executions/"))
    assert number_of(paged) == before + 1
    forgive(visitor)


def test_going_back_and_changing_something_launches_another_one(
    paged: Service, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(paged.url)
    page = visitor.open(PAGE)
    fill(page, cells="1", title="first")
    one = launch(page)
    page.go_back()
    fill(page, cells="2", title="second")
    other = launch(page)
    assert one != other
    assert inputs_of(paged, other)["cells"] == 2
    forgive(visitor)


def test_going_back_and_sending_the_same_again_launches_nothing(
    paged: Service, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(paged.url)
    page = visitor.open(PAGE)
    fill(page, cells="1", title="once", note="typed")
    one = launch(page)
    page.go_back()
    expect(page.get_by_label("title", exact=True)).to_have_value("once")
    assert launch(page) == one
    expect(page.get_by_text("This form launched it already")).to_be_visible()
    visitor.open(PAGE)
    fill(page, cells="1", title="once")
    assert launch(page) != one
    forgive(visitor)


def test_not_set_is_another_thing_than_empty(
    paged: Service, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(paged.url)
    page = visitor.open(PAGE)
    mode = page.get_by_label("note: set or not")
    expect(mode).to_have_value("unset")
    fill(page, cells="1", title="a")
    assert "note" not in inputs_of(paged, launch(page))
    page = visitor.open(PAGE)
    fill(page, cells="1", title="a", note="typed")
    expect(mode).to_have_value("text")
    page.get_by_label("note", exact=True).fill("")
    assert inputs_of(paged, launch(page))["note"] == ""
    page = visitor.open(PAGE)
    fill(page, cells="1")
    page.get_by_role("button", name="Launch", exact=True).click()
    page.get_by_label("Launch with an empty text").check()
    assert inputs_of(paged, launch(page))["title"] == ""
    forgive(visitor)


def test_the_same_as_an_earlier_run_with_one_change(
    paged: Service, visits: Callable[..., Visitor]
) -> None:
    exact = {"cells": 3, "note": " two\nlines ", "title": EVIL[:50], "regions": ["a", "b"],
             "solver": EVIL, "verbose": True, "tolerance": 1e-7}  # fmt: skip
    earlier = paged.client().launch("paged", exact)
    had = inputs_of(paged, earlier)
    visitor = visits(paged.url)
    page = visitor.open(PAGE)
    page.get_by_label("Same as run").select_option(earlier)
    page.get_by_role("button", name="Fill in").click()
    expect(page.get_by_label("note", exact=True)).to_have_value(" two\nlines ")
    assert page.locator(".changed:visible").count() == 0
    page.get_by_label("cells", exact=True).fill("4")
    expect(page.locator(".changed:visible")).to_have_text(f"Changed: {earlier[:8]} had 3")
    assert axe(page) == []
    page.get_by_label("cells", exact=True).fill("3")
    assert page.locator(".changed:visible").count() == 0
    assert inputs_of(paged, launch(page)) == had
    page = visitor.open(f"{PAGE}?like={earlier}")
    page.get_by_label("cells", exact=True).fill("4")
    assert inputs_of(paged, launch(page)) == {**had, "cells": 4}
    forgive(visitor)


def test_the_commands_that_are_shown_do_the_same(
    paged: Service, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    visitor = visits(paged.url)
    page = visitor.open(PAGE)
    note = "@it's $HOME\n`id`"
    earlier = paged.client().launch("paged", {"cells": 1, "title": "x", "note": note})
    page = visitor.open(f"{PAGE}?like={earlier}")
    fill(page, cells="77", title='a "b" \\ é')
    page.get_by_text("Name and labels").click()
    page.get_by_label("Name", exact=True).fill("night 4")
    commands = page.locator("#commands code")
    expect(commands.first).to_contain_text("night 4")
    slipway, curl = (text.strip() for text in commands.all_inner_texts())
    wanted = {**inputs_of(paged, earlier), "cells": 77, "title": 'a "b" \\ é'}
    shim = tmp_path / "slipway"
    shim.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    shim.chmod(0o755)
    env = bare(tmp_path, {"SLIPWAY_URL": paged.url})
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    for command in (slipway, curl):
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, env=env, check=True
        )
        newest = paged.client().get("/executions", page_size=1)["executions"][0]
        assert newest["id"] in done.stdout
        assert newest["name"] == "night 4"
        assert inputs_of(paged, newest["id"]) == wanted
        paged.client().send("DELETE", f"/executions/{newest['id']}")
    visitor.forgive("status of 404")


def test_somebody_who_signed_in_launches_and_copies(
    accounts: Service, visits: Callable[..., Visitor]
) -> None:
    accounts.client().send("PUT", "/workflows/paged", json=FLOW)
    visitor = visits(accounts.url)
    page = visitor.sign_in("ada", ADA, then=PAGE)
    fill(page, cells="9", title="hers")
    curl = page.locator("#commands code").nth(1)
    expect(curl).to_contain_text('"cells": 9')
    expect(curl).to_contain_text("-u ada")
    execution = launch(page)
    seen = accounts.client().get(f"/executions/{execution}")
    assert (seen["owner"], seen["inputs"]["title"]) == ("ada", "hers")
    forgive(visitor)


def test_without_scripts_all_of_it_works(paged: Service, visits: Callable[..., Visitor]) -> None:
    visitor = visits(paged.url, java_script_enabled=False)
    page = visitor.open(PAGE)
    fill(page, cells="0", title="plain", note="without choosing")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.locator("#faults")).to_contain_text("One field needs a look", ignore_case=True)
    fill(page, cells="5")
    execution = launch(page)
    assert inputs_of(paged, execution)["note"] == "without choosing"
    page = visitor.open(PAGE)
    page.get_by_label("Same as run").select_option(execution)
    page.get_by_role("button", name="Fill in").click()
    expect(page.get_by_label("cells", exact=True)).to_have_value("5")
    expect(page.locator("#commands")).to_contain_text("-i cells=5")
    forgive(visitor)


@pytest.mark.parametrize("viewport", [DESK, PHONE])
def test_it_fits_each_screen_and_holds_no_html_of_others(
    paged: Service, visits: Callable[..., Visitor], viewport: dict[str, int]
) -> None:
    page = visits(paged.url, viewport=viewport).open(PAGE)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    assert sideways(page) == 0
    assert axe(page) == []
    assert page.locator("main img, main script").count() == 0
    expect(page.get_by_role("heading", level=1)).to_have_text(FLOW["name"])  # type: ignore[arg-type]
    button = page.get_by_role("button", name="Launch", exact=True)
    if viewport == PHONE:
        expect(button).to_be_in_viewport()
        expect(page.locator("#commands")).to_be_hidden()
    assert json.loads(page.get_by_label("regions").input_value()) == ["inlet", EVIL]
