"""``/ui/audit``: who did what, found by filters that stand in the address."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admin_kit import HOSTILE, ask, escaped

from app.domain import AuditEvent, AuditResult
from app.store.audit import AuditLog
from app.store.execution_rows import now


@pytest.fixture
def record(guarded):
    """Return a function that writes an event down."""

    def write(action="keys:write", result=AuditResult.SUCCESS, **more):
        event = AuditEvent(action, result, **{"target": "/ssh_keys", "username": "ada", **more})
        AuditLog(guarded.web.database).add([event], durable=False)

    return write


@pytest.mark.parametrize("name", ["ada", "dev", "ops"])
def test_it_is_for_who_may_read_the_audit(guarded, name):
    assert ask(guarded, name, "/ui/audit").status_code == 403


def test_events_are_shown_with_all_that_is_known(guarded, record):
    record(address="192.0.2.7", detail="the key of ada", request_id="r-1", credential="basic:ada")
    text = ask(guarded, "root", "/ui/audit").text
    for told in ("keys:write", "192.0.2.7", "the key of ada", "r-1", "basic:ada", "/ssh_keys"):
        assert told in text
    assert "Done" in text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("user=ada", {"a:one", "a:two"}),
        ("action=a:two", {"a:two"}),
        ("result=denied", {"a:two"}),
        ("target=/executions", {"a:three"}),
        ("since={}", {"a:two", "a:three"}),
        ("until={}", {"a:one"}),
        ("user=bob&result=success", {"a:three"}),
        ("user=&action=&since=", {"a:one", "a:two", "a:three"}),
    ],
)
def test_filters_stand_in_the_address(guarded, record, query, shown):
    moment = now()
    record("a:one", at=moment - timedelta(hours=2))
    record("a:two", AuditResult.DENIED)
    record("a:three", username="bob", target="/executions/e-1")
    query = query.format((moment - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"))
    text = ask(guarded, "root", f"/ui/audit?{query}").text
    assert {each for each in ("a:one", "a:two", "a:three") if f"<code>{each}</code>" in text} == (
        shown
    )


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("since=yesterday", "Must be a moment such as 2026-01-31T12:00:00Z"),
        ("result=maybe", "Must be one of"),
        ("since=2026-02-01T00:00&until=2026-01-01T00:00", "Must be before"),
        ("cursor=x", "Not a valid integer"),
    ],
)
def test_what_is_no_filter_is_said_beside_it(guarded, record, query, told):
    record()
    answer = ask(guarded, "root", f"/ui/audit?{query}")
    assert answer.status_code == 422
    assert told in answer.text
    for part in query.split("&"):
        name, _, value = part.partition("=")
        assert name in ("result", "cursor") or f'value="{value}"' in answer.text


def test_pages_go_on_by_a_cursor_and_keep_the_filters(guarded, record):
    for number in range(60):
        record(f"a:{number}")
    first = ask(guarded, "root", "/ui/audit?user=ada").text
    assert "<code>a:59</code>" in first
    assert "<code>a:9</code>" not in first
    following = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    assert following.startswith("/ui/audit?user=ada&amp;cursor=")
    second = ask(guarded, "root", following.replace("&amp;", "&")).text
    assert "<code>a:9</code>" in second
    assert 'href="/ui/audit?user=ada"' in second


def test_where_nothing_fits_it_says_by_which_filter(guarded, record):
    record()
    text = ask(guarded, "root", "/ui/audit?user=nobody").text
    assert "No event fits user “nobody”" in text
    assert "Clear filters" in text


def test_hostile_texts_are_text(guarded, record):
    record(HOSTILE, target=HOSTILE, username=HOSTILE, detail=HOSTILE, credential=HOSTILE)
    answer = ask(guarded, "root", "/ui/audit")
    assert escaped(answer)
    assert escaped(ask(guarded, "root", f"/ui/audit?user={HOSTILE}&target={HOSTILE}"))


@pytest.mark.parametrize(
    ("target", "page"),
    [
        ("/executions/e-1/tasks/solve", "/ui/executions/e-1"),
        ("/users/zoe&<b>", "/ui/users/zoe%26%3Cb%3E"),
        ("/users", None),
        ("/ssh_keys/k", None),
    ],
)
def test_an_event_leads_to_the_page_of_what_it_is_about(guarded, record, target, page):
    record(target=target)
    text = ask(guarded, "root", "/ui/audit").text
    assert ("its page" in text) == (page is not None)
    assert page is None or f'href="{page}"' in text


def test_a_filter_without_end_is_cut_where_it_is_shown(guarded):
    answer = ask(guarded, "root", f"/ui/audit?user={'x' * 2000}")
    assert answer.status_code == 422
    assert "x" * 201 not in answer.text
