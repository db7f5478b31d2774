"""Writing definitions in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.service import Service
from playwright.sync_api import expect

EVIL = "<img src=x onerror=alert(1)>"
TEXT = f"""id: edited
name: Edited
description: "{EVIL}"
steps:
  - id: mesh
    type: script
    config: {{script: "true"}}
  - id: solve
    type: script
    needs: [mesh]
    config: {{script: "true"}}
"""
PAGE = "/ui/definitions/edited"


@pytest.fixture
def edited(service: Service) -> Service:
    """The shared service with a definition that was uploaded."""
    upload(service, TEXT)
    return service


def upload(service: Service, text: str) -> None:
    service.client().send(
        "PUT", "/workflows/edited", data=text.encode(),
        headers={"Content-Type": "application/yaml"},
    )  # fmt: skip


def text_of(service: Service, name: str = "edited") -> str:
    return str(service.client().send("GET", f"/workflows/{name}/definition").text)


def test_faults_stand_at_their_lines_as_one_types(
    edited: Service, visits: Callable[..., Visitor]
) -> None:
    page = visits(edited.url).open(PAGE)
    text = page.get_by_label("Text of the definition")
    expect(page.locator("#outcome")).to_contain_text("No faults")
    expect(page.locator(".graph-node")).to_have_count(2)
    text.fill(TEXT.replace("needs: [mesh]", f"needs: ['{EVIL}']"))
    faults = page.locator(".text-faults li")
    expect(faults).to_have_count(1)
    expect(faults).to_contain_text(f"there is no step '{EVIL}'")
    expect(page.locator(".gutter .mark")).to_have_count(1)
    assert page.locator("main img").count() == 0
    assert axe(page) == []
    page.get_by_role("link", name="line 10").click()
    expect(text).to_be_focused()
    chosen = "e => e.value.slice(e.selectionStart, e.selectionEnd)"
    assert text.evaluate(chosen).strip() == f"needs: ['{EVIL}']"
    text.fill(TEXT)
    expect(page.locator("#outcome")).to_contain_text("No faults")
    expect(page.locator(".gutter .mark")).to_have_count(0)


def test_a_new_one_is_uploaded_and_the_next_version_compared(
    service: Service, visits: Callable[..., Visitor]
) -> None:
    page = visits(service.url).open("/ui/definitions")
    page.get_by_role("link", name="New definition").click()
    text = page.get_by_label("Text of the definition")
    assert "id: my-workflow" in text.input_value()
    text.fill("id: fresh\n" + TEXT.split("\n", 1)[1])
    page.get_by_role("button", name="Upload").click()
    page.get_by_text("Version 1 is offered now.").wait_for()
    assert page.locator("#draft").is_hidden()
    text.fill(text.input_value() + "# more\n")
    page.get_by_role("button", name="Upload next version").click()
    page.get_by_text("Version 2 is offered now.").wait_for()
    assert text_of(service, "fresh").endswith("\n# more\n")
    page.get_by_role("link", name="Compare versions").click()
    expect(page.locator(".text-diff .come")).to_have_text(re.compile(r"^\+# more"))
    assert axe(page) == []
    page.get_by_role("link", name="Edited").click()
    page.get_by_role("link", name="Remove definition…").click()
    assert axe(page) == []
    page.get_by_role("button", name="Remove definition").click()
    page.get_by_text("Edited is removed.").wait_for()


def test_who_was_slower_sees_what_the_other_changed(
    edited: Service, visits: Callable[..., Visitor]
) -> None:
    slower, faster = visits(edited.url), visits(edited.url)
    mine, theirs = slower.open(PAGE), faster.open(PAGE)
    for page, line in ((mine, "# mine\n"), (theirs, "# theirs\n")):
        page.get_by_label("Text of the definition").fill(TEXT + line)
    theirs.get_by_role("button", name="Upload next version").click()
    theirs.get_by_text("is offered now.").wait_for()
    mine.get_by_role("button", name="Upload next version").click()
    expect(mine.locator("#conflict")).to_contain_text("Nothing was uploaded.")
    expect(mine.locator(".text-diff").first).to_contain_text("+# theirs")
    assert axe(mine) == []
    assert mine.get_by_label("Text of the definition").input_value() == TEXT + "# mine\n"
    assert text_of(edited).endswith("# theirs\n")
    mine.get_by_role("button", name="Upload over version").click()
    mine.get_by_text("is offered now.").wait_for()
    assert text_of(edited).endswith("# mine\n")
    slower.forgive("status of 409")


def test_a_draft_is_kept_until_it_is_uploaded_or_thrown_away(
    edited: Service, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(edited.url)
    page = visitor.open(PAGE)
    warned: list[str] = []
    page.on("dialog", lambda dialog: (warned.append(dialog.type), dialog.accept()))
    text = page.get_by_label("Text of the definition")
    text.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("# draft")
    page.goto("/ui/account")
    assert warned == ["beforeunload"]
    page.goto(PAGE)
    expect(page.locator("#draft")).to_contain_text("Your draft was kept")
    assert text.input_value() == TEXT + "# draft"
    assert axe(page) == []
    page.get_by_role("button", name="Throw it away").click()
    assert text.input_value() == TEXT
    page.reload()
    expect(page.locator("slip-editor.numbered")).to_be_visible()
    assert page.locator("#draft").is_hidden()


def test_the_keyboard_gets_in_and_out(edited: Service, visits: Callable[..., Visitor]) -> None:
    page = visits(edited.url).open(PAGE)
    page.on("dialog", lambda dialog: dialog.accept())
    text = page.get_by_label("Text of the definition")
    expect(page.locator("slip-editor.numbered")).to_be_visible()
    text.focus()
    page.keyboard.press("Control+Home")
    page.keyboard.press("Tab")
    assert text.input_value().startswith("  id: edited")
    expect(text).to_be_focused()
    page.keyboard.press("Control+Z")
    assert text.input_value() == TEXT
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(text).not_to_be_focused()


def test_without_scripts_it_is_checked_by_a_button(
    edited: Service, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(edited.url, java_script_enabled=False)
    page = visitor.open(PAGE)
    text = page.get_by_label("Text of the definition")
    text.fill(TEXT.replace("needs: [mesh]", "needs: [mehs]"))
    page.get_by_role("button", name="Check").click()
    expect(page.locator(".text-faults")).to_contain_text("line 10")
    assert "mehs" in text.input_value()
    text.fill(TEXT + "# plain\n")
    page.get_by_role("button", name="Upload next version").click()
    page.get_by_text("is offered now.").wait_for()
    assert text_of(edited).endswith("# plain\n")
    visitor.forgive("status of 422")


@pytest.mark.parametrize("viewport", [DESK, PHONE])
def test_the_editor_fits_each_screen(
    edited: Service, visits: Callable[..., Visitor], viewport: dict[str, int]
) -> None:
    page = visits(edited.url, viewport=viewport).open(PAGE)
    expect(page.locator("slip-editor.numbered")).to_be_visible()
    preview = page.locator(".preview")
    expect(preview.get_by_text("Graph", exact=True)).to_be_visible()
    assert preview.evaluate("(each) => each.open") is (viewport == DESK), "it is folded on a phone"
    assert sideways(page) == 0
    assert axe(page) == []
    preview.evaluate("(each) => { each.open = true; }")
    expect(preview.locator(".graph-node").first).to_be_visible()
    assert sideways(page) == 0
    page.goto("/ui/definitions")
    assert sideways(page) == 0
    assert axe(page) == []
    assert page.locator("main img").count() == 0
