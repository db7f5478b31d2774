"""The lines of the guide to identities, run as they stand there; see also ``test_users``."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kit.certificates import Authority
from kit.definitions import script, workflow
from kit.fixtures import SETTINGS
from kit.guides import blocks, require_programs, run_block
from kit.servers.oidc import AUDIENCE, CLI, WEB, WEB_SECRET, OidcProvider
from kit.service import Service, manage
from kit.visitor import Visitor

from app.identity.scopes import SCOPES

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "identities.md"
PASSWORD = "a long password"


def part(title: str) -> str:
    text = GUIDE.read_text(encoding="utf-8")
    return re.split(r"\n##+ ", text.partition(f"## {title}\n")[2])[0]


def lines(title: str, language: str = "sh") -> list[str]:
    return blocks(part(title), language)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    def run(block: str, **more: str) -> str:
        return run_block(block, tmp_path, passwords={"ada": PASSWORD}, **more)

    return run


def configured(folder: Path, types: list[str], **more: object) -> Path:
    config = folder / "slipway.yaml"
    api = {"auth": {"type": types}, **more}
    config.write_text(json.dumps({"data_dir": str(folder / "data"), "api": api}))
    manage("user", "add", "ada", "--role", "user", "--config", config, typed=f"{PASSWORD}\n")
    return config


@pytest.mark.runs("docs/guides/identities.md", "## API keys")
def test_keys_are_made_used_and_revoked(
    tmp_path: Path, new_service: Callable[..., Service], run: Callable[..., str]
) -> None:
    config = configured(tmp_path, ["basic", "api_key"])
    service = new_service(arguments=["--config", config]).start()
    by_command, by_http, *_ = lines("API keys")
    create, rest = by_command.split("slipway api-key list", 1)
    run(create)
    key = (tmp_path / "ada.key").read_text().strip()
    told = run(f"slipway api-key list{rest}".replace("slw_7RQb", key[:8]))
    assert key[:8] in told
    make, rest = by_http.split("curl -u ada $URL/api_keys\n", 1)
    made = json.loads(run(make, URL=service.url))
    remove, use = rest.split("\n", 1)
    unrestricted = make.replace(', "scopes": ["executions:read"]', "")
    assert unrestricted != make
    key = json.loads(run(unrestricted, URL=service.url))["key"]
    run(use, URL=service.url, KEY=key)
    run(remove.replace("<id>", made["id"]), URL=service.url)
    listed = run("curl -u ada $URL/api_keys", URL=service.url)
    assert json.loads(listed)


@pytest.mark.runs("docs/guides/identities.md", "## Who am I", "## Tokens of the service's own")
def test_tokens_are_got_and_used_and_the_key_that_signs_is_replaced(
    tmp_path: Path, new_service: Callable[..., Service], run: Callable[..., str]
) -> None:
    config = configured(tmp_path, ["basic", "api_key"])
    service = new_service(arguments=["--config", config]).start()
    [ask] = lines("Who am I")
    assert json.loads(run(ask, URL=service.url))["username"] == "ada"
    get, rotate = lines("Tokens of the service's own")
    by_password, by_key = get.split("\n", 1)
    token = json.loads(run(by_password, URL=service.url))["access_token"]
    key = service.client("ada", PASSWORD).send("POST", "/api_keys", json={"name": "job"}).json()
    printed = run(by_key, URL=service.url, KEY=key["key"], TOKEN=token)
    narrow, listed = (json.loads(line) for line in printed.splitlines() if line)
    assert set(narrow["scope"].split()) == {"executions:run", "executions:read"}
    assert listed["executions"] == []
    run(rotate)
    use = 'curl -H "Authorization: Bearer $TOKEN" $URL/executions'
    with pytest.raises(AssertionError, match="401"):
        run(use, URL=service.url, TOKEN=token)


@pytest.mark.runs("docs/guides/identities.md", "## Certificates of clients")
def test_a_certificate_is_whom_it_names(
    tmp_path: Path, new_service: Callable[..., Service], run: Callable[..., str]
) -> None:
    make, use = lines("Certificates of clients")
    run(make)
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("localhost")
    shutil.copyfile(authority.cert, tmp_path / "fullchain.pem")
    tls = {
        "enabled": True, "cert": str(pair.cert), "key": str(pair.key), "client_ca": "clients.pem",
    }  # fmt: skip
    config = configured(tmp_path, ["certificate", "basic"], tls=tls)
    service = new_service(arguments=["--config", config]).start()
    assert json.loads(run(use, URL=service.url))["executions"] == []


@pytest.mark.runs("docs/guides/identities.md", "### Sessions")
def test_a_session_is_begun_used_and_ended(
    tmp_path: Path, new_service: Callable[..., Service], run: Callable[..., str]
) -> None:
    require_programs("jq")
    config = configured(tmp_path, ["basic"])
    service = new_service(arguments=["--config", config]).start()
    flow = json.dumps(workflow("hello", script("a", "true")))
    (tmp_path / "data" / "workflows" / "hello.yaml").write_text(flow, encoding="utf-8")
    block, elsewhere = lines("Sessions")
    said = [json.loads(line) for line in run(block, URL=service.url).splitlines() if line]
    begun, listed, ended = said
    assert begun["username"] == "ada"
    assert begun["csrf_token"]
    assert listed["executions"] == []
    assert ended == {"sign_out_url": None}
    launched = json.loads(run("curl -u ada $URL/executions", URL=service.url))["executions"]
    assert [each["workflow"] for each in launched] == ["hello"]
    assert "curl -b jar $URL/executions" in block
    with pytest.raises(AssertionError, match="401"):
        run("curl -b jar $URL/executions", URL=service.url)
    begun, listed, ended = (
        json.loads(line) for line in run(elsewhere, URL=service.url).splitlines() if line
    )
    assert [each["username"] for each in listed["sessions"]] == [begun["username"]]
    assert ended == {"ended": 0}
    with pytest.raises(AssertionError, match="401"):
        run("curl -b jar $URL/executions", URL=service.url)


@pytest.mark.runs(
    "docs/guides/identities.md",
    "### Opaque tokens",
    "### How a command line finds the issuer",
    "$ACCESS_TOKEN",
)
def test_a_terminal_finds_the_issuer_and_signs_in_there(
    tmp_path: Path, new_service: Callable[..., Service], run: Callable[..., str]
) -> None:
    provider = OidcProvider(tmp_path, claims={"ada": {"roles": ["developer"]}})
    provider.start()
    try:
        [opaque] = lines("Opaque tokens", "yaml")
        [client] = lines("How a command line finds the issuer", "yaml")
        auth = yaml.safe_load(opaque)["api"]["auth"] | yaml.safe_load(client)["api"]["auth"]
        auth["jwt"] |= {"issuer": provider.issuer, "audience": AUDIENCE}
        auth["introspection"] |= {"issuer": provider.issuer, "client_id": WEB}
        del auth["introspection"]["audience"]  # this provider gives opaque tokens none
        auth["cli_client_id"] = CLI
        config = tmp_path / "slipway.yaml"
        config.write_text(json.dumps({"data_dir": str(tmp_path / "data"), "api": {"auth": auth}}))
        env = {**SETTINGS, "INTROSPECTION_SECRET": WEB_SECRET}
        service = new_service(arguments=["--config", config], env=env).start()
        [find] = lines("How a command line finds the issuer")
        challenge, _, metadata = run(find, URL=service.url).strip().partition("\n")
        assert "resource_metadata=" in challenge
        told = json.loads(metadata)
        assert told["authorization_servers"] == [provider.issuer]
        assert told["slipway_client_id"] == CLI
        for opaque_ones in (False, True):
            if opaque_ones:
                provider.jwts = False
                provider.restart()
            token = signed_in(service.url)
            assert ("." in token) != opaque_ones
            [use] = lines("OpenID Connect")
            listed = json.loads(run(use, URL=service.url, ACCESS_TOKEN=token))
            assert listed["executions"] == []
    finally:
        provider.stop()


def signed_in(url: str) -> str:
    """Sign in as the program of the guide does, with a visitor who opens what it prints."""
    [program] = lines("How a command line finds the issuer", "python")
    program = program.replace("https://slipway.example.org", url)
    printed: list[str] = []

    def show(uri: str, code: str) -> None:
        printed.append(f"{uri}?user_code={code}")
        Visitor("ada").sign_in(printed[-1])

    known: dict[str, Any] = {"print": show}
    exec(program, known)
    assert len(printed) == 1
    return str(known["tokens"].access_token)


def test_the_guide_names_each_scope() -> None:
    table = "\n".join(line for line in part("Scopes").splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([a-z:]+)`", table)) == set(SCOPES)
