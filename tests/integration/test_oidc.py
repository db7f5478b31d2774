"""Signing in at a real OpenID provider, with a browser's cookies, and by its tokens."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
import yaml
from joserfc import jwk
from kit.patience import await_that
from kit.servers.oidc import AUDIENCE, CLI, WEB, WEB_SECRET, OidcProvider
from kit.service import Service
from kit.tokens import key, part, public, sign
from kit.visitor import Visitor

CLAIMS = {
    "ada": {"groups": ["hpc-staff"]}, "bob": {"groups": []}, "eve": {"groups": ["hpc-admins"]},
    "mallory": {},
}  # fmt: skip
LOGIN, CALLBACK = "/auth/oidc/login", "/auth/oidc/callback"
COOKIE = "slipway_session"
_HOSTS = itertools.count()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    made = OidcProvider(
        tmp_path_factory.mktemp("provider"), claims=CLAIMS, scopes=["executions:read"]
    )
    yield made
    made.stop()


def settings(provider: OidcProvider, **more: Any) -> dict[str, Any]:
    oidc = {
        "issuer": provider.issuer, "client_id": WEB, "client_secret": WEB_SECRET,
        "audience": AUDIENCE, "roles_claim": "groups",
        "roles": {"hpc-staff": ["user", "developer"], "hpc-admins": ["admin"]},
        "default_roles": ["user"],
    }  # fmt: skip
    auth = {"type": ["basic", "oidc"], "oidc": oidc, "recheck": "100ms", **more}
    return {"api": {"auth": auth, "trusted_proxies": ["127.0.0.1"]}}


def run(folder: Path, written: dict[str, Any], env: dict[str, str] | None = None) -> Service:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "slipway.yaml"
    file.write_text(yaml.safe_dump({"data_dir": str(folder / "data"), **written}))
    return Service(folder, env=env, arguments=["--config", str(file)]).start()


@pytest.fixture(scope="module")
def service(provider: OidcProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = run(tmp_path_factory.mktemp("service"), settings(provider))
    try:
        provider.redirect_uris = [made.url + CALLBACK]
        provider.logout_uris = [made.url + "/docs"]
        provider.start()
        yield made
    finally:
        made.end()


@pytest.fixture
def visit(service: Service, provider: OidcProvider) -> Callable[..., Visitor]:
    def visit(login: str = "ada", target: str = "/docs") -> Visitor:
        visitor = Visitor(login)
        shown = visitor.sign_in(f"{service.url}{LOGIN}?{urlencode({'next': target})}")
        assert shown.url == service.url + target, shown.text
        return visitor

    return visit


def who(service: Service, visitor: Visitor) -> dict[str, Any]:
    return visitor.open(f"{service.url}/auth/session").json()  # type: ignore[no-any-return]


def callback(visitor: Visitor) -> str:
    """The address that the provider sent the browser back to."""
    return next(page.url for page in visitor.pages if CALLBACK in page.url)


def bearer(service: Service, token: str, path: str = "/executions") -> requests.Response:
    # Each from an address of its own: wrong ones slow down the next ones from there.
    fields = {"Authorization": f"Bearer {token}", "X-Forwarded-For": f"10.2.{next(_HOSTS)}.1"}
    return requests.get(service.url + path, headers=fields, timeout=60)


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    all_ = {"sub": "ada", "aud": AUDIENCE, "iat": now, "exp": now + 300, **more}
    return {name: value for name, value in all_.items() if value is not None}


class TestCodeFlow:
    def test_it_ends_in_a_session_with_the_mapped_roles(self, service, visit):
        visitor = visit("ada", "/docs?a=1")
        session = who(service, visitor)
        assert (session["username"], session["roles"]) == ("ada", ["developer", "user"])
        assert visitor.open(f"{service.url}/executions").status_code == 200
        assert visitor.open(f"{service.url}/users").status_code == 403

    def test_roles_that_nobody_maps_are_none_and_a_missing_claim_is_the_default(
        self, service, visit
    ):
        assert who(service, visit("bob"))["roles"] == []
        assert who(service, visit("mallory"))["roles"] == ["user"]

    def test_what_is_asked_of_the_provider(self, service):
        answer = requests.get(service.url + LOGIN, allow_redirects=False, timeout=60)
        assert answer.status_code == 302
        query = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert query["code_challenge_method"] == ["S256"]
        assert query["redirect_uri"] == [service.url + CALLBACK]
        assert query["scope"] == ["openid"]
        for name in ("state", "nonce", "code_challenge"):
            assert len(query[name][0]) >= 43
        kept = answer.headers["Set-Cookie"]
        for word in ("HttpOnly", "SameSite=Lax"):
            assert word in kept

    @pytest.mark.parametrize(
        "target",
        ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "docs"],
    )
    def test_it_leads_to_nobody_else(self, service, target):
        answer = requests.get(
            service.url + LOGIN, {"next": target}, allow_redirects=False, timeout=60
        )
        assert answer.status_code == 422
        assert "Location" not in answer.headers

    def test_two_tabs_at_once(self, service):
        visitor = Visitor("ada")
        tabs = [
            visitor.session.get(service.url + LOGIN, allow_redirects=False).headers["Location"]
            for _ in range(2)
        ]
        first = visitor.sign_in(tabs[0], until=service.url + CALLBACK).headers["Location"]
        second = visitor.sign_in(tabs[1], until=service.url + CALLBACK).headers["Location"]
        assert visitor.open(first).status_code == 200
        assert visitor.open(second).status_code == 400  # what was kept is gone
        assert who(service, visitor)["username"] == "ada"

    def test_a_replayed_answer_is_refused(self, service, visit):
        visitor = visit("ada")
        assert visitor.open(callback(visitor)).status_code == 400
        assert who(service, visitor)["username"] == "ada"

    def test_a_replayed_answer_with_what_was_kept_is_refused_by_the_provider(self, service):
        visitor = Visitor("ada")
        back = visitor.sign_in(service.url + LOGIN, until=service.url + CALLBACK)
        kept = visitor.session.cookies.get_dict()
        address = back.headers["Location"]
        assert visitor.open(address).status_code == 200
        again = requests.get(address, cookies=kept, allow_redirects=False, timeout=60)
        assert (again.status_code, again.json()["code"]) == (400, "sign_in_failed")
        assert COOKIE not in again.headers.get("Set-Cookie", "")

    @pytest.mark.parametrize(
        "forge",
        [
            lambda q: {**q, "state": "x"}, lambda q: {**q, "state": q["state"][:-1] + "~"},
            lambda q: {"code": q["code"]}, lambda q: {"state": q["state"]},
            lambda q: {**q, "code": "x"}, lambda q: {**q, "iss": "https://evil.example"},
            lambda q: {"code": q["code"], "state": q["state"]}, lambda q: {},
            lambda q: {**q, "code": ""}, lambda q: {**q, "code": ["a", "b"]},
            lambda q: {"state": q["state"], "iss": q["iss"], "error": "access_denied"},
            lambda q: {"state": "x", "error": "access_denied"},
        ],
    )  # fmt: skip
    def test_a_forged_answer_is_400(self, service, forge):
        visitor = Visitor("ada")
        back = visitor.sign_in(service.url + LOGIN, until=service.url + CALLBACK)
        query = {n: v[0] for n, v in parse_qs(urlsplit(back.headers["Location"]).query).items()}
        forged = urlencode(forge(query), doseq=True)
        answer = visitor.open(f"{service.url}{CALLBACK}?{forged}", allow_redirects=False)
        assert (answer.status_code, answer.json()["code"]) == (400, "sign_in_failed")
        assert who(service, visitor)["username"] is None

    def test_an_answer_that_another_browser_was_given_is_400(self, service):
        victim, attacker = Visitor("ada"), Visitor("mallory")
        victim.session.get(service.url + LOGIN, allow_redirects=False, timeout=60)
        back = attacker.sign_in(service.url + LOGIN, until=service.url + CALLBACK)
        assert victim.open(back.headers["Location"]).status_code == 400
        assert Visitor().open(back.headers["Location"]).status_code == 400
        assert who(service, victim)["username"] is None

    def test_nothing_of_it_is_logged(self, service, visit):
        visitor = visit("ada")
        secrets = [visitor.session.cookies.get(COOKIE) or "none"]
        query = parse_qs(urlsplit(callback(visitor)).query)
        secrets += [query["code"][0], query["state"][0]]
        visitor.open(callback(visitor))
        for secret in secrets:
            assert secret not in service.log


class TestSessions:
    def test_signing_out_here_and_there(self, service, provider, visit):
        visitor = visit("ada")
        token = {"X-CSRF-Token": who(service, visitor)["csrf_token"]}
        address = f"{service.url}/auth/session"
        assert visitor.session.delete(address, timeout=60).status_code == 403
        answer = visitor.session.delete(address, headers=token, timeout=60)
        out = answer.json()["sign_out_url"]
        assert out.startswith(provider.metadata()["end_session_endpoint"])
        assert who(service, visitor)["username"] is None
        shown = visitor.sign_in(out)
        assert shown.url == service.url + "/docs", shown.text

    def test_they_outlive_a_restart_of_the_web_process(self, service, visit):
        visitor = visit("ada")
        service.replaced("web", service.kill("web"))
        assert await_that(lambda: _username(service, visitor)) == "ada"

    def test_who_is_disabled_is_signed_out_for_good(self, service, visit):
        eve, other = visit("eve"), visit("eve")
        token = {"X-CSRF-Token": who(service, eve)["csrf_token"]}
        change = {"json": {"disabled": True}, "headers": token, "timeout": 60}
        answer = visit("eve").session.patch(f"{service.url}/users/mallory", **change)
        assert answer.status_code == 403  # the token of another session
        mallory = visit("mallory")
        for disabled in (True, False):
            change["json"] = {"disabled": disabled}
            answer = eve.session.patch(f"{service.url}/users/mallory", **change)
            assert answer.status_code == 200, answer.text
            await_that(lambda: who(service, mallory)["username"] is None)
        assert other.open(f"{service.url}/executions").status_code == 200
        assert who(service, visit("mallory"))["username"] == "mallory"


def _username(service: Service, visitor: Visitor) -> str | None:
    try:
        return who(service, visitor)["username"]
    except requests.ConnectionError:
        return None


class TestTokens:
    def test_an_access_token_of_the_provider_is_taken(self, service, provider):
        about = provider.metadata()
        form = {"client_id": CLI, "scope": "openid executions:read"}
        device = requests.post(about["device_authorization_endpoint"], data=form, timeout=60).json()
        Visitor("ada").sign_in(device["verification_uri_complete"])
        grant = "urn:ietf:params:oauth:grant-type:device_code"
        given = provider.token(
            grant_type=grant, client_id=CLI, device_code=device["device_code"]
        ).json()
        assert bearer(service, given["access_token"]).status_code == 200
        assert bearer(service, given["access_token"], "/workflows").status_code == 403  # scope

    @pytest.mark.parametrize(
        "wrong",
        [
            {"aud": "https://other.example"}, {"aud": None}, {"aud": [AUDIENCE, 7]},
            {"iss": "https://evil.example"}, {"iss": ""}, {"iss": 7}, {"exp": None}, {"exp": 1},
            {"nbf": 2**40}, {"sub": None}, {"sub": ["ada"]}, {"iat": 2**40},
        ],
    )  # fmt: skip
    def test_a_claim_that_does_not_hold(self, service, provider, wrong):
        answer = bearer(service, provider.sign(**claims(**wrong)))
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]

    def test_one_that_holds(self, service, provider):
        assert bearer(service, provider.sign(**claims())).status_code == 200
        assert bearer(service, provider.sign(**claims(aud=["x", AUDIENCE]))).status_code == 200

    @pytest.mark.parametrize("alg", ["none", "None", "nOnE"])
    def test_without_a_signature(self, service, provider, alg):
        head, body = part({"alg": alg}), part(claims(iss=provider.issuer))
        for signature in ("", "x"):
            assert bearer(service, f"{head}.{body}.{signature}").status_code == 401

    def test_signed_by_the_public_key_as_a_secret(self, service, provider):
        pem = jwk.import_key(provider.keys[0]).as_pem(private=False)
        jwks = requests.get(provider.metadata()["jwks_uri"], timeout=60)
        for secret in (pem, pem.rstrip(), jwks.content, WEB_SECRET):
            token = sign(claims(iss=provider.issuer), secret, "HS256", kid=provider.keys[0]["kid"])
            assert bearer(service, token).status_code == 401

    def test_a_key_within_the_token(self, service, provider):
        own = key("RSA", 7)
        token = sign(claims(iss=provider.issuer), own, "RS256", jwk=public(own))
        assert bearer(service, token).status_code == 401

    def test_an_id_token_of_another_client_is_none(self, service, provider):
        assert bearer(service, provider.sign(**claims(aud=CLI))).status_code == 401


class TestIssuer:
    """What becomes of the provider; each test leaves it running, and the service as it is."""

    @pytest.fixture
    def own(self, provider: OidcProvider, tmp_path: Path) -> Iterator[Service]:
        made = run(tmp_path / "own", settings(provider))
        redirects, provider.redirect_uris = provider.redirect_uris, [made.url + CALLBACK]
        provider.restart()
        yield made
        made.end()
        provider.redirect_uris = redirects
        provider.clock_offset = 0
        provider.restart()

    def test_a_new_key_is_fetched_once_and_old_ones_go_on_working(self, own, provider):
        before = provider.sign(**claims())
        assert bearer(own, before).status_code == 200
        provider.rotate()
        assert bearer(own, provider.sign(**claims())).status_code == 200
        assert bearer(own, before).status_code == 200
        signed_by_nobody = sign(claims(iss=provider.issuer), key("RSA", 9), "RS256", kid="unknown")
        assert bearer(own, signed_by_nobody).status_code == 401

    def test_it_is_down(self, own, provider):
        token = provider.sign(**claims())
        assert bearer(own, token).status_code == 200
        visitor = Visitor("ada")
        back = visitor.sign_in(own.url + LOGIN, until=own.url + CALLBACK)
        visited = Visitor("bob")
        assert visited.sign_in(own.url + LOGIN).url == own.url + "/docs"
        provider.stop()
        assert bearer(own, token).status_code == 200
        assert visited.open(f"{own.url}/auth/session").json()["username"] == "bob"
        answer = visitor.open(back.headers["Location"])
        assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unreachable")

    def test_it_hangs(self, own, provider):
        provider.signal(signal.SIGSTOP)
        try:
            for _ in range(2):
                answer = requests.get(own.url + LOGIN, allow_redirects=False, timeout=60)
                assert answer.status_code in (503, 504)
            assert requests.get(f"{own.url}/health", timeout=60).status_code == 200
        finally:
            provider.signal(signal.SIGCONT)
        await_that(lambda: requests.get(own.url + LOGIN, allow_redirects=False).status_code == 302)

    @pytest.mark.parametrize("seconds", [20, -20])
    def test_its_clock_is_off(self, own, provider, seconds):
        provider.clock_offset = seconds
        provider.restart()
        visitor = Visitor("ada")
        assert visitor.sign_in(own.url + LOGIN).url == own.url + "/docs"
        assert visitor.open(f"{own.url}/auth/session").json()["username"] == "ada"
        now = int(time.time()) + seconds
        ahead = provider.sign(**claims(iat=now, nbf=now, exp=now + 300))
        assert bearer(own, ahead).status_code == 200
        ended = provider.sign(**claims(iat=now - 60, exp=int(time.time()) - 20))
        assert bearer(own, ended).status_code == 200


def test_sessions_are_shared_by_all_web_processes(provider, tmp_path, store_settings):
    made = run(
        tmp_path / "many", settings(provider), {"SLIPWAY_WEB__PROCESSES": "3", **store_settings}
    )
    redirects, provider.redirect_uris = provider.redirect_uris, [made.url + CALLBACK]
    provider.restart()
    try:
        visitor, other = Visitor("ada"), Visitor("ada")
        for each in (visitor, other):
            assert each.sign_in(made.url + LOGIN).url == made.url + "/docs"
        token = {"X-CSRF-Token": who(made, visitor)["csrf_token"]}

        def statuses(of: Visitor) -> set[int]:
            cookies, found = of.session.cookies.get_dict(), set()
            for _ in range(12):  # each on a connection of its own, so by any of them
                answer = requests.get(made.url + "/executions", cookies=cookies, timeout=60)
                found.add(answer.status_code)
            return found

        assert statuses(visitor) == {200}
        kept = visitor.session.cookies.copy()
        visitor.session.delete(f"{made.url}/auth/session", headers=token, timeout=60)
        visitor.session.cookies = kept
        await_that(lambda: statuses(visitor) == {401})
        assert statuses(other) == {200}
    finally:
        made.end()
        provider.redirect_uris = redirects
        provider.restart()
