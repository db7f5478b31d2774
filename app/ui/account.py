"""``/ui/account``: who somebody is to the service, where they have signed in, their password."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response, request

from app.domain import Identity, Permission
from app.errors import (
    Conflict,
    LimitExceeded,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    SlipwayError,
)
from app.identity.permissions import is_allowed
from app.identity.sessions import SESSION
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.services.users import SHORTEST_PASSWORD
from app.ui._access_words import ROLES, permitted, roles_of, scope_words, way
from app.ui._agents import in_words
from app.ui._errors import SIGN_IN
from app.ui._forms import Notice, faults_by_field, posted, refused, see_other
from app.ui._render import page
from app.ui._signing import Typed, sign_in_as

blueprint = Blueprint("account", __name__)

_HERE: Final = "/ui/account"
_PAGE: Final = 20
"""API keys that are shown at once."""


@blueprint.get("/account")
@permission(Permission.IDENTITY_READ)
def show() -> Response:
    """Show it."""
    return _shown(200)


@blueprint.post("/account/password")
@permission(Permission.PASSWORD_WRITE, action="users:password", recorded=True, form=True)
def change_password() -> Response:
    """Change one's password; this browser stays signed in, all others are not any more."""
    old, new, again = posted("old_password"), posted("new_password"), posted("again")
    faults = {
        name: ["Must not be empty"]
        for name, value in (("old_password", old), ("new_password", new))
        if not value
    }
    if new and new != again:
        faults["again"] = ["Is not the same"]
    if faults:
        return _shown(422, faults=faults)
    try:
        services().users.change_own_password(caller(), old, new, request.remote_addr)
    except (Conflict, LimitExceeded) as exc:
        return _refused(exc, {"new_password": [exc.message]})
    except NotAllowed as exc:
        return _refused(exc, {"old_password": ["Is not your password of now"]})
    except SlipwayError as exc:
        if not exc.fields:
            raise
        return _refused(exc, faults_by_field(exc))
    return _signed_in_anew(new)


@blueprint.get("/account/sessions/end")
@permission(Permission.KEYS_WRITE)
def ask_to_end() -> Response:
    """Ask whether to sign out everywhere."""
    return page(
        "ask.html",
        title="Sign out everywhere",
        current=_HERE,
        question="Sign out everywhere?",
        told="All browsers in which you have signed in must sign in again, this one too. "
        "API keys and what programs do with them go on.",
        action=f"{_HERE}/sessions/end",
        button="Sign out everywhere",
        stay="Stay signed in",
        back=_HERE,
    )


@blueprint.post("/account/sessions/end")
@permission(Permission.KEYS_WRITE, action="sessions:end", recorded=True, form=True)
def end_all() -> Response:
    """End all sessions of one's own, or all but the one of this browser."""
    identity, others = caller(), posted("which") == "others"
    ended = services().sessions.end_all(identity, identity.username, keep_current=others)
    if others:
        counted = f"{ended} other session{'' if ended == 1 else 's'}"
        text = f"Signed out of {counted}." if ended else "There were no other sessions."
        return see_other(_HERE, Notice(text))
    return see_other(SIGN_IN, Notice("You have signed out everywhere."))


@blueprint.post("/account/sessions/<string:session_id>/end")
@permission(Permission.KEYS_WRITE, action="sessions:end", recorded=True, form=True)
def end_one(session_id: str) -> Response:
    """End a session of one's own, wherever it is."""
    services().sessions.end_one(session_id, caller())
    return see_other(_HERE, Notice("Signed out there."))


def _signed_in_anew(password: str) -> Response:
    """Answer who has a new password, with which all sessions before have ended."""
    response = see_other(_HERE, Notice("Your password is another one now. You stay signed in here; "
                                       "everywhere else you sign in with it."))  # fmt: skip
    try:
        sign_in_as(Typed.password(caller().username, password), response)
    except (NotAuthenticated, LimitExceeded, Conflict):
        return see_other(SIGN_IN, Notice("Your password is another one now. Sign in with it."))
    return response


def _refused(error: SlipwayError, faults: Mapping[str, Sequence[str]]) -> Response:
    return refused(error, partial(_shown, faults=faults))


def _shown(status: int, faults: Mapping[str, Sequence[str]] | None = None) -> Response:
    identity = caller()
    credential = identity.credential
    return page(
        "account.html",
        title="Your account",
        current=_HERE,
        status=status,
        roles=[(role, ROLES[role]) for role in roles_of(identity)],
        permitted=permitted(identity),
        restricted=identity.scopes is not None,
        signed_in_with=way(credential.origin.authenticator),
        expires_at=credential.expires_at if credential.authenticator == SESSION else None,
        keys=_keys(identity),
        sessions=_sessions(identity),
        password=_password(identity),
        shortest=SHORTEST_PASSWORD,
        faults=faults or {},
    )


def _keys(identity: Identity) -> dict[str, Any] | None:
    """Return a page of one's API keys; None where one has none to see."""
    limits = services().api_keys.limits
    if limits is None or identity.shared or not is_allowed(identity, Permission.KEYS_READ):
        return None
    text = request.args.get("before", "")
    before = int(text) if text.isdecimal() and len(text) < 16 else None
    found, rest = services().api_keys.list(identity, identity.username, before, _PAGE)
    moment = datetime.now(UTC)
    shown = [
        (
            key,
            [scope_words(each) for each in key.scopes or ()],
            key.expires_at is not None and key.expires_at <= moment,
        )
        for key in found
    ]
    return {"found": shown, "rest": rest, "before": before, "limits": limits}


def _sessions(identity: Identity) -> list[dict[str, Any]] | None:
    """Return one's sessions; None where nobody has any."""
    if identity.shared or not is_allowed(identity, Permission.KEYS_READ):
        return None
    return [
        {"session": each, "agent": in_words(each.user_agent), "way": way(each.begun_with)}
        for each in services().sessions.list(identity, identity.username)
    ]


def _password(identity: Identity) -> str:
    """Return ``changeable``, or why one's password is not."""
    if identity.shared or not is_allowed(identity, Permission.PASSWORD_WRITE):
        return ""
    try:
        account = services().users.get(identity.username)
    except NotFound:
        return "You have no password here: you sign in elsewhere."
    if account.configured:
        return "Your password stands in the settings of the service; who runs it changes it there."
    return "changeable" if account.has_password else "You have no password here."
