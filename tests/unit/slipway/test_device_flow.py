"""Signing in from a terminal, with an issuer that says what a test wants; no test waits."""

from __future__ import annotations

import json
import threading
from urllib.parse import parse_qs

import pytest
import requests
import responses
from kit.clock import Clock
from kit.raw_server import RawServer

from slipway import device_flow
from slipway.device_flow import (
    GRANT,
    AccessDenied,
    CodeExpired,
    IssuerFault,
    IssuerUnreachable,
    NoIssuer,
    find_issuer,
    sign_in,
)

SERVICE, ISSUER = "https://slipway.test/hpc", "https://id.test/realm"
ABOUT_SERVICE = f"{SERVICE}/.well-known/oauth-protected-resource"
ABOUT_ISSUER = f"{ISSUER}/.well-known/openid-configuration"
DEVICE, TOKEN = f"{ISSUER}/device", f"{ISSUER}/token"
GIVEN = {"access_token": "the token", "token_type": "Bearer", "expires_in": 60}
PENDING, SLOW = {"error": "authorization_pending"}, {"error": "slow_down"}


class Place:
    """A service and its issuer, and a terminal that signs in."""

    def __init__(self, server):
        self.server = server
        self.clock = Clock()
        self.slept = []
        self.shown = []
        self.service = {"resource": SERVICE, "authorization_servers": [ISSUER],
                        "slipway_client_id": "cli"}  # fmt: skip
        self.issuer = {"issuer": ISSUER, "device_authorization_endpoint": DEVICE,
                       "token_endpoint": TOKEN}  # fmt: skip
        self.code = {"device_code": "secret", "user_code": "ABCD", "expires_in": 600,
                     "verification_uri": f"{ISSUER}/go", "interval": 2}  # fmt: skip
        self.challenge = f'Bearer realm="Slipway", resource_metadata="{ABOUT_SERVICE}"'

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.clock.now += seconds

    def sign_in(self, *answers, **more):
        """Sign in; the issuer gives these answers to the questions for tokens."""
        headers = {"WWW-Authenticate": self.challenge}
        self.server.get(f"{SERVICE}/workflows", status=401, headers=headers)
        self.server.get(ABOUT_SERVICE, json=self.service)
        self.server.get(ABOUT_ISSUER, json=self.issuer)
        self.server.post(DEVICE, json=self.code)
        for answer in answers:
            if isinstance(answer, Exception):
                self.server.post(TOKEN, body=answer)
            else:
                status, body = answer if isinstance(answer, tuple) else (
                    200 if "access_token" in answer else 400, answer,
                )  # fmt: skip
                text = body if isinstance(body, str) else json.dumps(body)
                self.server.post(TOKEN, body=text, status=status)
        return sign_in(SERVICE, self.shown.append, sleep=self.sleep, clock=self.clock, **more)

    def asked(self, url):
        """Return the forms that were sent to an address."""
        return [parse_qs(call.request.body) for call in self.server.calls
                if call.request.url == url]  # fmt: skip


@pytest.fixture
def place():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as server:
        yield Place(server)


def test_it_asks_until_the_code_was_typed(place):
    got = place.sign_in(PENDING, PENDING, {**GIVEN, "refresh_token": "r", "scope": "openid"})
    assert (got.access_token, got.refresh_token, got.expires_in) == ("the token", "r", 60)
    assert "the token" not in repr(got)
    assert place.slept == [2, 2, 2]
    assert place.asked(DEVICE) == [{"client_id": ["cli"], "scope": ["openid"]}]
    assert place.asked(TOKEN)[0] == {
        "grant_type": [GRANT], "device_code": ["secret"], "client_id": ["cli"],
    }  # fmt: skip
    [code] = place.shown
    assert (code.user_code, code.verification_uri, code.complete_uri) == (
        "ABCD", f"{ISSUER}/go", None,
    )  # fmt: skip
    assert "secret" not in repr(code)


def test_without_an_interval_it_asks_every_five_seconds(place):
    del place.code["interval"]
    place.sign_in(PENDING, GIVEN)
    assert place.slept == [5, 5]


def test_slow_down_is_five_seconds_more_from_then_on(place):
    place.sign_in(PENDING, SLOW, PENDING, SLOW, PENDING, GIVEN)
    assert place.slept == [2, 2, 7, 7, 12, 12]


def test_an_issuer_that_does_not_answer_is_asked_further_and_further_apart(place):
    lost = requests.ConnectionError("gone")
    place.sign_in(lost, lost, (503, "<html>"), PENDING, GIVEN)
    assert place.slept == [2, 4, 8, 16, 16]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"error": "access_denied"}, AccessDenied),
        ({"error": "expired_token"}, CodeExpired),
        ({"error": "invalid_grant"}, IssuerFault),
        ({"error": 7}, IssuerFault),
        ((400, "rubbish"), IssuerFault),
        ((302, ""), IssuerFault),
        ((200, "[]"), IssuerFault),
        ((200, "rubbish"), IssuerFault),
        ((200, {"access_token": "x"}), IssuerFault),
        ((200, {"access_token": "x", "token_type": "DPoP"}), IssuerFault),
        ((200, {"access_token": "", "token_type": "Bearer"}), IssuerFault),
        ((200, {"access_token": "a\nb", "token_type": "Bearer"}), IssuerFault),
        ((200, "x" * 300_000), IssuerFault),
    ],
)
def test_it_stops_where_nothing_can_come_of_it(place, answer, error):
    with pytest.raises(error):
        place.sign_in(PENDING, answer, GIVEN)
    assert len(place.asked(TOKEN)) == 2


def test_nobody_is_waited_for_longer_than_the_code_is_good(place):
    place.code["expires_in"] = 11
    with pytest.raises(CodeExpired):
        place.sign_in(*[PENDING] * 20)
    assert sum(place.slept) < 11


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("code", {"device_code": None}), ("code", {"user_code": 7}),
        ("code", {"user_code": "\x1b["}), ("code", {"expires_in": "soon"}),
        ("code", {"expires_in": None}), ("code", {"interval": -1}), ("code", {"interval": True}),
        ("issuer", {"issuer": "https://evil.test"}), ("issuer", {"token_endpoint": None}),
        ("issuer", {"token_endpoint": "http://id.test/token"}),
        ("issuer", {"device_authorization_endpoint": "ftp://id.test"}),
        ("service", {"resource": "https://evil.test"}), ("service", {"resource": None}),
        ("service", {"authorization_servers": ["http://id.test/realm"]}),
    ],
)  # fmt: skip
def test_what_cannot_be_trusted_or_makes_no_sense_is_refused(place, part, change):
    getattr(place, part).update(change)
    with pytest.raises(IssuerFault):
        place.sign_in(GIVEN)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("service", {"authorization_servers": []}), ("service", {"authorization_servers": None}),
        ("service", {"slipway_client_id": None}),
    ],
)  # fmt: skip
def test_a_service_without_an_issuer_for_a_terminal_says_so(place, part, change):
    getattr(place, part).update(change)
    with pytest.raises(NoIssuer):
        place.sign_in(GIVEN)


def test_a_client_id_of_ones_own_does(place):
    del place.service["slipway_client_id"]
    assert place.sign_in(GIVEN, client_id="mine")
    assert place.asked(TOKEN)[0]["client_id"] == ["mine"]


def test_an_issuer_without_device_codes_says_so(place):
    del place.issuer["device_authorization_endpoint"]
    with pytest.raises(NoIssuer):
        place.sign_in(GIVEN)


def test_without_a_challenge_the_metadata_are_at_their_usual_place(place):
    place.challenge = "Basic"
    assert place.sign_in(GIVEN)


def test_a_service_that_has_none_says_so():
    with responses.RequestsMock() as server:
        server.get(f"{SERVICE}/workflows", status=401)
        server.get(ABOUT_SERVICE, status=404)
        with pytest.raises(NoIssuer):
            find_issuer(SERVICE)


def test_a_service_that_is_not_there_is_no_fault_of_ours():
    with responses.RequestsMock() as server:
        server.get(f"{SERVICE}/workflows", body=requests.ConnectionError("gone"))
        with pytest.raises(IssuerFault, match="cannot be reached"):
            find_issuer(SERVICE)


def test_an_answer_that_comes_little_by_little_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(device_flow, "_ANSWER_SECONDS", 0.0)
    over = threading.Event()

    def drip(*_):
        yield b"HTTP/1.1 401 No\r\nContent-Length: 100000\r\n\r\n"
        while not over.wait(0.001):
            yield b" "

    with RawServer(drip) as server:
        with pytest.raises(IssuerFault, match="does not end"):
            find_issuer(server.url)
        over.set()


def test_what_a_server_calls_its_issuer_moves_no_cursor(place):
    place.service["authorization_servers"] = ["https://id.test\x9b2J/realm"]
    with pytest.raises(IssuerUnreachable) as caught:
        place.sign_in()
    assert "\x9b" not in str(caught.value)
