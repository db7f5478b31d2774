"""``/ui/keys``: SSH key pairs: made, their public halves shown once, and revoked."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, Final

from flask import Blueprint, Response, request

from app.documents import MAX_DEPTH, read_json
from app.domain import JSON, Permission, SshKey, authorized_line
from app.errors import (
    Conflict,
    FieldError,
    InvalidRequest,
    LimitExceeded,
    MadeAlready,
)
from app.resources._api import extent
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources._ssh_key_forms import LONGEST_NAME, fault_of_size
from app.services.ssh_keys import ALGORITHMS, RESERVED
from app.ui._forms import Notice, faults_by_field, posted, posted_all, refused, see_other
from app.ui._keys import HERE, LONGEST_SHOWN, installing, name_in, name_of
from app.ui._render import page
from app.ui._words import as_json

blueprint = Blueprint("keys", __name__)

_ROWS: Final = 3
"""Rows of words that the form has at least."""
_MOST_ROWS: Final = 100
_ONCE_CHARACTERS: Final = 64
_LONGEST_JSON: Final = 65_536
_SENT_BEFORE: Final = (
    "This form was sent before, and made a key pair, which was shown then. If you do not have it, "
    "revoke that one and make another."
)


@blueprint.get("/keys")
@permission(Permission.KEYS_READ)
def show() -> Response:
    """List one's keys, newest first."""
    identity = caller()
    found = services().ssh_keys.of(identity)
    return page(
        "keys.html",
        title="Keys",
        current=HERE,
        keys=[(key, name_of(key), _rest(key)) for key in found],
        triable=services().key_requests.triable(identity),
        most=services().ssh_keys.most_of(identity),
    )


@blueprint.get("/keys/new")
@permission(Permission.KEYS_WRITE)
def ask_for_new() -> Response:
    """Show the form."""
    return _form({})


@blueprint.post("/keys")
@cost(5)
@permission(Permission.KEYS_WRITE, form=True)
def create() -> Response:
    """Make a key pair and show the public half, once: the same form makes no other one."""
    try:
        metadata = _metadata()
        key_id, public_key = services().ssh_keys.create(
            metadata, caller(), posted("algorithm") or None, posted("once")[:_ONCE_CHARACTERS]
        )
    except MadeAlready as exc:
        return refused(exc, partial(_form, {}, refusal=_SENT_BEFORE))
    except InvalidRequest as exc:
        return refused(exc, partial(_form, faults_by_field(exc)))
    except (Conflict, LimitExceeded) as exc:
        return refused(exc, partial(_form, {}, refusal=exc.message))
    shown, line = key_id.partition("-")[0], authorized_line(public_key)
    return page(
        "key_made.html", title="Key pair made", status=201, current=HERE, key_id=key_id,
        name=name_in(metadata) or shown, shown=shown, line=line, command=installing(line),
        is_triable=bool(services().key_requests.logins(key_id, caller())),
    )  # fmt: skip


@blueprint.get("/keys/<string:key_id>/revoke")
@permission(Permission.KEYS_WRITE)
def ask_to_revoke(key_id: str) -> Response:
    """Ask whether to revoke a key."""
    key = services().ssh_keys.get(key_id, caller())
    return page(
        "ask.html",
        title="Revoke an SSH key",
        current=HERE,
        question=f"Revoke the SSH key {name_of(key)}?",
        told="Its private half is deleted for good, and what uses it can sign in nowhere. Lines "
        "with its public half in files authorized_keys stay, and are of no use.",
        action=f"{HERE}/{key.id}/revoke",
        button="Revoke key",
        stay="Keep it",
        back=HERE,
    )


@blueprint.post("/keys/<string:key_id>/revoke")
@permission(Permission.KEYS_WRITE, form=True)
def revoke(key_id: str) -> Response:
    """Revoke a key."""
    services().ssh_keys.revoke(key_id, caller())
    return see_other(HERE, Notice(f"The key {key_id.partition('-')[0]} is revoked."))


def _metadata() -> dict[str, JSON]:
    """Read what somebody says of the key: the JSON, and the rows of names and values.

    Raises:
        InvalidRequest: It cannot be read, or a name stands twice.
    """
    found = _json(posted("json").strip())
    for name, value in _rows():
        if name in found:
            raise _fault("metadata", f"holds '{name[:LONGEST_SHOWN]}' twice")
        if name in RESERVED:
            raise _fault("metadata", f"cannot hold '{name}', which the service keeps for itself")
        if not value:
            raise _fault("metadata", f"has no value for '{name[:LONGEST_SHOWN]}'")
        if not name:
            raise _fault("metadata", f"has no name for '{value[:LONGEST_SHOWN]}'")
        found[name] = value
    if any(not 0 < len(name) <= LONGEST_NAME for name in found):
        raise _fault("metadata", f"must have names of 1 to {LONGEST_NAME} characters")
    fault = fault_of_size(found)
    if fault is not None:
        raise _fault("metadata", fault)
    return found


def _json(text: str) -> dict[str, JSON]:
    if not text:
        return {}
    if len(text) > _LONGEST_JSON:
        raise _fault("json", f"must be at most {_LONGEST_JSON} characters")
    try:
        found = read_json(text)
        if extent(found)[0] > MAX_DEPTH:
            raise RecursionError
    except RecursionError as exc:
        raise _fault("json", f"must not be nested deeper than {MAX_DEPTH}") from exc
    except ValueError as exc:
        raise _fault("json", f"cannot be read: {exc}") from exc
    if not isinstance(found, dict):
        raise _fault("json", 'must be an object, such as {"cluster": "hpc1"}')
    return dict(found)


def _rows() -> list[tuple[str, str]]:
    """Return the rows that say something; the form offers one that is called "name"."""
    names, values = posted_all("key"), posted_all("value")
    pairs = zip_longest(names[:_MOST_ROWS], values[:_MOST_ROWS], fillvalue="")
    return [
        (name.strip(), value) for name, value in pairs if value or name.strip() not in ("", "name")
    ]


def _fault(field: str, message: str) -> InvalidRequest:
    return InvalidRequest("That is no word about a key.", fields=(FieldError(field, message),))


def _rest(key: SshKey) -> list[tuple[str, str]]:
    """Return the other words about a key, cut to what a list can show."""
    return [
        (name, (value if isinstance(value, str) else as_json(value))[:LONGEST_SHOWN])
        for name, value in list(key.metadata.items())[:_MOST_ROWS]
        if not (name == "name" and isinstance(value, str))
    ]


def _form(faults: Mapping[str, Sequence[str]], status: int = 200, *, refusal: str = "") -> Response:
    keys = services().ssh_keys
    rows = _rows() if request.method == "POST" else [("name", "")]
    context: dict[str, Any] = {
        "rows": rows + [("", "")] * max(1, _ROWS - len(rows)),
        "json": posted("json"),
        "algorithms": ALGORITHMS,
        "algorithm": posted("algorithm") or keys.default_algorithm,
        "once": secrets.token_hex(16),
    }
    return page(
        "key_new.html", title="Make a key pair", current=HERE, status=status, faults=faults,
        refusal=refusal, **context,
    )  # fmt: skip
