"""Workflow definitions that the end-to-end tests have in common."""

from __future__ import annotations

from typing import Any


def script(id_: str, text: str, *, needs: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """A step that runs a bash script."""
    return {"id": id_, "type": "script", "needs": needs or [], "config": {"script": text}, **more}


def workflow(id_: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A definition."""
    return {"id": id_, "steps": list(steps), **more}
