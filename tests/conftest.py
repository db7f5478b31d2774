"""What all tests share."""

from __future__ import annotations

import pathlib

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the folder that they stand in."""
    for item in items:
        parts = pathlib.Path(str(item.path)).parts
        for folder in ("integration", "e2e"):
            if folder in parts:
                item.add_marker(getattr(pytest.mark, folder))
