"""What leads where in this API, for those who follow its document."""

from __future__ import annotations

from typing import Final

from app.resources._links import Link, links

_WORKFLOW: Final = "/api/workflows/{workflow_name}"
_WORKER: Final = "/api/workers/{workflow_name}/{worker_name}"
_SAME: Final = {"workflow_name": "$request.path.workflow_name"}

LINKS: Final[tuple[Link, ...]] = (
    *links(
        {
            ("post /api/workflows", 201): {"workflow_name": "$request.body#/name"},
            ("get /api/workflows", 200): {"workflow_name": "$response.body#/data/0/name"},
        },
        [
            f"get {_WORKFLOW}",
            f"post {_WORKFLOW}/start",
            f"get {_WORKFLOW}/workers",
            "get /api/workers/{workflow_name}",
        ],
    ),
    *links(
        {
            (f"get {_WORKFLOW}/workers", 200): {
                **_SAME, "worker_name": "$response.body#/data/0/name",
            },
            ("get /api/workers/{workflow_name}", 200): {
                **_SAME, "worker_name": "$response.body#/data/0/name",
            },
        },
        [
            f"get {_WORKER}",
            f"get {_WORKER}/schema",
            f"get {_WORKER}/logs",
            f"get {_WORKER}/metrics",
            f"post {_WORKER}/start",
            f"post {_WORKER}/stop",
            f"post {_WORKER}/restart",
            f"delete {_WORKER}",
        ],
    ),
)  # fmt: skip
