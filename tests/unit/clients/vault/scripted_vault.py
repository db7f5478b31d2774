"""A Vault that answers as a test tells it to, through ``responses``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses

from app.clients.key_store import KeyPair
from app.clients.vault import VaultKeyStore
from app.errors import SlipwayError
from app.settings import VaultSettings
from app.settings.schema import load_section

ADDRESS = "https://vault.test:8200"
PAIR = KeyPair(private_key="PRIVATE-KEY-OF-THE-TEST", public_key="ssh-ed25519 AAAA")
ROLE_ID, SECRET_ID, WRAPPING_TOKEN = (
    "role-id",
    "SECRET-ID-OF-THE-TEST",
    "WRAPPING-TOKEN-OF-THE-TEST",
)

Answer = tuple[int, dict[str, str], str]
Open = Callable[..., VaultKeyStore]


class ScriptedVault:
    """Answers as Vault does; a test changes what it allows, grants or breaks.

    Attributes:
        alive: Tokens that it knows.
        wrapped: Wrapping tokens that nobody used yet.
        denied: Whether the policy lacks everything.
        broken: Answer to every request to the KV engine, when set.
        login_error: Answer to every login, when set.
        ttl: Seconds that a login grants; ``renewed_ttl`` is what a renewal grants.
        capabilities: By path; those of root where it says nothing.
        calls: Method and path of every request, in order.
    """

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.alive: set[str] = set()
        self.denied = False
        self.broken: Answer | None = None
        self.login_error: Answer | None = None
        self.ttl, self.renewed_ttl, self.renewable = 3600, 3600, True
        self.wrapped = {WRAPPING_TOKEN}
        self.capabilities: dict[str, list[str]] = {}
        self.calls: list[str] = []
        self.requests: list[requests.PreparedRequest] = []
        pattern = re.compile(re.escape(ADDRESS) + "/v1/.*")
        for method in ("GET", "POST", "DELETE"):
            mock.add_callback(method, pattern, self.answer)

    def count(self, call: str) -> int:
        return self.calls.count(call)

    def answer(self, request: requests.PreparedRequest) -> Answer:
        path = (request.path_url or "").removeprefix("/v1/").partition("?")[0]
        self.calls.append(f"{request.method} {path}")
        self.requests.append(request)
        if path == "auth/approle/login":
            return self._login(request)
        if path == "sys/wrapping/unwrap":
            return self._unwrap(request)
        if path == "sys/health":
            return ok({"initialized": True, "sealed": False, "standby": False})
        if self._token(request) not in self.alive:
            return error(403, "permission denied")
        return self._about_itself(path, request) or self._engine(request)

    def _about_itself(self, path: str, request: requests.PreparedRequest) -> Answer | None:
        if path == "auth/token/lookup-self":
            return ok({"data": {"ttl": self.ttl, "renewable": self.renewable}})
        if path == "auth/token/renew-self":
            return ok({"auth": {"lease_duration": self.renewed_ttl, "renewable": True}})
        if path == "sys/capabilities-self":
            return self._capabilities(request)
        if path.startswith("sys/internal/ui/mounts/"):
            return ok({"data": {"options": {"version": "2"}}})
        return None

    @staticmethod
    def _token(request: requests.PreparedRequest) -> str:
        return str(request.headers.get("X-Vault-Token"))

    def _login(self, request: requests.PreparedRequest) -> Answer:
        time.sleep(0.02)  # long enough for other threads to come along
        if self.login_error:
            return self.login_error
        if body(request) != {"role_id": ROLE_ID, "secret_id": SECRET_ID}:
            return error(400, "invalid role or secret ID")
        token = f"TOKEN-OF-THE-TEST-{self.count('POST auth/approle/login')}"
        self.alive.add(token)
        auth = {"client_token": token, "lease_duration": self.ttl, "renewable": self.renewable}
        return ok({"auth": auth})

    def _unwrap(self, request: requests.PreparedRequest) -> Answer:
        if self._token(request) not in self.wrapped:
            return error(400, "wrapping token is not valid or does not exist")
        self.wrapped.clear()
        return ok({"data": {"secret_id": SECRET_ID}})

    def _capabilities(self, request: requests.PreparedRequest) -> Answer:
        paths = body(request)["paths"]
        return ok({"data": {path: self.capabilities.get(path, ["root"]) for path in paths}})

    def _engine(self, request: requests.PreparedRequest) -> Answer:
        if self.broken:
            return self.broken
        if self.denied:
            return error(403, "1 error occurred:\n\t* permission denied\n\n")
        return ok({"data": {"version": 1}}) if request.method == "POST" else (204, {}, "")


def body(request: requests.PreparedRequest) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(request.body or b"{}")
    return content


def ok(content: dict[str, Any]) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(content)


def error(status: int, text: str, **headers: str) -> Answer:
    return status, headers, json.dumps({"errors": [text]})


def make_settings(**options: Any) -> VaultSettings:
    source = {"address": ADDRESS, "role_id": ROLE_ID, "secret_id": SECRET_ID, **options}
    settings, faults = load_section(VaultSettings, source, "")
    assert settings, faults
    return settings


def put(store: VaultKeyStore) -> None:
    store.put("id", PAIR, {})


def failure(call: Callable[[], object]) -> SlipwayError:
    with pytest.raises(SlipwayError) as caught:
        call()
    return caught.value
