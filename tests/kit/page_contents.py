"""What pages show: a service with a little of everything, and texts that would like to be HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kit.client import Client

EVIL: Final = '"\'><img src=x onerror="window.taken=1"><script>window.taken=1</script>{{7*7}}'
"""Would run a script where it is put into a page as it is."""

_MESH: Final = """
for i in 1 2 3 4 5; do echo "refining cells of region $i"; done
echo "WARN region 4 has flat cells"
if [ "$INPUT_CELLS" -gt 1000000 ]; then
  echo "ERROR no licence for $INPUT_CELLS cells" >&2
  exit 2
fi
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """What was put into a service: ids of executions.

    Attributes:
        good: One that succeeded.
        bad: One of the same workflow that failed.
        running: One that runs, until it is cancelled.
    """

    good: str
    bad: str
    running: str


def mesh(text: str = "Builds a mesh, solves on it, and tells what came out.") -> dict[str, Any]:
    """A workflow that fails for many cells; its descriptions hold a text."""

    def step(name: str, script: str, *needs: str) -> dict[str, Any]:
        config = {"script": script}
        return {"id": name, "type": "script", "needs": [*needs], "description": text,
                "config": config}  # fmt: skip

    return {
        "id": "mesh-and-solve",
        "name": "Mesh and solve",
        "description": text,
        "inputs": {
            "cells": {"type": "integer", "default": 1000, "minimum": 1, "maximum": 5_000_000,
                      "description": "How many cells the mesh has."},
            "solver": {"type": "string", "enum": ["simple", "piso"], "default": "simple"},
            "regions": {"type": "array", "items": {"type": "string"}, "default": ["inlet"]},
            "note": {"type": "string", "required": False, "description": text},
        },
        "outputs": {"report": {"value": "${{ steps.report.outputs.text }}", "description": text}},
        "steps": [
            step("fetch", "echo fetched the geometry"),
            step("mesh", _MESH, "fetch"),
            step("solve-1", "echo residual 1e-6", "mesh"),
            step("solve-2", "echo residual 2e-6", "mesh"),
            step("report", 'printf "text=%s\\n" "$INPUT_NOTE" >> "$SLIPWAY_OUTPUT"',
                 "solve-1", "solve-2"),
        ],
    }  # fmt: skip


def fill(client: Client, text: str) -> Contents:
    """Put a little of everything into a service, with a text wherever people can put one.

    Args:
        client: Somebody who may upload definitions.
        text: Such as ``EVIL``.
    """
    client.upload(mesh(text))
    good = client.launch("mesh-and-solve", {"note": text})
    client.wait(good)
    bad = client.launch("mesh-and-solve", {"cells": 2_000_000, "note": text})
    client.wait(bad)
    waiting = {"id": "waits", "name": text[:60], "description": text, "steps": [
        {"id": "wait", "type": "script",
         "config": {"script": f"cat <<'END'\n{text}\nERROR {text}\nEND\nsleep 600"}},
    ]}  # fmt: skip
    running = client.run(waiting)
    client.wait(running, "RUNNING")
    for path, body in (
        ("/ssh_keys", {"metadata": {"cluster": text}}),
        ("/api_keys", {"name": text[:60]}),
    ):
        answer = client.send("POST", path, json=body)
        assert answer.status_code in (201, 404, 409, 422), answer.text
    return Contents(good, bad, running)
