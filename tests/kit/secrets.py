"""The secrets that tests use, and the search for them in all that services leave behind.

What is sent as a credential and what is answered as one is noticed where it passes
(:func:`noticed`), and so is what a service is started with (:class:`kit.service.Service`). When a
service of the tests ends, all that it wrote about itself, its audit and the command lines of its
processes are searched for every secret of the whole run so far, in each form that it may have; and
so is, with each test, what it and the code that it called wrote meanwhile.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
import requests
import werkzeug.test
from sqlalchemy import create_engine, inspect, text

_SHORTEST = 12
"""Shorter ones stand in texts by chance,"""
_SHORTEST_ODD = 8
_ODD = re.compile(r"[^\w\s./:=-]")
"""other than those with a sign that words, addresses and settings do not have."""
_ANSWERED = (
    "key", "token", "access_token", "refresh_token", "ticket", "csrf_token", "client_token",
    "secret_id", "root_token",
)  # fmt: skip
_LONGEST_ANSWER = 100_000
_ASKED = ("api_key", "ticket", "token", "access_token", "code")
_NAMED = re.compile(r"(SECRET|PASSWORD|TOKEN|MASTER_KEY)(_ID)?$")

_secrets: set[str] = set()
_HEAD = 6
_heads: dict[str, set[str]] = {}
"""All forms of all secrets, by their first characters."""


def register(secret: str | None) -> None:
    """Note a secret; one that is too short to be told from other words is passed over."""
    if not secret or secret in _secrets:
        return
    shortest = _SHORTEST_ODD if _ODD.search(secret) else _SHORTEST
    if len(secret) >= shortest:
        _secrets.add(secret)
        for head, found in _by_heads([secret]).items():
            _heads.setdefault(head, set()).update(found)


def register_environment(variables: Mapping[str, str]) -> None:
    """Note the secrets among the settings that a service is started with."""
    for name, value in variables.items():
        if _NAMED.search(name):
            register(value)
        if "://" in value:
            register(urlsplit(value).password)


@contextmanager
def noticed() -> Iterator[None]:
    """Note every credential that ``requests`` or a test client of Flask sends, and what is answered
    as one."""
    send, open_ = requests.Session.send, werkzeug.test.Client.open

    def watched(self: Any, request: Any, **more: Any) -> requests.Response:
        _register_sent(request)
        response = send(self, request, **more)
        if not more.get("stream") and len(response.content) < _LONGEST_ANSWER:
            _register_answered(response)
        return response

    def opened(self: Any, *request: Any, **more: Any) -> Any:
        response = open_(self, *request, **more)
        asked = response.request
        _register_fields(asked.headers, asked.query_string.decode(errors="replace"))
        for field in response.headers.getlist("Set-Cookie"):
            register(field.partition("=")[2].partition(";")[0])
        if response.headers.get("Content-Type") == "application/json" and not more.get("buffered"):
            length = response.content_length
            if length is not None and length < _LONGEST_ANSWER:
                _register_told(response.get_data())
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "send", watched)
        patch.setattr(werkzeug.test.Client, "open", opened)
        yield


def _register_sent(request: requests.PreparedRequest) -> None:
    if "schemathesis" in str(request.headers.get("User-Agent", "")):
        # It makes credentials up of texts that stand elsewhere too: of twelve zeros, which end many
        # an id, or of those that Hypothesis finds in the sources, addresses among them. The tests
        # register those that they put there themselves.
        return
    _register_fields(request.headers, urlsplit(request.url or "").query)


def _register_fields(headers: Any, query: str) -> None:
    scheme, _, credential = str(headers.get("Authorization", "")).partition(" ")
    if scheme == "Basic":
        try:
            register(base64.b64decode(credential).decode().partition(":")[2])
        except (binascii.Error, UnicodeDecodeError):
            register(credential)
    else:
        register(credential)
    register(headers.get("X-API-Key"))
    register(headers.get("X-Vault-Token"))
    for name, value in parse_qsl(query):
        if name in _ASKED:
            register(value)


def _register_answered(response: requests.Response) -> None:
    for cookie in response.cookies:
        register(cookie.value)
    if response.headers.get("Content-Type") == "application/json":
        _register_told(response.content)


def _register_told(written: bytes) -> None:
    try:
        body = json.loads(written)
    except ValueError:
        return
    if not isinstance(body, dict):
        return
    # Vault puts what it gives into objects of their own.
    for part in (body, body.get("auth"), body.get("data")):
        for name in _ANSWERED if isinstance(part, dict) else ():
            register(part.get(name) if isinstance(part.get(name), str) else None)


def forms(secret: str) -> set[str]:
    """The ways in which a secret may be written: as it is, percent-encoded, in base64."""
    encoded = quote(secret, safe="")
    found = {secret, encoded, encoded.replace("_", "%5F"), encoded.replace("_", "%5f")}
    for number in range(3):  # wherever it stands in what is encoded
        whole = base64.b64encode(b"x" * number + secret.encode()).decode()
        found.add(whole[4 if number else 0 : -4])
    return found


def leaks(what: str, said: str, secrets: Iterable[str] | None = None) -> list[str]:
    """Find secrets in a text, those of the run unless others are given.

    Returns:
        Where each stands, by what comes before it.
    """
    heads = _heads if secrets is None else _by_heads(secrets)
    return [
        f"{what}: {said[max(0, at - 300) : at]}<here>"
        for at in range(len(said) - _HEAD + 1)  # once for all, of which there may be thousands
        if (head := said[at : at + _HEAD]) in heads
        for form in heads[head]
        if said.startswith(form, at)
    ]


def leaks_in(report: pytest.TestReport) -> list[str]:
    """Find secrets in what was written while a test ran, and it did not read itself."""
    return [leak for what, said in report.sections for leak in leaks(what, said)]


def _by_heads(secrets: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for form in chain.from_iterable(map(forms, secrets)):
        found.setdefault(form[:_HEAD], set()).add(form)
    return found


def audited(database_url: str) -> str:
    """All that the audit of a store holds, as text; nothing where there is none any more."""
    if database_url.startswith("sqlite") and not Path(urlsplit(database_url).path[1:]).exists():
        return ""
    engine = create_engine(database_url)
    try:
        with engine.connect() as store:
            if not inspect(store).has_table("audit"):
                return ""
            return "\n".join(map(repr, store.execute(text("SELECT * FROM audit"))))
    finally:
        engine.dispose()


def command_lines(pids: Iterable[int]) -> str:
    """How processes were called, as everybody on the machine can read it."""
    lines = []
    for pid in pids:
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        lines.append(raw.replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(lines)
