"""What leads where in the root API, for those who follow its document."""

from __future__ import annotations

from typing import Final

from app.resources._links import Link, links

_LOCATION: Final = {"execution_id": "$response.header.Location#regex:/executions/(.+)"}
"""The end of an address: an extension of the expressions, since no plain one takes it apart."""
_EXECUTION: Final = "/executions/{execution_id}"
_TASK: Final = f"{_EXECUTION}/tasks/{{name}}"
_WORKFLOW: Final = "/workflows/{reference}"
_SAME: Final = {"execution_id": "$request.path.execution_id"}

LINKS: Final[tuple[Link, ...]] = (
    *links(
        {
            ("post /workflows", 201): {"reference": "$response.body#/id"},
            ("get /workflows", 200): {"reference": "$response.body#/workflows/0/id"},
        },
        [
            f"get {_WORKFLOW}",
            f"get {_WORKFLOW}/definition",
            f"get {_WORKFLOW}/versions",
            f"get {_WORKFLOW}/graph",
            f"post {_WORKFLOW}",
            f"post {_WORKFLOW}/run",
        ],
    ),
    *links(
        {("post /workflows", 201): {"reference": "$response.body#/id"}},
        [f"put {_WORKFLOW}", f"delete {_WORKFLOW}"],
    ),
    *links(
        {
            (f"post {_WORKFLOW}", 201): _LOCATION,
            (f"post {_WORKFLOW}/run", 201): {"execution_id": "$response.body#/execution_id"},
            (f"post {_EXECUTION}/retry", 201): _LOCATION,
            ("get /executions", 200): {"execution_id": "$response.body#/executions/0/id"},
        },
        [
            f"get {_EXECUTION}",
            f"delete {_EXECUTION}",
            f"get {_EXECUTION}/logs",
            f"get {_EXECUTION}/logs/place",
            f"get {_EXECUTION}/logs/matches",
            f"get {_EXECUTION}/digest",
            f"get {_EXECUTION}/bundle",
            f"get {_EXECUTION}/tasks",
            f"get {_EXECUTION}/graph",
            f"get {_EXECUTION}/actions",
            f"get {_EXECUTION}/attempts",
            f"get {_EXECUTION}/metrics",
            f"post {_EXECUTION}/tickets",
            f"post {_EXECUTION}/pause",
            f"post {_EXECUTION}/scale",
            f"post {_EXECUTION}/retry",
            f"post {_EXECUTION}/abandon",
        ],
    ),
    *links(
        {
            (f"get {_EXECUTION}/tasks", 200): {**_SAME, "name": "$response.body#/tasks/0/name"},
            (f"get {_EXECUTION}", 200): {**_SAME, "name": "$response.body#/tasks/0/name"},
        },
        [f"get {_TASK}", f"post {_TASK}/start", f"post {_TASK}/stop", f"post {_TASK}/restart"],
    ),
    *links(
        {
            ("get /executions", 200): {
                "execution_id": "$response.body#/executions/0/id",
                "other_id": "$response.body#/executions/0/id",
            },
        },
        [f"get {_EXECUTION}/diff/{{other_id}}"],
    ),
    *links({(f"post {_EXECUTION}/pause", 202): _SAME}, [f"post {_EXECUTION}/resume"]),
    *links(
        {
            (f"post {_EXECUTION}/tickets", 201): {**_SAME, "ticket": "$response.body#/ticket"},
        },
        [f"get {_EXECUTION}/logs"],
    ),
    *links(
        {
            ("post /ssh_keys", 201): {"key_id": "$response.body#/id"},
            ("get /ssh_keys", 200): {"key_id": "$response.body#/ssh_keys/0/id"},
        },
        ["delete /ssh_keys/{key_id}"],
    ),
    *links(
        {("get /nodes", 200): {"node_id": "$response.body#/nodes/0/id"}},
        ["get /nodes/{node_id}", "post /nodes/{node_id}/drain", "post /nodes/{node_id}/undrain"],
    ),
)
