"""Scopes narrow what roles give, and cover every permission."""

import pytest

from app.domain import Identity, Permission, Role
from app.identity.permissions import is_allowed
from app.identity.scopes import SCOPES, exceeding, permissions_of, scopes_for, unknown_scopes


def restricted(role, *scopes):
    return Identity("ada", frozenset({role}), scopes=permissions_of(scopes))


@pytest.mark.parametrize("permission", Permission)
def test_every_permission_is_let_through_by_a_scope(permission):
    assert scopes_for(permission)
    assert scopes_for(permission)[-1] == "admin"


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("role", Role)
def test_a_scope_never_adds_to_a_role(scope, role):
    whole = Identity("ada", frozenset({role}))
    for permission in Permission:
        if is_allowed(restricted(role, scope), permission):
            assert is_allowed(whole, permission)


def test_scopes_add_up_and_unknown_ones_let_nothing_through():
    both = permissions_of(["workflows:read", "keys:read", "openid", "profile"])
    assert both == SCOPES["workflows:read"] | SCOPES["keys:read"]
    assert permissions_of([]) == permissions_of(["openid"]) == frozenset()
    assert unknown_scopes(["keys:read", "openid", "Keys:read"]) == ("openid", "Keys:read")


def test_the_narrowest_scope_is_named_first():
    assert scopes_for(Permission.EXECUTIONS_READ) == ("executions:read", "admin")
    assert scopes_for(Permission.USERS_MANAGE) == ("admin",)


def test_who_sees_executions_of_all_cancels_them_with_a_scope_for_that_alone():
    narrow = restricted(Role.OPERATOR, "executions:cancel")
    assert is_allowed(narrow, Permission.EXECUTIONS_ALL)
    assert is_allowed(narrow, Permission.EXECUTIONS_CANCEL)
    assert not is_allowed(narrow, Permission.EXECUTIONS_READ)
    assert not is_allowed(restricted(Role.USER, "executions:cancel"), Permission.EXECUTIONS_ALL)


@pytest.mark.parametrize(
    ("identity", "asked", "too_wide"),
    [
        (Identity("ada", frozenset({Role.USER})), ["admin", "keys:write"], ()),
        (restricted(Role.USER, "keys:read"), ["keys:read"], ()),
        (restricted(Role.USER, "keys:read"), ["keys:read", "keys:write"], ("keys:write",)),
        (restricted(Role.USER, "keys:read"), ["admin"], ("admin",)),
        (restricted(Role.ADMIN, "admin"), ["admin", "audit:read"], ()),
        (restricted(Role.USER, "executions:read"), ["nodes:write"], ()),
    ],
)
def test_nobody_makes_a_credential_that_can_do_more_than_theirs(identity, asked, too_wide):
    assert exceeding(identity, asked) == too_wide
