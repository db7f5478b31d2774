"""Logging in, staying logged in, and what answers mean."""

from __future__ import annotations

from typing import Any

import pytest
import responses
from fakes.alien4cloud import Kind
from fakes.alien4cloud.replies import STACK_TRACE

from app.clients.alien4cloud import Alien4CloudOptions
from app.clients.alien4cloud.session import Alien4CloudSession, Rejection
from app.errors import (
    NotFound,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.settings.schema import load_section

BASE = "http://a4c"
LOGIN = f"{BASE}/login"
THING = f"{BASE}/rest/latest/thing"
GOOD = {"Location": f"{BASE}/rest/auth/status", "Set-Cookie": "JSESSIONID=first; Path=/; HttpOnly"}


def make_session(url: str = BASE, **more: Any) -> Alien4CloudSession:
    values = {"url": url, "user": "admin", "password": "secret", "timeout": "20s", **more}
    options, faults = load_section(Alien4CloudOptions, values, "")
    assert options is not None, faults
    return Alien4CloudSession("The orchestrator 'hpc'", options)


def envelope(code: int, message: str | None = None, data: Any = None) -> dict[str, Any]:
    return {"data": data, "error": {"code": code, "message": message}}


@pytest.fixture
def a4c():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(LOGIN, status=302, headers=GOOD)
        yield mock


def sent(a4c: responses.RequestsMock, url: str) -> list[Any]:
    return [call.request for call in a4c.calls if call.request.url == url]


def test_the_first_call_logs_in_and_sends_the_cookie(a4c):
    a4c.get(THING, json={"data": 5, "error": None})
    assert make_session().get("thing") == 5
    login, call = (c.request for c in a4c.calls)
    assert login.body == "username=admin&password=secret"
    assert "Cookie" not in login.headers
    assert call.headers["Cookie"] == "JSESSIONID=first"
    assert call.headers["Accept"] == "application/json"


def test_json_is_sent_with_its_content_type(a4c):
    a4c.post(THING, json={"data": None})
    assert make_session().post("thing", body={}) is None
    assert sent(a4c, THING)[0].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, envelope(100, "Authentication required for this request : ")),
        (401, {"error": {"code": 100, "message": "... /rest/admin/x"}}),
        (403, "<html>Please log in</html>"),
    ],
)
def test_an_expired_session_is_renewed_and_the_request_repeated_once(a4c, status, body):
    refusal = {"json": body} if isinstance(body, dict) else {"body": body}
    a4c.get(THING, status=status, **refusal)
    a4c.get(THING, json={"data": 5})
    assert make_session().get("thing") == 5
    assert len(sent(a4c, LOGIN)) == 2


def test_a_session_that_is_refused_again_is_not_renewed_for_ever(a4c):
    a4c.get(THING, status=403, json=envelope(100))
    with pytest.raises(UpstreamRefused):
        make_session().get("thing")
    assert len(sent(a4c, THING)) == 2
    assert len(sent(a4c, LOGIN)) == 2


def test_a_missing_right_leads_to_no_login(a4c):
    a4c.get(THING, status=403, json=envelope(102, "Current user has no sufficient rights."))
    with pytest.raises(Rejection) as caught:
        make_session().get("thing")
    assert caught.value.error_code == 102
    assert "no sufficient rights" in caught.value.message
    assert (len(sent(a4c, THING)), len(sent(a4c, LOGIN))) == (1, 1)


def test_wrong_credentials_are_told_and_not_tried_again_at_once(a4c):
    a4c.replace(responses.POST, LOGIN, status=302,
                headers={"Location": "/prefix/rest/auth/authenticationfailed"})  # fmt: skip
    session = make_session()
    for _ in range(3):
        with pytest.raises(UpstreamRefused, match="does not accept our user name and password"):
            session.get("thing")
    assert len(a4c.calls) == 1


def test_credentials_that_are_refused_without_a_redirect_are_told_too(a4c):
    a4c.replace(responses.POST, LOGIN, status=401, json=envelope(101))
    with pytest.raises(UpstreamRefused, match="does not accept our user name and password"):
        make_session().get("thing")


@pytest.mark.parametrize("location", ["/a4c/rest/auth/status", "https://proxy/rest/auth/status"])
def test_the_redirect_after_the_login_may_be_relative_or_elsewhere(a4c, location):
    a4c.replace(responses.POST, LOGIN, status=303, headers={**GOOD, "Location": location})
    a4c.get(THING, json={"data": 5})
    assert make_session().get("thing") == 5


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (302, {"Location": "https://sso.example.org/auth?saml=1", "Set-Cookie": "a=b"}),
        (302, {"Location": "/rest/auth/status"}),
        (200, {"Set-Cookie": "JSESSIONID=x"}),
        (404, {}),
        (500, {}),
    ],
)
def test_another_answer_to_the_login_means_that_nothing_was_sent(a4c, status, headers):
    a4c.replace(responses.POST, LOGIN, status=status, headers=headers)
    with pytest.raises(UpstreamUnreachable):
        make_session().get("thing")
    assert len(a4c.calls) == 1


def test_a_cookie_that_an_answer_replaces_is_sent_from_then_on(a4c):
    a4c.get(THING, json={"data": 1}, headers={"Set-Cookie": "JSESSIONID=second"})
    session = make_session()
    session.get("thing")
    session.get("thing")
    assert sent(a4c, THING)[1].headers["Cookie"] == "JSESSIONID=second"


def test_the_cookie_of_a_refusal_is_not_taken_for_a_login(a4c):
    anonymous = {"Set-Cookie": "JSESSIONID=anonymous"}
    a4c.get(THING, status=403, json=envelope(102), headers=anonymous)
    a4c.get(THING, json={"data": 1})
    session = make_session()
    with pytest.raises(Rejection):
        session.get("thing")
    session.get("thing")
    assert sent(a4c, THING)[1].headers["Cookie"] == "JSESSIONID=first"


@pytest.mark.parametrize("status", [200, 400, 404, 409])
def test_an_error_in_the_envelope_counts_under_any_status(a4c, status):
    a4c.get(THING, status=status, json=envelope(504, "no such thing"))
    with pytest.raises(Rejection) as caught:
        make_session().get("thing")
    assert (caught.value.error_code, caught.value.reason) == (504, "no such thing")
    assert not caught.value.retryable


def test_a_stack_trace_stays_inside(a4c):
    a4c.get(THING, status=500, json=envelope(500, STACK_TRACE, STACK_TRACE))
    with pytest.raises(UpstreamGarbled) as caught:
        make_session().get("thing")
    assert caught.value.message == "The orchestrator 'hpc' failed with its internal error 500."


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("400 Bad Request", "400 Bad Request"),
        (None, "no reason given"),
        (STACK_TRACE, "null"),
        ("java.lang.IllegalStateException: it is late\n\tat a.b.C.d(C.java:1)", "it is late"),
        ("it is late at a.b.C$1.<init>(C.java:1)", "it is late"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_a_reason_is_a_line_without_java_in_it(a4c, message, reason):
    a4c.get(THING, json=envelope(619, message))
    with pytest.raises(Rejection) as caught:
        make_session().get("thing")
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (503, {"json": envelope(0, "Maintenance mode is enabled.")}, UpstreamUnreachable),
        (404, {"json": {"timestamp": 1, "status": 404, "error": "Not Found"}}, UpstreamUnreachable),
        (502, {"body": "<html>Bad Gateway</html>"}, UpstreamTimeout),
        (504, {"body": ""}, UpstreamTimeout),
        (500, {"body": "<html>"}, UpstreamGarbled),
        (200, {"body": "<html>"}, UpstreamGarbled),
        (200, {"json": [1]}, UpstreamGarbled),
        (200, {"json": {"something": "else"}}, UpstreamGarbled),
        (200, {"json": {"data": 1, "error": "text"}}, UpstreamGarbled),
        (302, {"headers": {"Location": "https://elsewhere/"}}, UpstreamGarbled),
    ],
)
def test_every_other_answer_has_its_own_meaning(a4c, status, answer, error):
    a4c.get(THING, status=status, **answer)
    with pytest.raises(error):
        make_session().get("thing")


def test_segments_of_a_path_are_quoted(a4c):
    a4c.get(f"{BASE}/rest/latest/executions/a%2Fb%3Fc", json={"data": 1})
    assert make_session().get("executions", "a/b?c") == 1


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_segment_that_would_lead_elsewhere_is_nothing(a4c, segment):
    with pytest.raises(NotFound):
        make_session().get("deployments", segment)
    assert not a4c.calls


def test_a_dead_connection_is_replaced_for_reading_only(server):
    session = make_session(server.url)
    session.get("auth", "status")
    server.fault(Kind.DROP_BEFORE, times=1)
    session.post("applications", "search", body={})
    server.fault(Kind.DROP_BEFORE, times=1)
    with pytest.raises(UpstreamTimeout):
        session.post("applications", "search", body={}, once=True)


def test_a_server_that_is_away_was_surely_not_reached(server):
    session = make_session(server.url)
    server.down()
    with pytest.raises(UpstreamUnreachable):
        session.get("executions", "x")


def test_the_emulator_shows_the_traps_of_the_login(server):
    session = make_session(server.url)
    server.account("guest")
    with pytest.raises(UpstreamRefused, match="user name"):
        make_session(server.url, user="nobody").get("executions", "x")
    server.application("covid")
    with pytest.raises(Rejection) as caught:
        make_session(server.url, user="guest").get("applications", "covid")
    assert caught.value.error_code == 102
    session.get("applications", "covid")
    server.advance(1801)
    logins = server.logins
    session.get("applications", "covid")
    assert server.logins == logins + 1
    server.state.maintenance = True
    with pytest.raises(UpstreamUnreachable, match="maintenance"):
        session.get("applications", "covid")


def test_no_error_shows_the_password(a4c):
    a4c.replace(responses.POST, LOGIN, body="secret", status=500)
    with pytest.raises(UpstreamError) as caught:
        make_session().get("thing")
    assert "secret" not in f"{caught.value.message} {caught.value.detail}"
