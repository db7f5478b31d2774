"""Scripts that say when they began and wait to be let go on, and what the tests read of them."""

from __future__ import annotations

from kit.patience import await_that
from kit.service import Service

MARK = 'echo "$SLIPWAY_TASK" >> marks\n'
"""Begins a script that notes its beginning in the folder of its work."""


def wait_for_gate(name: str) -> str:
    """Part of a script that waits until somebody makes a file beside its work."""
    return f"until [ -e {name} ]; do sleep 0.02; done\n"


def marks(service: Service, execution: str) -> list[str]:
    """The tasks that began, in their order, each time that they did."""
    file = service.work(execution) / "marks"
    return file.read_text(encoding="utf-8").split() if file.exists() else []


def await_marks(service: Service, execution: str, number: int) -> None:
    """Wait until so many tasks have begun."""
    await_that(lambda: len(marks(service, execution)) >= number, f"{number} steps have begun")
