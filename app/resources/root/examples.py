"""The workflow of which the document's examples tell: what is uploaded, launched and followed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

WORKFLOW: Final = "greeting"
TASK: Final = "hello"
INPUTS: Final[Mapping[str, Any]] = {"who": "world"}
LABELS: Final[Mapping[str, str]] = {"grid": "fine"}
DEFINITION: Final[Mapping[str, Any]] = {
    "id": WORKFLOW,
    "name": "Greeting",
    "inputs": {"who": {"type": "string", "default": "everybody"}},
    "steps": [{"id": TASK, "type": "script", "config": {"script": 'echo "hello $INPUT_WHO"'}}],
}
EXECUTION_ID: Final = "0b9f6a52-7c1d-4f5e-9a3b-2d8e4c6f1a07"
EXECUTION_NAME: Final = f"{WORKFLOW}-20260131-120000"
