"""Tokens of a provider, which are renewed without a word, by one of many programs."""

from __future__ import annotations

import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest
from client_kit import ID, client_of, execution
from kit.clock import Clock
from kit.ports import free_port
from kit.raw_server import RawServer, answer, problem

from slipway import Client, Misused, NotSignedIn, StoredTokens, Unreachable
from slipway.auth import OidcTokens


class Issuer:
    """Renews tokens; each refresh token is good for once, as at providers that rotate them."""

    def __init__(self):
        self.number = 0
        self.refused = None
        self.lock = threading.Lock()
        self.server = RawServer(self._talk)

    def _talk(self, asked, _):
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        with self.lock:
            if self.refused:
                return self.refused
            wanted = {"grant_type": "refresh_token", "client_id": "cli",
                      "refresh_token": f"refresh-{self.number}"}  # fmt: skip
            if form != wanted:
                return answer(400, {"error": "invalid_grant"})
            self.number += 1
            return answer(
                200,
                {
                    "access_token": f"access-{self.number}",
                    "token_type": "Bearer",
                    "expires_in": 300,
                    "refresh_token": f"refresh-{self.number}",
                },
            )

    @property
    def valid(self):
        return f"Bearer access-{self.number}"


@pytest.fixture
def issuer():
    made = Issuer()
    with made.server:
        yield made


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def file(tmp_path, issuer, clock):
    path = tmp_path / "config" / "tokens.json"
    tokens = OidcTokens(
        f"{issuer.server.url}/token", "cli", "access-0", "refresh-0", clock.now + 300
    )
    tokens.write(path)
    return path


@pytest.fixture
def service(issuer):
    """Lets in whoever has the token that was given last."""

    def talk(asked, _):
        known = asked.headers.get("authorization") == issuer.valid
        return answer(200, execution()) if known else problem(401, "Who are you?")

    with RawServer(talk) as server:
        yield server


def test_tokens_are_kept_by_their_owner_alone(file):
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    read = OidcTokens.read(file)
    assert (read.access_token, read.refresh_token) == ("access-0", "refresh-0")
    assert "access-0" not in repr(read)
    assert "refresh-0" not in repr(read)


def test_a_token_that_is_good_is_used_as_it_is(file, service, issuer, clock):
    client_of(service.url, auth=StoredTokens(file, clock)).execution(ID)
    assert issuer.server.asked == []


def test_a_token_is_renewed_before_it_ends(file, service, issuer, clock):
    auth = StoredTokens(file, clock)
    clock.now += 280
    client_of(service.url, auth=auth).execution(ID)
    assert len(service.asked) == 1
    assert OidcTokens.read(file).access_token == "access-1"
    assert OidcTokens.read(file).expires_at == clock.now + 300
    assert {each.name for each in file.parent.iterdir()} == {"tokens.json", "tokens.json.lock"}


def test_a_token_that_the_service_refuses_is_renewed(file, service, issuer, clock):
    issuer.number = 0
    auth = StoredTokens(file, clock)
    issuer.number = 1
    file.write_text(file.read_text().replace("refresh-0", "refresh-1"))
    client_of(service.url, auth=auth).execution(ID)
    assert OidcTokens.read(file).access_token == "access-2"


def test_what_another_program_got_is_used(file, service, issuer, clock):
    ours, theirs = StoredTokens(file, clock), StoredTokens(file, clock)
    clock.now += 280
    for auth in (theirs, ours):
        client_of(service.url, auth=auth).execution(ID)
    assert issuer.number == 1


def test_of_ten_programs_one_renews_the_tokens(file, service, issuer, clock):
    clients = [Client(service.url, StoredTokens(file, clock)) for _ in range(10)]
    clock.now += 290
    with ThreadPoolExecutor(10) as pool:
        found = [*pool.map(lambda client: client.execution(ID).id, clients)]
    assert found == [ID] * 10
    assert issuer.number == 1


def test_an_issuer_that_is_away_is_no_matter_while_the_token_is_good(file, service, issuer, clock):
    auth = StoredTokens(file, clock)
    issuer.refused = answer(503, b"", "text/html")
    clock.now += 280
    client_of(service.url, auth=auth).execution(ID)
    clock.now += 30
    with pytest.raises(Unreachable, match="issuer"):
        client_of(service.url, auth=auth).execution(ID)


def test_an_issuer_that_nobody_reaches_is_named(tmp_path, clock):
    path = tmp_path / "tokens.json"
    OidcTokens(f"http://127.0.0.1:{free_port()}/t", "cli", "a", "r", clock.now - 1).write(path)
    with pytest.raises(Unreachable, match="cannot be reached"):
        client_of("http://127.0.0.1:1", auth=StoredTokens(path, clock)).version()


def test_a_sign_in_that_has_ended_is_said_with_the_next_step(file, service, issuer, clock):
    auth = StoredTokens(file, clock)
    issuer.refused = answer(400, {"error": "invalid_grant"})
    clock.now += 400
    with pytest.raises(NotSignedIn, match="slipway login --oidc"):
        client_of(service.url, auth=auth).execution(ID)


def test_tokens_without_a_way_to_renew_them_end(file, service, clock):
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "refresh_token": None}))
    auth = StoredTokens(file, clock)
    clock.now += 400
    with pytest.raises(NotSignedIn, match="slipway login --oidc"):
        client_of(service.url, auth=auth).execution(ID)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"access_token": 7}', "\0",
     '{"token_endpoint": "http://x", "client_id": "x", "access_token": "a b"}',
     pytest.param("[" * 200_000, id="deep")],
)  # fmt: skip
def test_a_file_that_holds_no_tokens_says_what_to_do(tmp_path, text):
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(Misused, match="slipway login --oidc"):
        StoredTokens(path)
    path.unlink()
    with pytest.raises(Misused):
        StoredTokens(path)
