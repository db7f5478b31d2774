"""What leads where in this API, for those who follow its document."""

from __future__ import annotations

from typing import Final

from app.resources._links import Link, links

_EXECUTION: Final = "/api/v1/executions/{execution_id}"
_WORKFLOW: Final = "/api/v1/workflows/{workflow_id}"

LINKS: Final[tuple[Link, ...]] = (
    *links(
        {("post /api/v1/workflows", 201): {"workflow_id": "$response.body#/workflow_id"}},
        [f"get {_WORKFLOW}", f"delete {_WORKFLOW}"],
    ),
    *links(
        {
            ("post /api/v1/workflows", 201): {"execution_id": "$response.body#/execution_id"},
            ("get /api/v1/executions", 200): {"execution_id": "$response.body#/executions/0/id"},
        },
        [
            f"get {_EXECUTION}",
            f"delete {_EXECUTION}",
            f"get {_EXECUTION}/metrics",
            f"post {_EXECUTION}/pause",
            f"post {_EXECUTION}/scale",
        ],
    ),
    *links(
        {(f"post {_EXECUTION}/pause", 200): {"execution_id": "$request.path.execution_id"}},
        [f"post {_EXECUTION}/resume"],
    ),
    *links(
        {("get /api/v1/slaves", 200): {"slave_id": "$response.body#/slaves/0/id"}},
        ["get /api/v1/slaves/{slave_id}", "post /api/v1/slaves/{slave_id}/drain"],
    ),
)
