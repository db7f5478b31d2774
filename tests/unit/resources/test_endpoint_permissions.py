"""Every route and every role: what an endpoint declares is what is enforced, and documented."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from service_kit import basic, open_service, users

from app.domain import Credential, Identity, Permission, Role
from app.factory import create_web
from app.identity.permissions import PERMISSIONS
from app.resources._api import Blueprint
from app.resources._dialect import Dialect
from app.resources._dialects import Dialects
from app.resources._permissions import DECLARATION, declaration_of, permission, public
from app.resources.root import DIALECT as ROOT
from app.resources.root.errors import RootErrors

NOBODY, EVERYBODY = frozenset(), frozenset(Role) - {Role.SLAVE}
DEVELOPERS = frozenset({Role.DEVELOPER, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})
OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})

ENDPOINTS = {
    "workflows.list_workflows": ("workflows:read", EVERYBODY),
    "workflows.describe_workflow": ("workflows:read", EVERYBODY),
    "workflows.upload_workflow": ("workflows:write", DEVELOPERS),
    "workflows.replace_workflow": ("workflows:write", DEVELOPERS),
    "workflows.remove_workflow": ("workflows:write", DEVELOPERS),
    "workflows.launch_workflow": ("executions:run", EVERYBODY),
    "workflows.run_workflow": ("executions:run", EVERYBODY),
    "executions.list_executions": ("executions:read", EVERYBODY),
    "executions.get_execution": ("executions:read", EVERYBODY),
    "executions.list_tasks": ("executions:read", EVERYBODY),
    "executions.get_task": ("executions:read", EVERYBODY),
    "executions.cancel_execution": ("executions:cancel", EVERYBODY),
    "executions.pause_execution": ("executions:steer", EVERYBODY),
    "executions.resume_execution": ("executions:steer", EVERYBODY),
    "executions.abandon_execution": ("executions:abandon", OPERATORS),
    "logs.get_logs": ("executions:read", EVERYBODY),
    "streams.follow_events": ("executions:read", EVERYBODY),
    "streams.follow_websocket": ("executions:read", EVERYBODY),
    "streams.create_ticket": ("executions:read", EVERYBODY),
    "ssh_keys.list_ssh_keys": ("keys:read", EVERYBODY),
    "ssh_keys.create_ssh_key": ("keys:write", EVERYBODY),
    "ssh_keys.revoke_ssh_key": ("keys:write", EVERYBODY),
    "audit.list_audit": ("audit:read", ADMINS),
    "users.list_users": ("users:manage", ADMINS),
    "users.add_user": ("users:manage", ADMINS),
    "users.get_user": ("users:manage", ADMINS),
    "users.change_user": ("users:manage", ADMINS),
    "users.remove_user": ("users:manage", ADMINS),
    "users.change_own_password": ("password:write", EVERYBODY),
    "api_keys.list_api_keys": ("keys:read", EVERYBODY),
    "api_keys.create_api_key": ("keys:write", EVERYBODY),
    "api_keys.revoke_api_key": ("keys:write", EVERYBODY),
    "tokens.create_token": ("tokens:write", EVERYBODY),
}
"""What each endpoint needs, and who may call it; whoever adds one says so here as well."""

PUBLIC = {
    "openapi", "openapi_yaml",
    "tokens.get_key_set",
    "health.get_health", "health.get_ready", "health.get_version", "health.get_metrics",
    "docs.page", "docs.start", "docs.asset",
}  # fmt: skip

USERS = {"ada": Role.USER, "dev": Role.DEVELOPER, "ops": Role.OPERATOR, "root": Role.ADMIN}
TICKETS = {"logs.get_logs", "streams.follow_events", "streams.follow_websocket"}
REACHED = "the view was reached"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service whose views do nothing but say that they were reached."""
    made = open_service(tmp_path_factory.mktemp("views"), api__auth=users())
    views = made.web.app.view_functions
    for name, view in views.items():

        def stub(**_):
            return REACHED

        vars(stub)[DECLARATION] = declaration_of(view)
        views[name] = stub
    yield made
    made.close()


def rules(service):
    """Give each endpoint once, with a method and an address."""
    for rule in service.web.app.url_map.iter_rules():
        method = sorted(rule.methods - {"HEAD", "OPTIONS"})[0]
        if not rule.websocket:
            yield rule.endpoint.removeprefix("root."), method, rule.rule


def call(service, method, rule, owner="ada", **more):
    execution = service.add_execution(owner).id if "execution_id" in rule else ""
    path = re.sub(r"<(\w+:)?execution_id>", execution, rule)
    path = re.sub(r"<[^>]*>", "thing", path)
    return service.client.open(path, method=method, **more)


def as_user(name):
    return basic(name, {"ada": "ada's pass", "root": "r"}.get(name, name))


def test_every_endpoint_stands_in_the_table(service):
    declared = {
        name.removeprefix("root."): declaration_of(view).permission
        for name, view in service.web.app.view_functions.items()
    }
    assert {name for name, needed in declared.items() if needed is None} == PUBLIC
    assert {name: str(needed) for name, needed in declared.items() if needed} == {
        name: needed for name, (needed, _) in ENDPOINTS.items()
    }


@pytest.mark.parametrize("name", USERS)
def test_a_role_calls_what_it_may_and_nothing_else(service, name):
    for endpoint, method, rule in rules(service):
        response = call(service, method, rule, name, headers=as_user(name))
        _, roles = ENDPOINTS.get(endpoint, (None, EVERYBODY))
        allowed = USERS[name] in roles
        assert response.status_code == (200 if allowed else 403), endpoint
        assert (response.text == REACHED) is allowed
        if not allowed:
            assert response.json["code"] == "not_allowed"


def test_whoever_has_not_signed_in_calls_what_is_public(service):
    for endpoint, method, rule in rules(service):
        response = call(service, method, rule)
        assert response.status_code == (200 if endpoint in PUBLIC else 401), endpoint


def test_a_ticket_does_for_the_endpoints_that_say_so(service):
    for endpoint, method, rule in rules(service):
        if endpoint in ENDPOINTS:
            assert declaration_of(
                service.web.app.view_functions[f"root.{endpoint}"]
            ).takes_ticket is (endpoint in TICKETS)
            query = {"ticket": "wrong"}
            response = call(service, method, rule, headers=as_user("root"), query_string=query)
            assert response.status_code == (401 if endpoint in TICKETS else 200), endpoint


@pytest.mark.parametrize("needed", Permission)
def test_a_credential_that_is_restricted_does_what_it_is_for(service, monkeypatch, needed):
    """Whatever roles its owner has: an admin's key for one thing does that one thing."""
    identity = Identity(
        "root", frozenset({Role.ADMIN}), scopes=frozenset({needed}), credential=Credential("", "")
    )
    anybody = SimpleNamespace(authenticate=lambda _: identity)
    monkeypatch.setattr(service.services.authenticators, "authenticate", anybody.authenticate)
    for endpoint, method, rule in rules(service):
        if endpoint in ENDPOINTS:
            response = call(service, method, rule, "root")
            allowed = ENDPOINTS[endpoint][0] == needed
            assert response.status_code == (200 if allowed else 403), endpoint


def test_who_may_not_see_an_execution_hears_that_first(service):
    response = call(
        service, "POST", "/executions/<execution_id>/abandon", "bob", headers=as_user("ada")
    )
    assert (response.status_code, response.json["code"]) == (404, "not_found")


def test_the_document_says_what_is_enforced(service, make_service):
    document = make_service().client.get("/openapi.json").json
    said = {
        operation.get("x-permission"): operation
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
    }
    assert said.keys() == {None, *(needed for needed, _ in ENDPOINTS.values())}
    for needed, operation in said.items():
        schemes = [{"basic": []}, {"api_key": []}, {"jwt": []}]
        assert operation.get("security") == (None if needed is None else schemes)
        assert ({"401", "403"} <= operation["responses"].keys()) is (needed is not None)
    assert "`developer`, `admin`" in said["workflows:write"]["description"]


def dialect_with(view, name="odd"):
    blueprint = Blueprint(name, __name__)
    blueprint.route("/odd", methods=["GET"])(view)
    return Dialect(name="odd", prefix="/odd", blueprints=(blueprint,), errors=RootErrors())


def test_an_endpoint_without_a_declaration_keeps_the_service_from_starting(settings, monkeypatch):
    def forgotten():
        return REACHED

    monkeypatch.setattr(
        "app.factory.Dialects",
        lambda given, *more: Dialects([*given, dialect_with(forgotten)], *more),
    )
    with pytest.raises(TypeError, match=r"forgotten must say who may call it: @permission"):
        create_web(settings)


@pytest.mark.parametrize("declare", [public, permission(Permission.EXECUTIONS_READ)])
def test_one_with_a_declaration_does_not(settings, monkeypatch, declare):
    @declare
    def view():
        return REACHED

    monkeypatch.setattr(
        "app.factory.Dialects", lambda given, *more: Dialects([*given, dialect_with(view)], *more)
    )
    web = create_web(settings)
    assert web.app.test_client().get("/odd/odd").text == REACHED
    web.database.dispose()


def test_each_role_may_do_what_a_user_may():
    assert all(PERMISSIONS[Role.USER] <= PERMISSIONS[role] for role in EVERYBODY)
    assert not PERMISSIONS[Role.USER] & PERMISSIONS[Role.SLAVE]
    assert PERMISSIONS[Role.ADMIN] == set(Permission)
    assert ROOT.blueprints
