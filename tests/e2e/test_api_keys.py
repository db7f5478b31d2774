"""API keys on two real web processes over both stores: used, revoked, ended with their owner."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from kit.fixtures import SETTINGS
from kit.patience import PATIENCE_SECONDS
from kit.service import Service, run_slipway

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
    done = run_slipway(*words, "--data-dir", folder / "data", env=env, typed=password)
    assert done.returncode == 0, done.stderr
    return done.stdout


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
