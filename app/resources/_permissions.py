"""What each endpoint needs of its callers, declared at the endpoint and nowhere else.

The declaration is checked before the view is called, and is what the OpenAPI document says. An
endpoint without one keeps the service from starting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

from flask import Flask, current_app, request

from app.domain import Permission
from app.identity.permissions import roles_with

V = TypeVar("V", bound=Callable[..., Any])

DECLARATION: Final = "declaration"
"""Where a view function, and what is documented of it, holds its declaration."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What an endpoint needs.

    Attributes:
        permission: What callers must be allowed; None lets everybody in, without credentials.
        takes_ticket: Whether a ticket (``?ticket=``) does in place of credentials.
        action: What the audit calls it; the name of the permission unless given.
        recorded: What succeeded is in the audit without further doing.
        takes_form: It takes what a form sends, with the token of the session among its fields.
    """

    permission: Permission | None
    takes_ticket: bool = False
    action: str = ""
    recorded: bool = False
    takes_form: bool = False


def permission(
    needed: Permission,
    *,
    ticket: bool = False,
    action: str = "",
    recorded: bool = False,
    form: bool = False,
) -> Callable[[V], V]:
    """Declare what callers of an endpoint must be allowed; it stands directly at the function.

    Args:
        needed: The permission.
        ticket: The endpoint takes a ticket in place of credentials: for the execution that the
            address names as ``execution_id``, or for the events of all.
        action: What the audit calls it; the name of the permission unless given.
        recorded: The service behind it records what succeeded, together with the change.
        form: It takes what a form sends, with the token of the session among its fields.
    """
    return _declare(Declaration(needed, ticket, action or str(needed), recorded, form))


def public(view: V) -> V:
    """Declare that everybody may call an endpoint; it stands directly at the function."""
    return _declare(Declaration(None))(view)


def declaration_of(view: Any) -> Declaration:
    """Return what a view function declares.

    Raises:
        TypeError: It declares nothing.
    """
    found = getattr(view, DECLARATION, None)
    if not isinstance(found, Declaration):
        name = f"{getattr(view, '__module__', '?')}.{getattr(view, '__qualname__', view)}"
        raise TypeError(f"{name} must say who may call it: @permission(...) or @public")
    return found


def current_view() -> Callable[..., Any] | None:
    """Return the function that answers the current request; None for an unknown address."""
    return None if request.endpoint is None else current_app.view_functions[request.endpoint]


def require_declarations(app: Flask) -> None:
    """Make sure that every endpoint declares what it needs.

    Raises:
        TypeError: One does not; the message names its function.
    """
    for view in app.view_functions.values():
        declaration_of(view)


def errors_of(declaration: Declaration | None) -> tuple[int, ...]:
    """Return the statuses with which an endpoint refuses callers."""
    if declaration is None or declaration.permission is None:
        return ()
    return (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)


def document(
    declaration: Declaration | None, description: str, schemes: Mapping[str, Any]
) -> dict[str, Any]:
    """Write what an OpenAPI operation says of a declaration.

    Args:
        declaration: What the endpoint declares.
        description: What its description says already.
        schemes: The security schemes of the document, by name.
    """
    if declaration is None or declaration.permission is None:
        return {}
    needed = declaration.permission
    roles = ", ".join(f"`{role}`" for role in roles_with(needed))
    text = f"Needs the permission `{needed}`, which these roles give: {roles}."
    return {
        "description": f"{description}\n\n{text}".strip(),
        "security": [{name: []} for name in schemes],
        "x-permission": str(needed),
    }


def _declare(declaration: Declaration) -> Callable[[V], V]:
    def decorate(view: V) -> V:
        known = vars(view).get("_apidoc", {})
        vars(view)["_apidoc"] = {**known, DECLARATION: declaration}
        vars(view)[DECLARATION] = declaration
        return view

    return decorate
