"""Opaque tokens, with an issuer that says what a test wants."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from kit.clock import Clock
from kit.patience import await_that
from kit.tokens import SECRET, claims, sign
from service_kit import open_service, settings_in

from app.domain import Credential, Identity, Role
from app.errors import (
    ConfigError,
    LimitExceeded,
    NotAuthenticated,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.identity import introspection
from app.identity.api_key_form import make_key
from app.identity.introspection import Introspection
from app.identity.jwt_claims import ClaimRules
from app.identity.scopes import permissions_of

SHARED = "shared-key-of-all-0123456789"


class Issuer:
    """Knows tokens, and counts who asks."""

    def __init__(self):
        self.known = {}
        self.asked = []
        self.error = None
        self.hold = threading.Event()
        self.hold.set()

    def ask(self, token):
        self.asked.append(token)
        self.hold.wait(20)
        if self.error is not None:
            raise self.error
        return self.known.get(token, {"active": False})

    def give(self, token="opaque", **more):
        self.known[token] = {"active": True, "sub": "ada", "exp": time.time() + 600, **more}
        return token


class Users:
    def __init__(self):
        self.shut_out = set()

    def is_shut_out(self, username):
        return username in self.shut_out


@pytest.fixture
def issuer():
    made = Issuer()
    yield made
    made.hold.set()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def way(issuer, clock):
    return Introspection(issuer.ask, ClaimRules(), Users(), issuer="https://id.test", clock=clock)


def request_with(token, address="192.0.2.1"):
    return SimpleNamespace(header=lambda _: f"Bearer {token}", address=address)


def verified(way, token, address="192.0.2.1"):
    claim = way.claim(request_with(token, address))
    assert claim is not None
    assert token not in repr(claim)
    return way.verify(claim)


def refusal(way, token):
    with pytest.raises(NotAuthenticated) as caught:
        verified(way, token)
    return caught.value.message


class TestAnswers:
    def test_the_issuer_says_whose_a_token_is(self, way, issuer):
        issuer.give(roles=["operator"], scope="openid keys:read", iss="https://id.test")
        identity = verified(way, "opaque")
        assert (identity.username, identity.roles) == ("ada", {Role.OPERATOR})
        assert identity.scopes == permissions_of(["keys:read"])

    def test_it_is_asked_once_a_minute(self, way, issuer, monkeypatch):
        issuer.give()
        for _ in range(5):
            verified(way, "opaque")
            refusal(way, "wrong")
        assert sorted(issuer.asked) == ["opaque", "wrong"]
        later = time.monotonic() + 61
        monkeypatch.setattr(time, "monotonic", lambda: later)
        verified(way, "opaque")
        refusal(way, "wrong")
        assert len(issuer.asked) == 4

    def test_no_answer_outlives_the_token(self, way, issuer):
        issuer.give(exp=time.time() - introspection.LEEWAY_SECONDS + 0.2)
        verified(way, "opaque")
        [(until, _)] = [kept for kept, _ in way._verified._kept._kept.values()]
        assert until <= time.monotonic() + 0.2

    @pytest.mark.parametrize(
        "more",
        [
            {"active": False}, {"active": "true"}, {"active": 1}, {"sub": None}, {"sub": 7},
            {"sub": "a b"}, {"exp": 1}, {"exp": "soon"}, {"nbf": 4e9}, {"iss": "https://evil.test"},
            {"iss": 7}, {"token_type": "DPoP"}, {"token_type": "refresh_token"}, {"token_type": 7},
            {"cnf": {"jkt": "x"}}, {"roles": 7}, {"scope": 7},
        ],
    )  # fmt: skip
    def test_what_does_not_hold_is_refused(self, way, issuer, more):
        refusal(way, issuer.give(**more))

    @pytest.mark.parametrize("aud", [["x"], [], 7, ["slipway", 7], None, "slipway-dev", "SLIPWAY"])
    def test_the_audience_counts_where_one_is_configured(self, issuer, aud):
        way = Introspection(issuer.ask, ClaimRules(audience=("slipway",)), Users())
        assert "'aud'" in refusal(way, issuer.give(aud=aud))
        assert verified(way, issuer.give("good", aud=["x", "slipway"]))

    def test_one_without_an_end_holds_nothing_for_ever(self, way, issuer):
        ends = verified(way, issuer.give(exp=None)).credential.expires_at
        assert 3500 < ends.timestamp() - time.time() < 3700


class TestForms:
    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(make_key(), id="an API key"),
            *("slw_x", "a b", "", "é", "x" * 5000, 'a"b', "=="),
        ],
    )
    def test_what_is_no_opaque_token_is_nobodys_business(self, way, token):
        assert way.claim(request_with(token)) is None

    def test_jwts_are_left_to_who_verifies_them(self, issuer):
        way = Introspection(issuer.ask, ClaimRules(), Users(), leaves_jwts=True)
        assert way.claim(request_with("a.b.c")) is None
        assert way.claim(request_with("a.b"))

    def test_nothing_that_is_of_others_is_told_to_the_issuer(self, tmp_path, issuer):
        about = {"url": "https://id.test/introspect", "client_id": "x", "client_secret": "y"}
        auth = {"type": ["introspection", "api_key", "jwt"], "secret": SECRET,
                "api_key_secret": SHARED, "introspection": about}  # fmt: skip
        service = open_service(tmp_path, api__auth=auth)
        ways = service.services.authenticators._authenticators
        ways["introspection"]._questions._ask = issuer.ask
        issuer.give()

        def ask(token):
            headers = {"Authorization": f"Bearer {token}"}
            return service.client.get("/workflows", headers=headers).status_code

        own = service.client.post("/auth/token", headers={"X-API-Key": SHARED}).json["access_token"]
        assert [ask(t) for t in (SHARED, sign(claims()), own, "opaque")] == [200] * 4
        assert [ask(t) for t in (make_key(), "a.b.c")] == [401] * 2
        assert issuer.asked == ["opaque"]
        issuer.error = UpstreamUnreachable("gone")
        answer = service.client.get("/workflows", headers={"Authorization": "Bearer other"})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert ask("opaque") == ask(SHARED) == 200
        service.close()

    @pytest.mark.parametrize(
        ("options", "paths"),
        [
            ({}, ["", ".client_id", ".client_secret"]),
            ({"url": "http://10.0.0.1/x", "client_id": "x", "client_secret": "y"}, [".url"]),
            ({"issuer": "id.test", "client_id": "x", "client_secret": "y"}, [".issuer"]),
        ],
    )
    def test_settings_that_are_missing_or_unsafe_are_named(self, tmp_path, options, paths):
        with pytest.raises(ConfigError) as caught:
            settings_in(tmp_path, api__auth={"type": "introspection", "introspection": options})
        found = sorted(fault.path for fault in caught.value.fields)
        assert found == [f"api.auth.introspection{path}" for path in paths]


class TestIssuerInTrouble:
    @pytest.mark.parametrize("error", [UpstreamTimeout(""), UpstreamUnreachable(""), ValueError()])
    def test_nobody_waits_for_one_that_has_failed(self, way, issuer, clock, error):
        issuer.give("seen")
        verified(way, "seen")
        issuer.error = error
        for n in range(5):
            with pytest.raises(UpstreamUnreachable):
                verified(way, f"other-{n}")
        assert len(issuer.asked) == 2
        assert verified(way, "seen"), "what is known goes on"
        clock.now += 6
        for n in range(3):
            with pytest.raises(UpstreamUnreachable):
                verified(way, f"again-{n}")
        assert len(issuer.asked) == 3
        clock.now += 6
        issuer.error = None
        issuer.give("new")
        assert verified(way, "new")
        assert verified(way, "seen")

    def test_an_issuer_that_hangs_is_not_waited_for_long(self, way, issuer, clock, monkeypatch):
        monkeypatch.setattr(introspection, "_WAIT_SECONDS", 0.05)
        issuer.hold.clear()
        with pytest.raises(UpstreamUnreachable):
            verified(way, "opaque")

    def test_one_client_does_not_take_all_turns(self, way, issuer, monkeypatch):
        monkeypatch.setattr(introspection, "_WAIT_SECONDS", 0.01)
        issuer.hold.clear()
        ends = []
        for n in range(12):
            with pytest.raises((UpstreamUnreachable, LimitExceeded)) as caught:
                verified(way, f"t{n}")
            ends.append(caught.type)
        assert ends == [UpstreamUnreachable] * 8 + [LimitExceeded] * 4
        with pytest.raises(UpstreamUnreachable):
            verified(way, "another", "192.0.2.2")
        for n in range(40):
            with pytest.raises((UpstreamUnreachable, LimitExceeded)) as caught:
                verified(way, f"u{n}", f"192.0.3.{n}")
        assert caught.type is LimitExceeded
        assert len(way._questions._under_way) == 32

    def test_one_token_is_asked_about_once_at_a_time(self, way, issuer):
        issuer.give()
        issuer.hold.clear()
        got = []
        threads = [threading.Thread(target=lambda: got.append(verified(way, "opaque")))
                   for _ in range(20)]  # fmt: skip
        for thread in threads:
            thread.start()
        questions = way._questions._under_way
        await_that(lambda: questions, "it is asked")
        [question] = questions.values()
        await_that(lambda: len(question.done._cond._waiters) == 20, "all wait for the answer")
        issuer.hold.set()
        for thread in threads:
            thread.join()
        assert len(got) == 20
        assert issuer.asked == ["opaque"]

    def test_wrong_tokens_push_out_no_right_ones(self, way, issuer):
        issuer.give()
        verified(way, "opaque")
        for n in range(10_000):
            way._wrong.put(n.to_bytes(32, "big"), time.monotonic() + 60)
        assert len(way._wrong) < 10_000
        verified(way, "opaque")
        assert issuer.asked == ["opaque"]


class TestRecheck:
    def test_a_user_who_is_shut_out_is_so_at_once(self, way, issuer):
        identity = verified(way, issuer.give())
        way._users.shut_out.add("ada")
        refusal(way, "opaque")
        with pytest.raises(NotAuthenticated):
            way.recheck(identity)

    def test_what_is_held_ends_once_the_issuer_says_so(self, way, issuer, monkeypatch):
        identity = verified(way, issuer.give())
        issuer.known.clear()
        assert way.recheck(identity) == identity
        later = time.monotonic() + 61
        monkeypatch.setattr(time, "monotonic", lambda: later)
        with pytest.raises(NotAuthenticated):
            way.recheck(identity)

    def test_it_goes_on_while_the_issuer_is_down(self, way, issuer, monkeypatch):
        identity = verified(way, issuer.give())
        issuer.error = UpstreamUnreachable("x")
        later = time.monotonic() + 61
        monkeypatch.setattr(time, "monotonic", lambda: later)
        assert way.recheck(identity) == identity

    def test_a_process_that_never_saw_the_token_goes_by_what_another_has_seen(self, way, issuer):
        credential = Credential("introspection", "ab" * 32)
        ticketed = Identity("ada", frozenset({Role.USER}), credential=credential)
        assert way.recheck(ticketed) == ticketed
        assert issuer.asked == []
