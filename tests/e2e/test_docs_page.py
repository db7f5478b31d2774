"""The interactive documentation, in a real browser without any other network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=10000", "--dump-dom",
]  # fmt: skip


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        reason = "no chromium on this machine; see .ci/install-servers"
        if os.environ.get("SLIPWAY_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def test_the_page_shows_every_endpoint(service_url: str, chromium: str, tmp_path: Path) -> None:
    shown = subprocess.run(
        [chromium, *_FLAGS, f"--user-data-dir={tmp_path}", f"{service_url}/docs"],
        capture_output=True, text=True, timeout=90, check=True,
    ).stdout  # fmt: skip
    paths = set(re.findall(r'data-path="([^"]+)"', shown))
    assert {"/workflows", "/workflows/{reference}", "/executions/{execution_id}/logs"} <= paths
    assert "/ssh_keys" in paths
