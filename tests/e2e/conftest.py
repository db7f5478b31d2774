"""What the end-to-end tests share: real services, and a real browser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from kit.browser import Chromium


@pytest.fixture
def chromium_program() -> str:
    """Path of a real browser."""
    found = shutil.which("chromium")
    if found is None:
        reason = "no chromium on this machine; see .ci/install-servers"
        if os.environ.get("SLIPWAY_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def chromium(chromium_program: str, tmp_path: Path) -> Chromium:
    """A real browser."""
    return Chromium(chromium_program, tmp_path / "chromium")
