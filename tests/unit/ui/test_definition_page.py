"""The pages on which definitions are written, as any browser gets them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_kit import Service, basic, open_service, users

from app.errors import FieldError
from app.ui._definition_text import EXAMPLE, faults_of, normal_lines, source_of

TEXT = "id: w   # a comment\nsteps:\n  - {id: a, type: script, config: {script: 'true'}}\n"
FAULTY = TEXT.replace("id: a, ", "id: a, needs: [mehs], ").replace("'true'", "7")
PAGE = "/ui/definitions/w"


@pytest.fixture
def with_users(tmp_path: Path) -> Iterator[Service]:
    """A service where each has roles."""
    service = open_service(tmp_path, api__auth=users())
    yield service
    service.close()


def put(service: Service, text: str = TEXT, **more: Any) -> int:
    answer = service.client.put(
        "/workflows/w", data=text.encode(), content_type="application/yaml", **more
    )
    assert answer.status_code in (200, 201), answer.text
    return int(answer.json["version"])


def text_of(service: Service) -> str:
    return service.client.get("/workflows/w/definition").text


def test_a_new_one_begins_from_an_example_that_is_good(opened: Service) -> None:
    text = opened.client.get("/ui/new-definition").text
    assert "id: my-workflow" in text
    assert "No faults" in text
    answer = opened.client.post("/ui/new-definition", data={"text": EXAMPLE, "do": "upload"})
    assert answer.headers["Location"] == "/ui/definitions/my-workflow"


def test_checking_keeps_nothing_and_loses_nothing(opened: Service) -> None:
    typed = FAULTY.replace("\n", "\r\n") + "</textarea><script>alert(1)</script>"
    answer = opened.client.post("/ui/new-definition", data={"text": typed, "do": "check"})
    assert answer.status_code == 422
    assert "</textarea><script>" not in answer.text
    assert html.escape(typed.replace("\r", ""), quote=False)[:60] in answer.text.replace(
        "&#39;", "'"
    )
    answer = opened.client.post("/ui/new-definition", data={"text": FAULTY, "do": "check"})
    assert "2 faults" in answer.text
    assert 'data-line="3">line 3</a> <code>steps[0].needs[0]</code>' in answer.text
    assert "No faults" in opened.client.post("/ui/new-definition", data={"text": TEXT}).text
    assert opened.client.get("/workflows/w").status_code == 404


def test_the_next_version_keeps_its_text_to_the_byte(opened: Service) -> None:
    put(opened)
    page = opened.client.get(PAGE).text
    assert '<input type="hidden" name="base" value="1"' in page
    sent = {"text": (TEXT + "# ä\n").replace("\n", "\r\n"), "base": "1", "do": "upload"}
    answer = opened.client.post(PAGE, data=sent)
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert text_of(opened) == TEXT + "# ä\n"
    assert opened.client.post(PAGE, data=sent).status_code == 303, "sent twice, it is there"
    versions = opened.client.get("/workflows/w/versions").json["versions"]
    assert [each["version"] for each in versions] == [2, 1]


def test_nobody_overwrites_what_they_have_not_seen(opened: Service) -> None:
    put(opened)
    put(opened, TEXT + "# theirs\n")
    sent = {"text": TEXT + "# mine\n", "base": "1", "do": "upload"}
    answer = opened.client.post(PAGE, data=sent)
    assert answer.status_code == 409
    assert "What they changed" in answer.text
    assert '<span class="come">+# theirs' in answer.text
    assert '<span class="gone">-# theirs' in answer.text
    assert "# mine\n</textarea>" in answer.text
    assert "Upload over version 2" in answer.text
    assert text_of(opened).endswith("# theirs\n")
    assert opened.client.post(PAGE, data={**sent, "base": "2"}).status_code == 303
    assert text_of(opened).endswith("# mine\n")


def test_an_id_that_is_taken_is_told(opened: Service) -> None:
    put(opened)
    sent = {"text": TEXT + "# another\n", "do": "upload"}
    answer = opened.client.post("/ui/new-definition", data=sent)
    assert answer.status_code == 409
    assert f'href="{PAGE}"' in answer.text
    same = opened.client.post("/ui/new-definition", data={"text": TEXT, "do": "upload"})
    assert same.headers["Location"] == PAGE


def test_a_text_for_another_workflow_is_refused(opened: Service) -> None:
    put(opened)
    sent = {"text": TEXT.replace("id: w", "id: x"), "base": "1", "do": "upload"}
    answer = opened.client.post(PAGE, data=sent)
    assert answer.status_code == 422
    assert "must be &#39;w&#39;, which it is to replace" in answer.text


def test_versions_are_listed_opened_and_compared(opened: Service) -> None:
    put(opened)
    put(opened, TEXT.replace("true", "<false>"))
    assert "'true'" in html.unescape(opened.client.get(f"{PAGE}?version=1").text)
    for query in ("", "?before=1&after=2", "?before=1"):
        text = opened.client.get(f"{PAGE}/diff{query}").text
        assert (
            '<span class="come">+  - {id: a, type: script, config: {script: &#39;&lt;false' in text
        )
    assert "Nothing differs" in opened.client.get(f"{PAGE}/diff?before=2&after=2").text
    assert opened.client.get(f"{PAGE}?version=9").status_code == 404
    assert opened.client.get("/ui/definitions/none").status_code == 404


def test_the_orchestrator_that_was_chosen_is_carried_to_every_page(opened: Service) -> None:
    put(opened)
    put(opened, TEXT.replace("true", "false"))
    chosen = "orchestrator=local"
    for page in (PAGE, f"{PAGE}/diff", f"{PAGE}/remove", "/ui/workflows/w/graph"):
        text = html.unescape(opened.client.get(f"{page}?{chosen}").text)
        main = text[text.index("<main") :]
        links = re.findall(r'(?:href|action)="(/ui/(?:definitions|workflows)/[^"]*)"', main)
        assert links
        assert [link for link in links if chosen not in link] == []
        plain = html.unescape(opened.client.get(page).text)
        assert "orchestrator=" not in plain[plain.index("<main") :]
    for path in (f"{PAGE}/diff?{chosen}&before=1", f"{PAGE}?{chosen}&version=1"):
        assert opened.client.get(path).status_code == 200
    assert 'name="orchestrator" value="local"' in opened.client.get(f"{PAGE}/diff?{chosen}").text


def test_one_is_removed_once_that_is_confirmed(opened: Service) -> None:
    put(opened)
    assert "Remove w?" in opened.client.get(f"{PAGE}/remove").text
    answer = opened.client.post(f"{PAGE}/remove")
    assert answer.headers["Location"] == "/ui/definitions"
    assert opened.client.get("/workflows/w").status_code == 404


def test_what_is_in_a_file_is_read_only(opened: Service) -> None:
    (opened.settings.workflows_dir / "w.yaml").write_text(TEXT)
    page = opened.client.get(PAGE).text
    assert "folder of workflows" in page
    assert "readonly" in page
    assert "Upload next version" not in page
    assert "# a comment" in opened.client.get("/ui/new-definition?from=w").text
    assert "No versions are kept" in opened.client.get(f"{PAGE}/diff").text
    answer = opened.client.post(f"{PAGE}/remove")
    assert answer.status_code == 409
    assert "It was not removed" in answer.text


def test_faults_of_files_are_listed(opened: Service) -> None:
    (opened.settings.workflows_dir / "bad.yaml").write_text("id: <b>\n")
    text = opened.client.get("/ui/definitions").text
    assert "bad.yaml" in text
    assert "<b>" not in text


def test_a_long_list_has_pages_and_is_searched(opened: Service) -> None:
    for number in range(102):
        path = opened.settings.workflows_dir / f"w{number}.yaml"
        path.write_text(TEXT.replace("id: w", f"id: w{number:03}"))
    first = opened.client.get("/ui/definitions").text
    assert "Page 1 of 2, 102 in all" in first
    assert "w101" not in first
    assert "w101" in opened.client.get("/ui/definitions?page=2").text
    assert "Page 2 of 2, 102 in all" in opened.client.get("/ui/definitions?page=9").text
    assert "w007" not in opened.client.get("/ui/definitions?q=W101").text
    assert "No definition has “&lt;b&gt;”" in opened.client.get("/ui/definitions?q=<b>").text


def test_checks_while_somebody_types_are_a_part_of_the_page(opened: Service) -> None:
    answer = opened.client.post("/ui/check-definition", data={"text": FAULTY})
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<div id="checked">')
    assert "2 faults" in answer.text
    good = opened.client.post("/ui/check-definition", data={"text": TEXT}).text
    assert 'data-name="a"' in good


def test_whose_it_is_decides_who_may_change_it(with_users: Service) -> None:
    client, dev = with_users.client, basic("dev", "dev")
    put(with_users, headers=dev)
    assert client.get(PAGE, headers=basic("ada", "ada's pass")).status_code == 403
    page = client.get(PAGE, headers=dev).text
    assert "Upload next version" in page
    root = client.get(PAGE, headers=basic("root", "r")).text
    assert "Upload next version" in root


def test_faults_have_lines() -> None:
    found = faults_of([FieldError("a", "is bad (line 7)"), FieldError("", "is empty")])
    assert [(each.line, each.place, each.message) for each in found] == [
        (None, "", "is empty"),
        (7, "a", "is bad"),
    ]


@pytest.mark.parametrize(
    ("text", "type_"),
    [(TEXT, "yaml"), ('{"id": "a"}', "json"), ("{id: a}", "yaml"), ("{" * 9000, "yaml")],
)
def test_a_text_is_sent_as_what_it_is(text: str, type_: str) -> None:
    assert source_of(text).media_type == f"application/{type_}"


def test_ends_of_lines_are_those_of_definitions() -> None:
    assert normal_lines("a\r\nb\rc\n") == "a\nb\nc\n"
