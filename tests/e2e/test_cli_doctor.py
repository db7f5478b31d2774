"""``doctor``, ``version`` and ``open``: with a service, without, and with what is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from kit.accounts import ROOT
from kit.certificates import Authority
from kit.client import Client
from kit.patience import PATIENCE_SECONDS, await_that
from kit.people import Ended, Person
from kit.raw_server import RawServer, answer
from kit.service import Service

from slipway.version import __version__

CHECKS = ["url", "tls", "clock", "login", "allowed", "stream"]
NOWHERE = "http://127.0.0.1:1"


def found(done: Ended) -> dict[str, tuple[str, str]]:
    """Return the words and the texts of all lines, by what was looked at."""
    lines = [line.split(maxsplit=2) for line in done.out.splitlines()]
    return {check: (word, text) for word, check, text in lines}


def test_all_is_well_with_a_service(ada, accounts):
    done = ada.types("doctor")
    assert done.code == 0, done
    told = found(done)
    assert [*told] == CHECKS
    assert {word for word, _ in told.values()} == {"ok"}
    assert told["url"][1].startswith(f"{accounts.url} answers in ")
    assert told["url"][1].endswith(f"version {__version__}")
    assert told["login"][1] == "ada (developer), from profile default"
    assert told["stream"][1].startswith("first byte after ")
    assert json.loads(ada.types("doctor", "-o", "json").out)[3] == {
        "check": "login", "ok": True, "detail": "ada (developer), from profile default", "fix": "",
    }  # fmt: skip
    assert ada.types("doctor", "-o", "name").out == ""


def test_where_nobody_is_asked_all_is_well_without_a_login(person, shared_service):
    done = person.types("doctor", "--url", shared_service.url)
    assert done.code == 0
    assert found(done)["login"] == ("ok", "the service asks nobody who they are")


def test_without_a_service_the_rest_is_not_looked_at(person):
    done = person.types("doctor", "--url", NOWHERE)
    assert done.code == 1
    told = found(done)
    assert [*told] == CHECKS
    assert [word for word, _ in told.values()] == ["bad", "ok", "-", "-", "-", "-"]
    assert "(from --url). Fix: start the service" in told["url"][1]
    assert person.types("doctor", "--url", NOWHERE, "-o", "name").out == "url\n"
    missing = json.loads(person.types("doctor", "--url", NOWHERE, "-o", "json").out)
    assert [each["ok"] for each in missing] == [False, True, None, None, None, None]


def test_whoever_has_not_signed_in_is_told_how(person, accounts):
    done = person.types("doctor", "--url", accounts.url)
    assert done.code == 1
    assert found(done)["login"] == (
        "bad", f"nobody is signed in. Fix: slipway login {accounts.url}"
    )  # fmt: skip
    assert found(done)["stream"][0] == "-"


def test_a_token_that_has_ended_is_told_with_where_it_is_from(person, accounts, monkeypatch):
    answer = requests.post(
        f"{accounts.url}/auth/token", json={"expires_in": "1s"}, auth=ROOT,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    monkeypatch.setenv("SLIPWAY_TOKEN", answer.json()["access_token"])

    def bad() -> str:
        word, text = found(person.types("doctor", "--url", accounts.url))["login"]
        return text if word == "bad" else ""  # else it ended while something else was looked at

    told = await_that(bad, "the token has ended")
    assert "(from SLIPWAY_TOKEN)" in told
    assert "Fix: set SLIPWAY_TOKEN anew, or unset it" in told


def test_what_a_login_may_not_is_told(ada, accounts, monkeypatch):
    key = ada.types("api-keys", "create", "few", "--scope", "workflows:read").out.strip()
    monkeypatch.setenv("SLIPWAY_API_KEY", key)
    done = ada.types("doctor")
    assert done.code == 1
    assert found(done)["allowed"] == (
        "bad", "you may not launch, follow, cancel. Fix: use a login with more scopes"
    )  # fmt: skip
    assert found(done)["stream"][0] == "-"
    monkeypatch.delenv("SLIPWAY_API_KEY")
    assert ada.types("api-keys", "revoke", key).code == 0


def test_a_password_that_nobody_gives_is_named(person, accounts):
    done = person.types("doctor", "--url", accounts.url, "-u", "ada")
    assert done.code == 1
    assert "Fix: Give SLIPWAY_PASSWORD." in found(done)["login"][1]


def test_a_profile_that_there_is_not_is_a_line_as_well(person):
    done = person.types("doctor", "--profile", "none")
    assert done.code == 1
    assert done.out.startswith("bad  login    There is no profile 'none'")


LOGIN_PAGE = answer(200, b"<html><title>Please sign in</title></html>", "text/html")
REDIRECT = answer(302, kind="", Location="https://login.example.org/?next=secret")
RUBBISH = b"\x00\xff rubbish\r\n\r\n"
BAD_GATEWAY = answer(502, b"<html><title>Bad Gateway</title></html>", "text/html")


@pytest.mark.parametrize(
    "said", [LOGIN_PAGE, REDIRECT, RUBBISH, BAD_GATEWAY],
    ids=["login_page", "redirect", "rubbish", "bad_gateway"],
)  # fmt: skip
def test_what_is_no_service_is_told_from_one(person, said):
    with RawServer(lambda *_: said) as server:
        url = server.url
        done = person.types("doctor", "--url", url)
        assert done.code == 1
        word, told = found(done)["url"]
        assert word == "bad"
        assert "Fix: " in told
        assert "secret" not in told
        # What is cut off is asked for again for a while, which others try.
        tried = [["whoami"], ["version"], ["login", "-u", "ada:x"]]
        for words in tried if said in (LOGIN_PAGE, REDIRECT) else []:
            refused = person.types(*words, "--url", url)
            assert refused.code == 5, (words, refused)
            assert len(refused.err.splitlines()) <= 4, refused.err


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    """A service over TLS, and the certificate of who vouches for it."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "ca")
    pair = authority.issue("localhost", lasts=timedelta(days=80))
    tls = {"ENABLED": "true", "CERT": pair.cert, "KEY": pair.key}
    made = Service(folder, env={f"SLIPWAY_API__TLS__{k}": str(v) for k, v in tls.items()})
    yield made.start(), authority.cert
    made.end()


def test_a_certificate_is_looked_at(person, secured, monkeypatch):
    service, authority = secured
    done = person.types("doctor", "--url", service.url)
    assert done.code == 1
    told = found(done)
    assert told["tls"][0] == "bad"
    assert "REQUESTS_CA_BUNDLE=FILE" in told["tls"][1]
    assert told["url"][1].endswith("Fix: see tls")
    assert person.types("login", service.url).code == 5
    assert person.types("login", service.url, "--ca-file", str(authority)).code == 0
    well = person.types("doctor")
    assert well.code == 0, well
    assert found(well)["tls"] == ("ok", "the certificate is good for 79 days")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    assert person.types("doctor").code == 0, "what is kept for the service is more exact"
    missing = person.types("doctor", "--url", service.url.replace("127.0.0.1", "localhost"))
    assert "there are no certificates in /nowhere/ca.pem" in found(missing)["tls"][1]


def test_the_versions_of_both_sides(person, shared_service, monkeypatch):
    url = shared_service.url
    told = f"slipway {__version__}\nservice {__version__} at {url}\n"
    assert person.types("version", "--url", url) == (0, told, "")
    assert person.types("version", "-o", "name") == (0, f"{__version__}\n", "")
    as_json = json.loads(person.types("version", "--url", url, "-o", "json").out)
    assert as_json["client"] == as_json["service"]["version"] == __version__
    alone = person.types("version", "--url", NOWHERE)
    assert (alone.code, alone.out) == (5, f"slipway {__version__}\n")
    assert json.loads(person.types("version", "--url", NOWHERE, "-o", "json").out) == {
        "client": __version__, "service": None,
    }  # fmt: skip
    monkeypatch.setenv("SLIPWAY_TOKEN", "that-nobody-knows")
    assert person.types("version", "--url", url).code == 0, "nobody need sign in for it"


@pytest.mark.parametrize(
    ("more", "opened"),
    [
        ({"BROWSER": "PLACE"}, True),
        ({"BROWSER": "PLACE", "SSH_CONNECTION": "1 2 3 4"}, True),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4"}, False),
        ({"DISPLAY": "", "WAYLAND_DISPLAY": ""}, False),
        ({"BROWSER": "/nowhere/browser"}, False),
    ],
)
def test_the_page_is_opened_where_there_is_a_browser(
    person: Person, client: Client, tmp_path: Path, more: dict[str, str], opened: bool
) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    variables = {k: str(browser) if v == "PLACE" else v for k, v in more.items()}
    done = person.starts("open", "--url", client.url, **variables)
    assert done.code == 0, done.err
    assert done.out == ("" if opened else f"{client.url}/ui/\n")
    assert (seen.read_text() if seen.exists() else "") == (f"{client.url}/ui/\n" if opened else "")


def test_what_is_said_of_an_execution_is_opened(person, client, monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "1 2 3 4")
    execution = client.run(
        {"id": "quick", "steps": [{"id": "a", "type": "script", "config": {"script": "true"}}]}
    )
    done = person.types("open", execution[:13], "--url", client.url)
    assert done == (0, f"{client.url}/ui/executions/{execution}\n", "")
    assert person.types("open", "0" * 12, "--url", client.url).code == 4
    assert json.loads(person.types("open", "--url", client.url, "-o", "json").out) == {
        "url": f"{client.url}/ui/"
    }
