"""What each role may do, and that the manual says the same."""

from pathlib import Path

import pytest

from app.domain import Identity, Permission, Role
from app.errors import NotAllowed
from app.identity.permissions import MEANINGS, PERMISSIONS, is_allowed, require

MANUAL = Path(__file__).parents[3] / "docs" / "security.md"


def who(*roles, scopes=None):
    return Identity("ada", frozenset(roles), scopes=scopes)


def test_the_manual_holds_the_table():
    head = " | ".join(f"`{role}`" for role in Role)
    lines = [
        f"| permission | what it allows | {head} |",
        "| --- | --- " + "| --- " * len(Role) + "|",
    ]
    for permission in Permission:
        marks = " | ".join("yes" if permission in PERMISSIONS[role] else "" for role in Role)
        lines.append(f"| `{permission}` | {MEANINGS[permission]} | {marks} |")
    assert "\n".join(lines) in MANUAL.read_text(encoding="utf-8")


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_a_role_gives_what_the_table_says(role, permission):
    assert is_allowed(who(role), permission) is (permission in PERMISSIONS[role])


def test_whoever_has_no_role_is_a_user():
    for permission in Permission:
        assert is_allowed(who(), permission) is is_allowed(who(Role.USER), permission)


def test_roles_add_up():
    both = who(Role.DEVELOPER, Role.OPERATOR)
    assert is_allowed(both, Permission.WORKFLOWS_WRITE)
    assert is_allowed(both, Permission.EXECUTIONS_ALL)


def test_scopes_restrict_and_never_add():
    narrow = who(Role.ADMIN, scopes=frozenset({Permission.EXECUTIONS_READ}))
    assert [p for p in Permission if is_allowed(narrow, p)] == [Permission.EXECUTIONS_READ]
    wide = who(Role.USER, scopes=frozenset(Permission))
    assert not is_allowed(wide, Permission.WORKFLOWS_WRITE)
    assert not any(is_allowed(who(Role.ADMIN, scopes=frozenset()), p) for p in Permission)


def test_a_refusal_says_what_is_missing():
    with pytest.raises(NotAllowed, match="This needs the role 'developer'"):
        require(who(Role.OPERATOR), Permission.WORKFLOWS_WRITE)
    with pytest.raises(NotAllowed, match="does not allow 'workflows:write'"):
        require(who(Role.ADMIN, scopes=frozenset()), Permission.WORKFLOWS_WRITE)
    require(who(Role.ADMIN), Permission.WORKFLOWS_WRITE)
