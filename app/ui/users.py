"""``/ui/users``: who may sign in, and as what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, request

from app.domain import Permission, Role
from app.errors import Conflict, FieldError, InvalidRequest, LimitExceeded, NotFound, SlipwayError
from app.resources._audit import act_as
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.services.users import LONGEST_PASSWORD, SHORTEST_PASSWORD, UserChange
from app.ui._access_words import ROLES, way
from app.ui._agents import in_words
from app.ui._forms import Notice, faults_by_field, posted, posted_all, refused, see_other
from app.ui._render import may, page

blueprint = Blueprint("users", __name__)

_PATH: Final = "/ui/users"
_MOST: Final = 50
_LONGEST_NAME: Final = 200
_REFUSED: Final = (InvalidRequest, Conflict, LimitExceeded)
PASSWORD_HINT: Final = f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"


@blueprint.get("/users")
@permission(Permission.USERS_MANAGE)
def show() -> Response:
    """Show a page of users, in the order of their names."""
    return _list()


@blueprint.post("/users")
@permission(Permission.USERS_MANAGE, action="users:add", recorded=True, form=True)
def add() -> Response:
    """Add a user, who can sign in at once."""
    username, again = posted("username").strip(), bool(posted("again"))
    roles = [role for role in Role if role in posted_all("roles")]
    given = {"username": username[:_LONGEST_NAME], "roles": roles, "again": again}
    try:
        if not roles:
            raise InvalidRequest("There is no role.", fields=(_no_role(),))
        made = services().users.add(
            username, frozenset(roles), posted("password") or None, again=again,
            by=caller().username,
        )  # fmt: skip
    except _REFUSED as exc:
        return _refused(exc, partial(_list, given=given, refusal=exc))
    return see_other(address_of(made.username), Notice(f"{made.username} can sign in now."))


@blueprint.get("/users/<path:username>")
@permission(Permission.USERS_MANAGE)
def show_one(username: str) -> Response:
    """Show one user, and what can be done."""
    return _one(username)


@blueprint.post("/users/<path:username>")
@permission(Permission.USERS_MANAGE, action="users:change", recorded=True, form=True)
def change(username: str) -> Response:
    """Do to a user what the button says; what cannot be done is said on the page."""
    what = posted("do")
    doing = _DOING.get(what)
    services().users.get(username)  # nothing can be done to nobody
    if doing is None:
        raise InvalidRequest("A button of the page says what to do, and none was pressed.")
    try:
        return doing(username)
    except _REFUSED as exc:
        return _refused(exc, partial(_one, username, what=what, refusal=exc))


def address_of(username: str) -> str:
    """Return the address of a user's page."""
    return f"{_PATH}/{quote(username)}"


def _set_roles(username: str) -> Response:
    roles = frozenset(role for role in Role if role in posted_all("roles"))
    if not roles:
        raise InvalidRequest("There is no role.", fields=(_no_role(),))
    _change(username, UserChange(roles=roles))
    words = ", ".join(role for role in Role if role in roles)
    return _done(username, f"{username} is {words} from now on.")


def _set_password(username: str) -> Response:
    _change(username, UserChange(password=posted("password")))
    return _done(username, f"{username} has another password, and is signed out everywhere.")


def _disable(username: str) -> Response:
    _change(username, UserChange(disabled=True))
    return _done(username, f"{username} may not sign in any more, and is signed out everywhere.")


def _enable(username: str) -> Response:
    _change(username, UserChange(disabled=False))
    return _done(username, f"{username} may sign in again.")


def _remove(username: str) -> Response:
    act_as("users:remove")
    services().users.remove(username, force=_insists())
    return see_other(_PATH, Notice(f"{username} is no user any more; what is theirs stays."))


def _end_session(username: str) -> Response:
    act_as("sessions:end")
    with suppress(NotFound):  # it has ended meanwhile, which is what was wanted
        services().sessions.end_one(posted("session"), caller())
    return _done(username, f"{username} is signed out there.")


def _end_sessions(username: str) -> Response:
    act_as("sessions:end")
    services().sessions.end_all(caller(), username, keep_current=True)
    which = "every other browser" if username == caller().username else "every browser"
    return _done(username, f"{username} is signed out of {which}.")


_DOING: Final[Mapping[str, Callable[[str], Response]]] = {
    "roles": _set_roles,
    "password": _set_password,
    "disable": _disable,
    "enable": _enable,
    "remove": _remove,
    "end-session": _end_session,
    "end-sessions": _end_sessions,
}


def _change(username: str, wanted: UserChange) -> None:
    services().users.change(username, wanted, force=_insists(), by=caller().username)


def _insists() -> bool:
    return bool(posted("force"))


def _done(username: str, text: str) -> Response:
    return see_other(address_of(username), Notice(text))


def _no_role() -> FieldError:
    return FieldError("roles", "at least one must be chosen")


def _refused(error: SlipwayError, show: Callable[[int], Response]) -> Response:
    """Answer that a form was refused; what is in the way of it is told as a fault of it."""
    return refused(error, lambda status: show(422 if isinstance(error, Conflict) else status))


def _list(
    status: int = 200, given: Mapping[str, Any] | None = None, refusal: SlipwayError | None = None
) -> Response:
    after = request.args.get("after", "")[:_LONGEST_NAME].replace("\x00", "")
    found, rest = services().users.list(after, _MOST)
    seen = {}
    if may(Permission.SYSTEM_READ):
        signed_in = services().system.signed_in(caller())
        seen = {who.username: who.last_used_at for who in signed_in}
    return page(
        "users.html",
        title="Users",
        current=_PATH,
        status=status,
        users=found,
        seen=seen,
        address=address_of,
        following=rest and f"{_PATH}?{urlencode({'after': rest})}",
        first=_PATH if after else None,
        given=given or {"username": "", "roles": [Role.USER], "again": False},
        refusal=refusal,
        faults=faults_by_field(refusal) if refusal else {},
        **_choices(),
    )


def _one(
    username: str, status: int = 200, what: str = "", refusal: SlipwayError | None = None
) -> Response:
    account = services().users.get(username)
    return page(
        "user.html",
        title=username,
        current=_PATH,
        status=status,
        account=account,
        sessions=[
            {"session": each, "agent": in_words(each.user_agent), "way": way(each.begun_with)}
            for each in services().sessions.list(caller(), username)
        ],
        address=address_of(username),
        is_self=username == caller().username,
        what=what,
        refusal=refusal,
        faults=faults_by_field(refusal) if refusal else {},
        audit=f"/ui/audit?{urlencode({'user': username})}",
        changes=f"/ui/audit?{urlencode({'target': f'/users/{username}'})}",
        **_choices(),
    )


def _choices() -> Mapping[str, Sequence[tuple[Role, str]] | str]:
    return {"roles": tuple(ROLES.items()), "password_hint": PASSWORD_HINT}
