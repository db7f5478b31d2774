"""What the existing ``waas`` command-line client sends, byte for byte."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from kit.client import Client
from kit.patience import PATIENCE_SECONDS
from kit.service import Service

QUICK = {
    "id": "quick",
    "inputs": {"n": {"type": "integer", "default": 3}},
    "steps": [{"id": "say", "type": "command", "config": {"command": "echo", "args": ["hello"]}}],
}
EXACT = {"PENDING", "RUNNING", "PAUSED", "CANCELLING", "SUCCESS", "FAILED", "CANCELLED", "UNKNOWN"}
FIVE = {"RUNNING", "SUCCESS", "FAILED", "CANCELLING", "CANCELLED"}


def ask(
    url: str, first_line: str, body: bytes = b"", *more: str
) -> tuple[int, dict[str, str], Any]:
    """Send the bytes that the client sends; return status, headers and body of the answer."""
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [
        f"{first_line} HTTP/1.1", f"Host: {place.netloc}", "User-Agent: Go-http-client/1.1",
        *length, "Accept: application/json", *more, "Accept-Encoding: gzip", "", "",
    ]  # fmt: skip
    with socket.create_connection((place.hostname, place.port), PATIENCE_SECONDS) as connection:
        connection.sendall("\r\n".join(lines).encode() + body)
        answer = connection.makefile("rb")
        status = int(answer.readline().split()[1])
        headers = {}
        while line := answer.readline().strip().decode():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        content = answer.read(int(headers["content-length"]))
    return status, headers, json.loads(content) if content else None


@pytest.fixture
def url(shared_service: Service, client: Client) -> str:
    """A service that offers the workflow."""
    client.upload(QUICK)
    return shared_service.url


@pytest.fixture
def launched(url: str) -> str:
    """An execution that the client has launched."""
    status, headers, _ = ask(url, "POST /workflows/quick", b'{"inputs":{"n":"5"}}')
    assert (status, headers["content-length"]) == (201, "0")
    return headers["location"].removeprefix("/executions/")


def test_workflows_are_listed(url: str) -> None:
    status, _, body = ask(url, "GET /workflows")
    assert status == 200
    [quick] = [workflow for workflow in body["workflows"] if workflow["id"] == "quick"]
    assert {"name", "application_id", "environment_id", "environment_name"} <= set(quick)


def test_an_input_that_is_text_is_the_integer_that_it_writes(launched: str, client: Client) -> None:
    assert client.execution(launched)["inputs"] == {"n": 5}
    assert client.wait(launched)["status"] == "SUCCESS"


def test_a_launch_without_inputs_says_null(url: str, client: Client) -> None:
    status, headers, _ = ask(url, "POST /workflows/quick", b'{"inputs":null}')
    assert status == 201
    assert client.execution(headers["location"].rpartition("/")[2])["inputs"] == {"n": 3}


def test_an_input_that_is_none_is_told_in_a_sentence(url: str) -> None:
    body = b'{"inputs":{"n":"5","verbose":"yes"}}'
    status, _, answer = ask(url, "POST /workflows/quick", body)
    assert status == 422
    [error] = answer["errors"]
    assert error["detail"] == "inputs.verbose is not an input of this workflow."
    assert error["detail"] in answer["detail"]


def test_the_status_is_a_word_that_the_client_knows(
    url: str, launched: str, client: Client
) -> None:
    _, _, body = ask(url, f"GET /executions/{launched}")
    assert body["id"] == launched
    assert body["status"] in FIVE
    assert body["state"] in EXACT
    client.wait(launched)
    assert ask(url, f"GET /executions/{launched}")[2]["status"] == "SUCCESS"


@pytest.mark.parametrize("levels", [14, 15])
def test_logs_are_read(url: str, launched: str, client: Client, levels: int) -> None:
    client.wait(launched)
    path = f"/executions/{launched}/logs?from=0&levels={levels}&size=50"
    status, _, page = ask(url, f"GET {path}")
    assert status == 200
    assert any(entry["content"] == "hello" for entry in page["logs"])
    assert {"level", "timestamp", "content"} <= set(page["logs"][0])
    assert page["execution_status"] == "SUCCESS"


def test_a_cancel_is_accepted(url: str, client: Client) -> None:
    client.upload({**QUICK, "id": "long", "steps": [
        {"id": "wait", "type": "command", "config": {"command": "sleep", "args": ["600"]}}
    ]})  # fmt: skip
    _, headers, _ = ask(url, "POST /workflows/long", b'{"inputs":null}')
    execution = headers["location"].rpartition("/")[2]
    status, headers, body = ask(url, f"DELETE /executions/{execution}")
    assert (status, headers["content-length"], body) == (202, "0", None)
    assert client.wait(execution)["status"] == "CANCELLED"


@pytest.mark.parametrize("metadata", [None, {"cluster": "hpc1"}])
def test_keys_are_made(url: str, client: Client, metadata: dict[str, str] | None) -> None:
    body = b'{"metadata":{"cluster":"hpc1"}}' if metadata else b"{}"
    status, _, key = ask(url, "POST /ssh_keys", body)
    assert status == 201
    assert set(key) == {"id", "public_key"}
    [listed] = [k for k in client.get("/ssh_keys")["ssh_keys"] if key["id"].startswith(k["id"])]
    assert listed["metadata"] == (metadata or {})


def test_a_token_does_no_harm_where_nobody_signs_in(url: str) -> None:
    assert ask(url, "GET /workflows", b"", "Authorization: Bearer TOKEN")[0] == 200


def test_a_user_signs_in_with_his_password_and_not_with_a_token(
    new_service: Callable[..., Service], tmp_path: Path
) -> None:
    users = [{"username": "alice", "password": "secret"}]
    config = {
        "data_dir": str(tmp_path / "data"), "api": {"auth": {"type": "basic", "users": users}}
    }  # fmt: skip
    file = tmp_path / "slipway.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    service = new_service(arguments=["--config", file]).start()
    basic = base64.b64encode(b"alice:secret").decode()
    assert ask(service.url, "GET /workflows", b"", f"Authorization: Basic {basic}")[0] == 200
    status, _, body = ask(service.url, "GET /workflows", b"", "Authorization: Bearer TOKEN")
    assert status == 401
    assert body["errors"][0]["detail"]
