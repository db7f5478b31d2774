"""Processes that let no other user look into them, as those of the service (prctl(2))."""

from __future__ import annotations

import os

import pytest


def root_looks_into_them() -> None:
    """Skip a test that reads what such processes have open, in memory or in their environment."""
    if os.geteuid() != 0:
        pytest.skip("only root can look into processes that guard themselves")
