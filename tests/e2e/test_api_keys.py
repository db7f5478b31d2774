"""API keys on two real web processes over both stores: used, revoked, ended with their owner."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from kit.fixtures import SETTINGS
from kit.patience import PATIENCE_SECONDS
from kit.service import Service, manage

TRIES = 16
ROOT = ("root", "the first password")
OUT = {401, 429}


@pytest.fixture(scope="module")
def env(store_settings: dict[str, str]) -> dict[str, str]:
    return {
        **SETTINGS,
        **store_settings,
        "SLIPWAY_WEB__PROCESSES": "2",
        "SLIPWAY_API__AUTH__TYPE": "[basic, api_key]",
        "SLIPWAY_OBSERVABILITY__LOG_FORMAT": "json",
        "SLIPWAY_OBSERVABILITY__LOG_LEVEL": "DEBUG",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


def run(env: dict[str, str], folder: Path, *words: str, password: str = "") -> str:
    return manage(*words, "--data-dir", folder / "data", env=env, typed=password)


@pytest.fixture(scope="module")
def service(env: dict[str, str], folder: Path) -> Iterator[Service]:
    run(env, folder, "user", "add", "root", "--role", "admin", password=ROOT[1])
    run(env, folder, "user", "add", "ada", password="ada's own password")
    made = Service(folder, env=env)
    made.user = ROOT
    yield made.start()
    made.end()


def answers(service: Service, key: str) -> set[int]:
    """Ask on connections of their own, so that both processes are asked, and return the answers."""
    return {
        requests.get(
            f"{service.url}/executions", headers={"X-API-Key": key}, timeout=PATIENCE_SECONDS
        ).status_code
        for _ in range(TRIES)
    }


def make(env: dict[str, str], folder: Path) -> tuple[str, str]:
    key = run(env, folder, "api-key", "create", "--owner", "ada", "--name", "test").strip()
    listed = run(env, folder, "api-key", "list", "--owner", "ada")
    assert key not in listed
    return key, next(line for line in listed.splitlines() if key[:8] in line).partition(":")[0]


def test_what_is_revoked_is_refused_by_every_process_within_a_second(
    service: Service, env: dict[str, str], folder: Path
) -> None:
    for by_command in (True, False):
        key, id_ = make(env, folder)
        assert answers(service, key) == {200}
        if by_command:
            run(env, folder, "api-key", "revoke", id_)
        else:
            url = f"{service.url}/api_keys/{id_}"
            assert requests.delete(url, auth=ROOT, timeout=PATIENCE_SECONDS).status_code == 204
        time.sleep(1)
        assert answers(service, key) <= OUT


def test_keys_end_for_good_with_their_owner(
    service: Service, env: dict[str, str], folder: Path
) -> None:
    key, _ = make(env, folder)
    assert answers(service, key) == {200}
    run(env, folder, "user", "disable", "ada")
    time.sleep(1)
    assert answers(service, key) <= OUT
    run(env, folder, "user", "enable", "ada")
    time.sleep(1)
    assert answers(service, key) <= OUT


def test_no_key_is_in_what_the_service_writes(
    service: Service, env: dict[str, str], folder: Path
) -> None:
    key, _ = make(env, folder)
    for path in ("/executions", "/nothing", f"/executions/{key}", f"/workflows/{key}/x"):
        for query in (f"api_key={key}", f"api%5Fkey={key}", f"page_size={key}&x={key}"):
            for method in ("GET", "POST", "DELETE"):
                answer = requests.request(
                    method, f"{service.url}{path}?{query}", auth=ROOT, timeout=PATIENCE_SECONDS
                )
                assert key not in answer.text
    written = [p for p in folder.rglob("*") if p.is_file()]
    assert written
    for file in written:
        assert key.encode() not in file.read_bytes(), file


def tokens(service: Service, **more: Any) -> list[str]:
    """Get tokens on connections of their own, so that both processes sign some."""
    return [
        requests.post(
            f"{service.url}/auth/token", timeout=PATIENCE_SECONDS, **more
        ).json()["access_token"]
        for _ in range(TRIES)
    ]  # fmt: skip


def taken(service: Service, token: str) -> set[int]:
    """Show a token to both processes, and return the answers."""
    headers = {"Authorization": f"Bearer {token}"}
    return {
        requests.get(
            f"{service.url}/executions", headers=headers, timeout=PATIENCE_SECONDS
        ).status_code
        for _ in range(TRIES)
    }


def test_all_processes_sign_with_one_key_that_a_command_replaces(
    service: Service, env: dict[str, str], folder: Path
) -> None:
    before = tokens(service, auth=ROOT)
    assert len({token.split(".")[0] for token in before}) == 1
    assert taken(service, before[0]) == {200}
    run(env, folder, "auth", "rotate-key")
    time.sleep(1)
    after = tokens(service, auth=ROOT)
    assert len({token.split(".")[0] for token in (before[0], *after)}) == 2
    assert taken(service, before[0]) == taken(service, after[0]) == {200}
    run(env, folder, "auth", "rotate-key", "--at-once")
    time.sleep(1)
    assert taken(service, before[0]) | taken(service, after[0]) <= OUT


def test_a_token_ends_in_every_process_with_what_it_was_got_with(
    service: Service, env: dict[str, str], folder: Path
) -> None:
    run(env, folder, "user", "add", "eve", "--role", "user", password="eve's password")
    key = run(env, folder, "api-key", "create", "--owner", "eve", "--name", "test").strip()
    id_ = run(env, folder, "api-key", "list", "--owner", "eve").partition(":")[0]
    by_key = tokens(service, headers={"X-API-Key": key})[0]
    by_password = tokens(service, auth=("eve", "eve's password"))[0]
    assert taken(service, by_key) == taken(service, by_password) == {200}
    run(env, folder, "api-key", "revoke", id_)
    time.sleep(1)
    assert taken(service, by_key) <= OUT
    assert taken(service, by_password) == {200}
    changes: list[tuple[tuple[str, ...], str]] = [
        (("passwd", "eve"), "another password"), (("roles", "eve", "developer"), ""),
        (("disable", "eve"), ""),
    ]  # fmt: skip
    password = "eve's password"
    for words, typed in changes:
        got = tokens(service, auth=("eve", password))[0]
        assert taken(service, got) == {200}
        run(env, folder, "user", *words, password=typed)
        time.sleep(1)
        assert taken(service, got) <= OUT, words
        password = typed or password
