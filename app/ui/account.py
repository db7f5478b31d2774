"""``/ui/account``: who somebody is to the service, and what they sign in with."""

from __future__ import annotations

from flask import Blueprint, Response

from app.domain import Permission
from app.resources._auth import caller
from app.resources._permissions import permission
from app.ui._render import page

blueprint = Blueprint("account", __name__)


@blueprint.get("/account")
@permission(Permission.IDENTITY_READ)
def show() -> Response:
    """Show it."""
    return page(
        "account.html", title="Account", current="/ui/account", roles=sorted(caller().roles)
    )
