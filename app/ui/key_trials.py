"""``/ui/keys/<id>/test`` and ``/rotate``: whether a key logs in, and a new one in its place."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response, request

from app.domain import Operation, Permission
from app.errors import Conflict, InvalidRequest, LimitExceeded, SlipwayError
from app.resources._auth import caller
from app.resources._context import services
from app.resources._held import answered
from app.resources._limits import cost
from app.resources._operations import until_carried_out
from app.resources._permissions import permission
from app.resources._ssh_key_forms import LONGEST_NAME
from app.services.idle import Idle
from app.services.key_requests import Step
from app.ui._forms import faults_by_field, posted, refused, see_other
from app.ui._key_outcomes import preparation, where
from app.ui._keys import HERE, name_of
from app.ui._render import page

blueprint = Blueprint("key_trials", __name__)

_OPERATIONS: Final = "/ui/operations"

_Faults = Mapping[str, Sequence[str]]


@blueprint.get("/keys/<string:key_id>/test")
@permission(Permission.KEYS_WRITE)
def ask_to_test(key_id: str) -> Response:
    """Show what a test does, and ask where."""
    return _test_form(key_id, {})


@blueprint.post("/keys/<string:key_id>/test")
@cost(5)
@permission(Permission.KEYS_WRITE, action="ssh_keys:test", form=True)
def test(key_id: str) -> Response:
    """Have a key tried, and lead to what came of it."""
    form = partial(_test_form, key_id)
    try:
        filed = services().key_requests.test(key_id, _chosen() or None, caller())
    except (InvalidRequest, Conflict, LimitExceeded) as exc:
        return _refused(exc, form)
    return _led(filed)


@blueprint.get("/keys/<string:key_id>/rotate")
@permission(Permission.KEYS_WRITE)
def ask_to_rotate(key_id: str) -> Response:
    """Show how a new pair takes the place of one, or the one that is to do so."""
    key = services().ssh_keys.get(key_id, caller())
    if key.replaces is not None:
        return see_other(f"{HERE}/{key.replaces}/rotate")
    return _rotation_form(key_id, {})


@blueprint.post("/keys/<string:key_id>/rotate")
@cost(5)
@permission(Permission.KEYS_WRITE, action="ssh_keys:rotate", form=True)
def rotate(key_id: str) -> Response:
    """Have the new pair made, or tried, and lead to what came of it."""
    step: Step = "try" if posted("step") == "try" else "make"
    form = partial(_rotation_form, key_id)
    try:
        filed = services().key_requests.rotate(key_id, _chosen() or None, caller(), step)
    except (InvalidRequest, Conflict, LimitExceeded) as exc:
        return _refused(exc, form)
    return _led(filed)


def _refused(exc: SlipwayError, form: partial[Response]) -> Response:
    found = faults_by_field(exc)
    return refused(exc, partial(form, found, refusal="" if found else exc.message))


def _led(filed: Operation) -> Response:
    """Lead to an operation, once it has ended, or else when others would not wait any longer.

    That page may be loaded as often as anybody likes. It also says what kept from waiting.
    """
    address = f"{_OPERATIONS}/{filed.id}"
    return answered(_patiently(filed), lambda _: see_other(address), has_effect=True)


def _patiently(filed: Operation) -> Generator[Idle, None, None]:
    with suppress(SlipwayError):
        yield from until_carried_out(filed)


def _chosen() -> str:
    """Return the cluster that the form has, or the address."""
    given = request.form if request.method == "POST" else request.args
    return given.get("orchestrator", "")[:LONGEST_NAME]


def _test_form(key_id: str, faults: _Faults, status: int = 200, *, refusal: str = "") -> Response:
    key = services().ssh_keys.get(key_id, caller())
    return page(
        "key_test.html", title="Test an SSH key", current=HERE, status=status, faults=faults,
        refusal=refusal, key=key, name=name_of(key), **where(key, caller(), _chosen()),
    )  # fmt: skip


def _rotation_form(
    key_id: str, faults: _Faults, status: int = 200, *, refusal: str = ""
) -> Response:
    identity = caller()
    key = services().ssh_keys.get(key_id, identity)
    more: dict[str, Any] = {"current": HERE, "status": status}
    told: dict[str, Any] = {"faults": faults, "refusal": refusal}
    new = services().ssh_keys.waiting(key_id, identity)
    if new is not None:
        part = preparation(key, new, identity, _chosen())
        return page(
            "operation.html", title=part.title, part=part.template, is_open=False,
            **{**part.context, **told, **more},
        )  # fmt: skip
    return page(
        "key_rotate.html", title="Replace an SSH key", key=key, name=name_of(key),
        is_read_by_id=services().settings.ssh_keys.store == "vault",
        **where(key, identity, _chosen()), **told, **more,
    )  # fmt: skip
