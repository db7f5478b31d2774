"""What all tests share."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["kit.fixtures"]

# How fast examples are made says nothing of the code, and a machine may be busy. The same examples
# each time: a run that fails must fail again.
settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the folder that they stand in."""
    for item in items:
        parts = pathlib.Path(str(item.path)).parts
        for folder in ("integration", "e2e"):
            if folder in parts:
                item.add_marker(getattr(pytest.mark, folder))
