"""Executions, tasks, deployments and logs (sections 7 to 10): open to every account."""

from __future__ import annotations

import random
from typing import Any

from .replies import Reply, Request, internal_error, not_found, ok
from .routing import route
from .run import Run
from .search import LOG_FILTERS, WINDOW, bounds, matches, page
from .server_state import State


@route("GET", "/executions/search", "search_executions")
def search_executions(state: State, request: Request) -> Reply:
    """Only the deployment filters; the cap is not the usual one."""
    body = {"from": request.number("from", 0), "size": request.number("size", 50)}
    start, size = bounds(body, most=WINDOW, code=300)
    pairs = state.world.visible_runs(request.query.get("deploymentId"))
    return page([record for _, record in pairs], start, size, kind="execution")


@route("GET", "/executions/{id}", "get_execution")
def get_execution(state: State, request: Request, execution: str) -> Reply:
    """An id that is unknown, or not known yet, is 200 with an error."""
    run = state.world.run(execution)
    record = run and run.record(state.world.now())
    if not record:
        return not_found(f"Execution with id <{execution}> was not found.", status=200)
    return ok(record)


@route("POST", "/executions/cancel", "cancel")
def cancel(state: State, request: Request) -> Reply:
    """The environment only leads to the orchestrator; nothing else is checked."""
    body = request.json()
    environment = state.world.environment(str(body.get("environmentId")))
    if environment is None or environment.deployment is None:
        return not_found("The environment has no active deployment")
    if state.cloud_disabled:
        return internal_error("The orchestrator is disabled")
    run = state.world.run(str(body.get("executionId")))
    now = state.world.now()
    if run is None or not run.cancel(now, anything_goes=state.mock_provider):
        return not_found("400 Bad Request", status=200)
    return ok()


@route("POST", "/executions/{id}/resume", "resume")
def resume(state: State, request: Request, execution: str) -> Reply:
    request.json()
    run = state.world.run(execution)
    record = run and run.record(state.world.now())
    if run is None or not record:
        return not_found(f"Execution with id <{execution}> was not found.", status=200)
    if record["status"] != "FAILED":
        return internal_error("The execution is not in a FAILED state")
    run.resume(state.world.now())
    return ok()


@route("GET", "/workflow_execution/{id}", "workflow_execution")
def workflow_execution(state: State, request: Request, deployment: str) -> Reply:
    """Only the latest execution; an undeployment deletes the steps."""
    pairs = state.world.visible_runs(deployment)
    if not pairs:
        return ok({"execution": None, "actualKnownStepInstanceCount": 0, "stepStatus": None})
    run, record = pairs[0]
    now, ended = state.world.now(), state.world.deployments[deployment].ended_at is not None
    tasks: dict[str, list[dict[str, Any]]] = {}
    for task in run.tasks(now):
        tasks.setdefault(task["_step"], []).append(_shown(task))
    return ok({
        "execution": record,
        "stepStatus": {} if ended else run.steps(now),
        "stepInstances": {},
        "stepTasks": {} if ended else tasks,
    })  # fmt: skip


@route("GET", "/tasks/search", "search_tasks")
def search_tasks(state: State, request: Request) -> Reply:
    body = {"from": request.number("from", 0), "size": request.number("size", 50)}
    start, size = bounds(body)
    run = state.world.run(request.query.get("executionId", ""))
    tasks = run.tasks(state.world.now()) if run else []
    return page([_shown(task) for task in tasks], start, size, kind="task")


@route("GET", "/deployments/search", "search_deployments")
def search_deployments(state: State, request: Request) -> Reply:
    body = {"from": request.number("from", 0), "size": request.number("size", 50)}
    start, size = bounds(body)
    environment = request.query.get("environmentId")
    found = [
        d
        for d in state.world.deployments.values()
        if environment in (None, d.environment.id) and state.world.find_deployment(d.id)
    ]
    found.sort(key=lambda deployment: -deployment.started_at)
    records = [state.deployment_dto(d) for d in found]
    return page(records, start, size, kind="deployment")


@route("GET", "/deployments/{id}", "get_deployment")
def get_deployment(state: State, request: Request, deployment: str) -> Reply:
    found = state.world.find_deployment(deployment)
    if found is None:
        return not_found(f"Deployment {deployment} does not exist")
    return ok(state.deployment_dto(found))


@route("POST", "/deployment/logs/search", "search_logs")
def search_logs(state: State, request: Request) -> Reply:
    """Newest first unless told; ties in no order; an unknown filter lets everything through."""
    body = request.json()
    start, size = bounds(body)
    filters = body.get("filters") or {}
    low = body.get("fromDate") or 0
    high = body.get("toDate") or float("inf")
    now = state.world.now()
    found = [
        entry
        for run in _runs(state, filters)
        for entry in run.logs(now, state.log_zone_shift_seconds)
        if low <= entry["timestamp"] <= high and matches(entry, filters, LOG_FILTERS)
    ]
    if state.shuffled_ties:
        random.shuffle(found)
    sort = body.get("sortConfiguration") or {"sortBy": "timestamp", "ascending": False}
    found.sort(key=lambda e: e["timestamp"], reverse=not sort.get("ascending"))
    return page(found, start, size, kind="paasdeploymentlog")


def _runs(state: State, filters: dict[str, Any]) -> list[Run]:
    wanted = filters.get("executionId")
    if not wanted:
        return [run for id_ in list(state.world.runs) if (run := state.world.run(id_))]
    return [run for id_ in wanted if (run := state.world.run(id_))]


def _shown(task: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in task.items() if not key.startswith("_")}
