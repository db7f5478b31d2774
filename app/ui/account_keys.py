"""``/ui/account/api_keys``: API keys, with which programs sign in: made, shown once, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response

from app.domain import Permission, Role
from app.errors import Conflict, InvalidRequest, MadeAlready
from app.identity.permissions import is_within
from app.identity.scopes import scopes_within
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.services.api_keys import LONGEST_NAME, Wish
from app.ui._access_words import ROLES, roles_of, scope_words
from app.ui._forms import Notice, faults_by_field, posted, posted_all, refused, see_other
from app.ui._render import page
from app.ui._words import duration

blueprint = Blueprint("account_keys", __name__)

_ACCOUNT: Final = "/ui/account"
_DAYS: Final = (1, 7, 30, 90)
"""Lives that the form offers, beside the longest."""
_DAY_SECONDS: Final = 86400  # of a day
_LONGEST = "longest"
_SENT_BEFORE: Final = (
    "This form was sent before, and made a key, which was shown then. If you do not have it, "
    "revoke that one and make another."
)


@blueprint.get("/account/api_keys")
@permission(Permission.KEYS_READ)
def show() -> Response:
    """Lead to where they are listed: this address is that of the form which makes them."""
    return see_other(_ACCOUNT)


@blueprint.get("/account/api_keys/new")
@permission(Permission.KEYS_WRITE)
def ask_for_new() -> Response:
    """Show the form."""
    return _form({})


@blueprint.post("/account/api_keys")
@permission(Permission.KEYS_WRITE, action="api-keys:create", recorded=True, form=True)
def create() -> Response:
    """Make a key and show it, once: sent again, the same form makes no other one."""
    days = posted("days")
    lifetime = float(int(days) * _DAY_SECONDS) if days in map(str, _DAYS) else None
    if lifetime is None and days != _LONGEST:
        return _form({"days": ["Must be one of those"]}, 422)
    roles = [role for role in Role if role in posted_all("roles")]
    wish = Wish(
        posted("name").strip(),
        roles or None,
        (posted_all("scopes") or ()) if posted("may") == "some" else None,
        lifetime,
        posted("once")[:_ONCE_CHARACTERS],
    )
    try:
        key, stored = services().api_keys.create(wish, caller())
    except MadeAlready as exc:
        return refused(exc, partial(_form, {}, refusal=_SENT_BEFORE))
    except InvalidRequest as exc:
        return refused(exc, partial(_form, faults_by_field(exc)))
    except Conflict as exc:
        return refused(exc, partial(_form, {}, refusal=exc.message))
    return page(
        "api_key_made.html", title="API key made", status=201, current=_ACCOUNT, key=key,
        stored=stored, file=f"slipway-{stored.prefix}.txt",
    )  # fmt: skip


@blueprint.get("/account/api_keys/<string:key_id>/revoke")
@permission(Permission.KEYS_WRITE)
def ask_to_revoke(key_id: str) -> Response:
    """Ask whether to revoke a key."""
    key = services().api_keys.get(key_id, caller())
    return page(
        "ask.html",
        title="Revoke an API key",
        current=_ACCOUNT,
        question=f"Revoke the API key {key.name}?",
        told="Programs that sign in with it are refused within a second, and so are browsers that "
        "have signed in with it. It cannot be undone; another key can be made.",
        action=f"{_ACCOUNT}/api_keys/{key.id}/revoke",
        button="Revoke key",
        stay="Keep it",
        back=_ACCOUNT,
    )


@blueprint.post("/account/api_keys/<string:key_id>/revoke")
@permission(Permission.KEYS_WRITE, action="api-keys:revoke", recorded=True, form=True)
def revoke(key_id: str) -> Response:
    """Revoke a key."""
    key = services().api_keys.revoke(key_id, caller())
    return see_other(_ACCOUNT, Notice(f"The key '{key.name}' is revoked."))


_ONCE_CHARACTERS: Final = 64


def _form(faults: Mapping[str, Sequence[str]], status: int = 200, *, refusal: str = "") -> Response:
    identity, limits = caller(), services().api_keys.limits
    longest = limits.longest_lifetime if limits else 0.0
    held = roles_of(identity)
    lives = [(str(days), f"{days} day{'s' if days > 1 else ''}")
             for days in _DAYS if days * _DAY_SECONDS < longest]  # fmt: skip
    chosen: dict[str, Any] = {
        "name": posted("name")[: 2 * LONGEST_NAME],
        "days": posted("days") or "30",
        "may": posted("may") or "all",
        "roles": posted_all("roles"),
        "scopes": posted_all("scopes"),
    }
    return page(
        "api_key_new.html",
        title="Make an API key",
        current=_ACCOUNT,
        status=status,
        faults=faults,
        refusal=refusal,
        once=secrets.token_hex(16),
        limits=limits,
        lives=[*lives, (_LONGEST, f"{duration(longest)}, the longest")],
        roles=[(role, ROLES[role]) for role in Role if is_within(role, held)],
        scopes=[(scope, scope_words(scope)) for scope in scopes_within(identity)],
        restricted=identity.scopes is not None,
        chosen=chosen,
    )
