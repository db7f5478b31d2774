"""Applications, environments, topologies, and the launch (sections 3 to 6)."""

from __future__ import annotations

import re
from typing import Any

from .constraints import all_hold
from .replies import (
    Refused,
    Reply,
    Request,
    failed,
    internal_error,
    not_found,
    ok,
)
from .routing import route
from .search import bounds, matches, page, tags_match
from .server_state import State
from .world import Application, Environment, Workflow

_SCALARS = ("string", "integer", "float", "boolean", "timestamp", "version")
_NO_RIGHT = "Current user has no sufficient rights."


@route("POST", "/applications/search", "search_applications")
def search_applications(state: State, request: Request) -> Reply:
    """Deployed ones come first, then by lower-cased name; those without a role are not shown."""
    body = request.json()
    filters = body.get("filters") or {}
    start, size = bounds(body)
    found = [
        a
        for a in state.world.applications.values()
        if request.account and request.account.may_see(a.id)
        if tags_match(a.tags, filters) and matches({"name": a.id}, filters, ["name"])
    ]

    def order(application: Application) -> tuple[bool, str]:
        active = any(e.deployment for e in application.environments.values())
        return not active, application.id.lower()

    records = [_application(a) for a in sorted(found, key=order)]
    return page(records, start, size, kind="Application", counts_itself=True, to=start + size)


@route("GET", "/applications/{id}", "get_application")
def get_application(state: State, request: Request, application: str) -> Reply:
    return ok(_application(_seen(state, request, application)))


@route("POST", "/applications/{id}/environments/search", "search_environments")
def search_environments(state: State, request: Request, application: str) -> Reply:
    """The filters are ignored."""
    start, size = bounds(request.json())
    environments = list(_seen(state, request, application).environments.values())
    return page([_environment(e) for e in environments], start, size, kind="Environment", to=0)


@route("GET", "/applications/{id}/environments/{id}", "get_environment")
def get_environment(state: State, request: Request, application: str, environment: str) -> Reply:
    """Whether the environment belongs to the application is not checked."""
    _seen(state, request, application)
    return ok(_environment(_any_environment(state, environment)))


@route("GET", "/applications/{id}/environments/{id}/runtime-topology", "runtime_topology")
def runtime_topology(state: State, request: Request, application: str, environment: str) -> Reply:
    owner = _seen(state, request, application)
    found = owner.environments.get(environment)
    if found is None:
        return not_found(f"Environment {environment} is not of {application}")
    topology = found.deployment and {
        "workflows": {name: w.as_json() for name, w in found.workflows.items()},
        "nodeTemplates": {
            "Job": {
                "name": "Job",
                "properties": [{"key": "queue", "value": {"definition": False, "value": "debug"}}],
            }
        },
        "unprocessedWorkflows": {},
        **found.outputs,
    }
    return ok({"topology": topology, "nodeTypes": {"a.type": {"archiveName": "x" * 1000}}})


@route("GET", "/applications/{id}/environments/{id}/deployment/informations", "informations")
def informations(state: State, request: Request, application: str, environment: str) -> Reply:
    _seen(state, request, application)
    found = _any_environment(state, environment)
    nodes = {
        node: {
            instance: {
                "state": "started",
                "instanceStatus": "SUCCESS",
                "attributes": attributes,
                "runtimeProperties": {},
            }
            for instance, attributes in instances.items()
        }
        for node, instances in found.attributes.items()
    }
    return ok(nodes if found.deployment else {})


@route("GET", "/applications/{id}/environments/{id}/active-deployment", "active_deployment")
def active_deployment(state: State, request: Request, application: str, environment: str) -> Reply:
    _seen(state, request, application)
    deployment = _any_environment(state, environment).deployment
    return ok(deployment and state.deployment_record(deployment))


@route("GET", "/applications/{id}/environments/{id}/workflows/{id}/last_inputs", "last_inputs")
def last_inputs(state: State, request: Request, _: str, environment: str, workflow: str) -> Reply:
    inputs = state.world.last_inputs.get((environment, workflow))
    if inputs is None:
        return ok()
    return ok({name: {"definition": False, "value": value} for name, value in inputs.items()})


@route("POST", "/applications/{id}/environments/{id}/workflows/{id}", "launch")
def launch(
    state: State, request: Request, application: str, environment: str, workflow: str
) -> Reply:
    """The application serves to check the right only; the environment may be another's."""
    owner = _application_or_404(state, application)
    if request.account is None or not request.account.may_deploy(owner.id):
        return failed(403, 102, _NO_RIGHT)
    found = _any_environment(state, environment)
    name = workflow.rpartition(".")[0] or workflow  # Spring cuts a suffix off
    inputs = request.json().get("inputs") or {}
    _check_launch(state, found, name)
    known = found.workflows.get(name)
    if known is None:
        raise Refused(internal_error() if inputs else failed(200, 619, "404 Not Found"))
    _check_inputs(known, inputs)
    return ok(None if state.mock_provider else state.world.launch(found, known, inputs).id)


def _check_launch(state: State, environment: Environment, workflow: str) -> None:
    if environment.deployment is None:
        message = f"Deployment for environment <{environment.id}> doesn't exist."
        raise Refused(not_found(message))
    if workflow in ("install", "uninstall"):
        raise Refused(failed(200, 850, f"{workflow} cannot be launched"))
    if state.cloud_disabled:
        raise Refused(failed(200, 370, "The orchestrator is disabled"))
    if environment.status in ("DEPLOYMENT_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
        raise Refused(failed(200, 619, "400 Bad Request"))


def _check_inputs(workflow: Workflow, inputs: dict[str, Any]) -> None:
    definitions = workflow.definitions()
    for name, value in inputs.items():
        if name not in definitions:
            raise Refused(internal_error())
        _check_input(name, value, definitions[name])
    for name, definition in definitions.items():
        if inputs.get(name) is None and definition["required"] and not definition.get("default"):
            raise Refused(failed(200, 619, "400 Bad Request"))


def _check_input(name: str, value: Any, definition: dict[str, Any]) -> None:
    kind = definition["type"]
    if kind not in (*_SCALARS, "list", "map") and not kind.startswith("scalar-unit."):
        raise Refused(internal_error())
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) >= 2**31):
        raise Refused(failed(400, 501, f"The type of the property {name} is not supported"))
    if value is None:
        return
    fits = {
        "list": isinstance(value, list),
        "map": isinstance(value, dict),
        "integer": _is_number(value, r"[-+]?\d+"),
        "float": _is_number(value, r"[-+]?\d*\.?\d+([eE][-+]?\d+)?"),
        "boolean": value in ("true", "false"),
    }.get(kind, isinstance(value, str | int))
    if not fits or not all_hold(value, definition.get("constraints")):
        raise Refused(failed(200, 800, f"The value of {name} does not fit its definition"))


def _is_number(value: Any, pattern: str) -> bool:
    return isinstance(value, int | str) and re.fullmatch(pattern, str(value)) is not None


def _application(application: Application) -> dict[str, Any]:
    return {
        "id": application.id,
        "name": application.id,
        **({"description": application.description} if application.description else {}),
        "creationDate": 1666268000123,
        "tags": [{"name": name, "value": value} for name, value in application.tags.items()],
        "userRoles": {"admin": ["APPLICATION_MANAGER"]},
        "aFieldOfVersionFour": 4,
    }


def _environment(environment: Environment) -> dict[str, Any]:
    deployment = environment.deployment
    return {
        "id": environment.id,
        "name": environment.name,
        "applicationId": environment.application.id,
        "environmentType": "OTHER",
        "status": environment.status,
        "currentVersionName": "1.0",
        **({"deployedVersion": deployment.version} if deployment else {}),
    }


def _application_or_404(state: State, application: str) -> Application:
    found = state.world.applications.get(application)
    if found is None:
        raise Refused(not_found(f"Application {application} does not exist"))
    return found


def _seen(state: State, request: Request, application: str) -> Application:
    found = _application_or_404(state, application)
    if request.account is None or not request.account.may_see(application):
        raise Refused(failed(403, 102, _NO_RIGHT))
    return found


def _any_environment(state: State, environment: str) -> Environment:
    found = state.world.environment(environment)
    if found is None:
        raise Refused(not_found(f"Environment {environment} does not exist"))
    return found
