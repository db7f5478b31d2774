"""The Python client follows through a real nginx that is set up as it should not be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.client import Client as User
from kit.following import Relay
from kit.servers.nginx import NginxServer

from slipway import Client, Execution, Patience

HOLDS = """
    proxy_buffering on;
    proxy_buffers 8 64k;
    proxy_ignore_headers X-Accel-Buffering;
    proxy_http_version 1.0;
"""
CUTS = """
    proxy_buffering off;
    proxy_read_timeout 1s;
"""
HASTY = Patience(buffered=1.0, quiet=2.0)
"""Notices a proxy sooner than people need; whatever it thinks, no line may be lost by it."""


@pytest.fixture
def nginx() -> Iterator[NginxServer]:
    server = NginxServer()
    yield server
    server.remove()


@pytest.mark.parametrize("faulty", [HOLDS, CUTS], ids=["holds answers back", "cuts what is quiet"])
def test_each_line_comes_once_behind_a_proxy(
    nginx: NginxServer, client: User, tmp_path: Path, faulty: str
) -> None:
    nginx.configure(
        f"server {{ listen {nginx.address}; location / {{ proxy_pass {client.url}; {faulty} }} }}"
    )
    nginx.start()
    relay = Relay(client, tmp_path)
    told: list[str] = []
    numbers = []
    with Client(nginx.url, patience=HASTY, trace=told.append) as behind:
        for entry in Execution(behind, relay.id).follow(step="relay"):
            if entry.content.strip().isdigit():
                numbers.append(int(entry.content))
            if relay.written in (0, len(numbers)):
                # Nothing is said until the client has found its way.
                relay.write(50) if relay.written < 200 else relay.end()
    assert numbers == list(range(200))
    assert any("holds the log back" in line for line in told) == (faulty == HOLDS)
