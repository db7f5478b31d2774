"""A second port beside that of the API: the whole application, alike in everything."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from kit.patience import PATIENCE_SECONDS
from kit.ports import free_port
from kit.service import Service, run_slipway

Make = Callable[..., Service]


def with_second(new_service: Make, processes: int) -> tuple[Service, str]:
    port = free_port()
    env = {"SLIPWAY_API__WATTLE__PORT": str(port), "SLIPWAY_WEB__PROCESSES": str(processes)}
    return new_service(env=env).start(), f"http://127.0.0.1:{port}"


def test_both_ports_answer_the_same_and_end_together(new_service: Make) -> None:
    service, second = with_second(new_service, 2)
    for url in (service.url, second):
        for path in ("/workflows", "/api/workflows", "/ready"):
            assert requests.get(url + path, timeout=PATIENCE_SECONDS).status_code == 200
    refused = requests.get(
        f"{second}/api/workflows", headers={"Host": "evil.example"}, timeout=PATIENCE_SECONDS
    )
    assert refused.status_code == 421
    service.stop()
    for url in (service.url, second):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 1)


def test_a_web_process_that_is_killed_is_replaced_on_both(new_service: Make) -> None:
    service, second = with_second(new_service, 1)
    service.kill("web")
    for url in (second, service.url):  # connections wait in both queues
        answer = requests.get(f"{url}/api/workflows", timeout=PATIENCE_SECONDS)
        assert answer.json()["data"] == []


def test_a_port_that_is_taken_keeps_the_service_from_starting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {"SLIPWAY_API__PORT": "0", "SLIPWAY_API__WATTLE__PORT": str(port)}
        found = run_slipway("serve", "--data-dir", tmp_path / "data", env=env)
    assert found.returncode == 1
    assert f"127.0.0.1:{port}" in found.stderr
    assert "in use" in found.stderr


def test_it_must_be_another_one(tmp_path: Path) -> None:
    env = {"SLIPWAY_API__PORT": "9240", "SLIPWAY_API__WATTLE__PORT": "9240"}
    found = run_slipway("serve", "--data-dir", tmp_path / "data", env=env)
    assert found.returncode == 2
    assert "api.wattle.port" in found.stderr
