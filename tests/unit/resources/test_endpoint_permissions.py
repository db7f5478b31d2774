"""What endpoints declare: it keeps the service from starting, lets tickets in, is documented.

That it is enforced shows ``test_access_matrix.py``.
"""

from __future__ import annotations

import re

import pytest
from service_kit import PASSWORDS, basic, open_service, users

from app.domain import Permission, Role
from app.factory import create_web
from app.identity.permissions import PERMISSIONS, roles_with
from app.load.protocol import PATH
from app.resources._api import Blueprint
from app.resources._dialect import Dialect
from app.resources._dialects import Dialects
from app.resources._permissions import declaration_of, permission, public
from app.resources.root.errors import RootErrors

EVERYBODY = frozenset(Role) - {Role.SLAVE}
TICKETS = {
    ("GET", "/executions/<string:execution_id>/logs"), ("GET", "/executions/events"),
    ("GET", "/executions/<string:execution_id>/ws"),
    ("GET", "/api/v1/executions/<string:execution_id>/ws"),
}  # fmt: skip
REACHED = "the view was reached"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = open_service(tmp_path_factory.mktemp("service"), api__auth=users())
    yield made
    made.close()


def declared(service):
    """Give what each method at each address declares."""
    for rule in service.web.app.url_map.iter_rules():
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            view = service.web.app.view_functions[rule.endpoint]
            yield method, rule.rule, declaration_of(view)


def test_a_ticket_does_for_the_endpoints_that_say_so_and_for_no_other(service):
    root = basic("root", PASSWORDS["root"])
    takes = {(method, rule) for method, rule, says in declared(service) if says.takes_ticket}
    assert takes == TICKETS
    for method, rule, says in declared(service):
        if says.permission is not None:
            path = re.sub(r"<[^>]*>", "thing", rule)
            response = service.client.open(
                path, method=method, headers=root, query_string={"ticket": "wrong"}
            )
            response.close()
            assert (response.status_code == 401) is ((method, rule) in takes), rule


def test_the_document_says_what_is_enforced(service):
    documents = [
        service.client.get(dialect.document_path).json
        for dialect in service.web.dialects
        if dialect.document
    ]
    paths = {path: item for document in documents for path, item in document["paths"].items()}
    schemes = [{name: []} for name in ("basic", "api_key", "jwt", "oidc", "introspection")]
    found = set()
    for method, rule, says in declared(service):
        path = re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule)
        if rule == PATH:  # what slaves say there is in no document
            assert says.permission is Permission.NODES_JOIN
            continue
        operation = paths.get(path, {}).get(method.lower())
        if rule.startswith("/ui/"):  # pages are in no document
            continue
        if operation is None:  # what serves the documentation
            assert says.permission is None, rule
            continue
        found.add((path, method))
        needed = says.permission
        assert operation.get("x-permission") == needed
        assert operation.get("security") == (None if needed is None else schemes)
        assert ({"401", "403"} <= operation["responses"].keys()) is (needed is not None)
        if needed is not None:
            roles = ", ".join(f"`{role}`" for role in roles_with(needed))
            assert f"`{needed}`, which these roles give: {roles}." in operation["description"]
    documented = {(path, method.upper()) for path, item in paths.items()
                  for method in item if method != "parameters"}  # fmt: skip
    assert found == documented


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
