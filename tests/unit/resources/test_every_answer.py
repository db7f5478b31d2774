"""What browsers are told with each answer, whoever gives it: CORS, and what protects its reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from flask import Response
from service_kit import Service, basic, users

from app.domain import ExecutionStatus, Observation
from app.errors import ConfigError
from app.resources._dialects import Dialects
from app.resources._every_answer import EveryAnswer
from app.resources._permissions import public
from app.settings import Settings

ServiceMaker = Callable[..., Service]

PORTAL = "https://portal.example.org"
EXPOSED = (
    "Location, Retry-After, RateLimit, RateLimit-Policy, X-Pagination, X-Request-ID, "
    "ETag, Preference-Applied, X-Slipway-Stale"
)
PREFLIGHT = {
    "Origin": PORTAL,
    "Access-Control-Request-Method": "DELETE",
    "Access-Control-Request-Headers": "authorization, idempotency-key, last-event-id",
}
PROTECTION = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


@pytest.fixture
def portal(make_service: ServiceMaker) -> Service:
    """A service with users, which lets the pages of the portal in."""
    return make_service(api__auth=users(), api__cors={"origins": [PORTAL]})


def addresses(service: Service) -> Iterator[str]:
    """Every address of every dialect, with something for what is variable in it."""
    for rule in service.web.app.url_map.iter_rules():
        yield re.sub(r"<[^>]+>", "x", rule.rule)


def assert_readable(answer: Any) -> None:
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [PORTAL]
    assert answer.headers.getlist("Access-Control-Expose-Headers") == [EXPOSED]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.vary


def assert_unreadable(answer: Any) -> None:
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


class TestPreflight:
    def test_it_is_answered_without_credentials_for_every_address(self, portal: Service) -> None:
        client = portal.client
        for path in [*addresses(portal), "/nowhere", "/executions/a/b/c"]:
            answer = client.options(path, headers=PREFLIGHT)
            assert answer.status_code == 204, path
            assert answer.data == b""
            assert "Content-Type" not in answer.headers
            assert_readable(answer)
            allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
            for name in ("authorization", "content-type", "x-api-key", "last-event-id",
                         "idempotency-key"):  # fmt: skip
                assert name in allowed
            methods = answer.headers["Access-Control-Allow-Methods"].split(", ")
            assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= {*methods}
            assert answer.headers["Access-Control-Max-Age"] == "600"

    @pytest.mark.parametrize(
        "origin",
        ["null", "", "https://portal.example.org.evil.com", "http://portal.example.org",
         "https://portal.example.org:8443", "https://a.portal.example.org", "*",
         "HTTPS://PORTAL.EXAMPLE.ORG", f"{PORTAL}/", f"{PORTAL}, {PORTAL}", f" {PORTAL}"],
    )  # fmt: skip
    def test_other_origins_are_told_nothing(self, portal: Service, origin: str) -> None:
        for headers in ({**PREFLIGHT, "Origin": origin}, {"Origin": origin}):
            answer = portal.client.options("/workflows", headers=headers)
            assert_unreadable(answer)
            assert "Origin" in answer.vary, "a cache must not give it to another origin"

    def test_what_is_no_preflight_still_hears_which_methods_there_are(
        self, portal: Service
    ) -> None:
        for headers in ({}, {"Origin": PORTAL}, {"Access-Control-Request-Method": "GET"}):
            for path in addresses(portal):
                answer = portal.client.options(path, headers=headers)
                assert answer.status_code == 200, path
                assert {"OPTIONS"} < {*answer.headers["Allow"].split(", ")}, path

    def test_it_is_as_any_other_request_where_no_origin_is_listed(self, guarded: Service) -> None:
        answer = guarded.client.options("/workflows", headers=PREFLIGHT)
        assert (answer.status_code, bool(answer.headers["Allow"])) == (200, True)
        assert_unreadable(answer)

    def test_it_must_not_lead_a_foreign_name_here(self, portal: Service) -> None:
        headers = {**PREFLIGHT, "Host": "evil.example"}
        assert portal.client.options("/workflows", headers=headers).status_code == 421


class TestAnswers:
    def test_a_page_can_read_every_refusal(self, portal: Service) -> None:
        ada = basic("ada", "ada's pass")
        for status, method, path, more in (
            (200, "GET", "/workflows", {"headers": ada}),
            (200, "GET", "/health", {}),
            (401, "GET", "/workflows", {}),
            (401, "GET", "/workflows", {"headers": basic("ada", "wrong")}),
            (403, "POST", "/workflows", {"headers": ada, "data": b"x"}),
            (404, "GET", "/nowhere", {}),
            (404, "GET", "/executions/x", {"headers": ada}),
            (405, "PATCH", "/workflows", {"headers": ada}),
            (413, "POST", "/workflows/x", {"headers": ada, "data": b"x" * 2_000_000}),
            (421, "GET", "/workflows", {"headers": {"Host": "evil.example"}}),
            (422, "GET", "/executions?page=x", {"headers": ada}),
        ):
            headers = {**more.pop("headers", {}), "Origin": PORTAL}
            answer = portal.client.open(path, method=method, headers=headers, **more)
            assert answer.status_code == status, (method, path)
            assert_readable(answer)
            assert_unreadable(portal.client.open(path, method=method))

    def test_a_page_can_read_that_something_is_in_the_way_or_too_much(
        self, make_service: ServiceMaker
    ) -> None:
        service = make_service(
            api__auth=users(),
            api__cors={"origins": [PORTAL]},
            api__rate_limit__requests_per_minute=2,
        )
        client, own = service.client, {**basic("ada", "ada's pass"), "Origin": PORTAL}
        for _ in range(5):  # counts for no limit, nor do its credentials for wrong ones
            for more in ({}, basic("ada", "wrong")):
                assert (
                    client.options("/executions", headers={**PREFLIGHT, **more}).status_code == 204
                )
        execution = service.add_execution("ada")
        done = Observation(ExecutionStatus.SUCCESS, cursor=None, log_complete=True)
        service.record(execution, done)
        for status in (409, 409, 429):
            answer = client.post(f"/executions/{execution.id}/pause", headers=own)
            assert answer.status_code == status, answer.text
            assert_readable(answer)

    def test_what_varies_already_varies_by_the_origin_as_well(self, portal: Service) -> None:
        answer = Response(headers={"Vary": "Accept"})
        EveryAnswer(portal.settings.api).add(answer, None)
        assert {*answer.vary} == {"Accept", "Origin"}

    def test_a_crash_can_be_read(self, portal: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        view = next(name for name in portal.web.app.view_functions if name.endswith("health"))
        monkeypatch.setitem(portal.web.app.view_functions, view, public(lambda: 1 / 0))
        answer = portal.client.get("/health", headers={"Origin": PORTAL})
        assert answer.status_code == 500
        assert_readable(answer)

    def test_a_stream_can_be_read(self, portal: Service) -> None:
        execution = portal.add_execution("ada")
        headers = {**basic("ada", "ada's pass"), "Origin": PORTAL, "Accept": "text/event-stream"}
        answer = portal.client.get(f"/executions/{execution.id}/logs", headers=headers)
        assert answer.content_type.startswith("text/event-stream")
        assert_readable(answer)
        answer.close()

    def test_listed_pages_may_change_something(self, portal: Service) -> None:
        own = basic("ada", "ada's pass")
        answer = portal.client.post("/ssh_keys", headers={**own, "Origin": PORTAL})
        assert answer.status_code == 201
        assert_readable(answer)
        other = portal.client.post("/ssh_keys", headers={**own, "Origin": "https://evil.example"})
        assert other.status_code == 403
        assert_unreadable(other)

    def test_each_protects_who_reads_it(self, portal: Service) -> None:
        for path in (*addresses(portal), "/nowhere"):
            for method in ("GET", "POST", "PATCH", "OPTIONS"):
                answer = portal.client.open(path, method=method)
                for name, value in PROTECTION.items():
                    assert answer.headers.getlist(name) == [value], (method, path)
                (policy,) = answer.headers.getlist("Content-Security-Policy")
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert "Strict-Transport-Security" not in answer.headers, "this is no TLS"
                answer.close()


class TestWhatTheServerAnswersByItself:
    def test_it_can_be_read_and_protects(self, portal: Service) -> None:
        dialects: Dialects = portal.web.dialects
        for answer in (
            dialects.refuse("/x", HTTPStatus.REQUEST_TIMEOUT, "Slow.", origin=PORTAL),
            dialects.fail("/x", ValueError("late"), PORTAL),
        ):
            assert_readable(answer)
            for name, value in PROTECTION.items():
                assert answer.headers[name] == value
        assert_unreadable(dialects.refuse("/x", HTTPStatus.BAD_REQUEST, "Bad."))
        assert_unreadable(dialects.fail("/x", ValueError("late"), "null"))


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "", "portal.example", "https://", "https://a/", "https://a/b", "https://a:443",
     "http://a:80", "https://A.example", "HTTPS://a", "https://*.example.org", "https://a b",
     "https://u@a", "https://a:0", "https://a:x", "https://a\n", 7],
)  # fmt: skip
def test_an_origin_that_no_browser_would_send_is_a_fault(
    make_settings: Callable[..., Settings], origin: object
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_settings(api__cors={"origins": ["http://localhost:3000", origin]})
    assert [fault.path for fault in caught.value.fields] == ["api.cors.origins[1]"]
