"""What became of what was asked of an SSH key, as parts of a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from app.domain import Identity, Operation, OperationState, SshKey
from app.resources._context import services
from app.services.key_requests import ROTATE, TEST, asked_of
from app.ui._keys import HERE, installing, name_of

_REFUSED: Final = "login_refused"
_ROTATED: Final = "ROTATED"


@dataclass(frozen=True, slots=True)
class Part:
    """What a page shows of an operation.

    Attributes:
        template: Of the part.
        title: Of the page.
        context: What the part shows.
    """

    template: str
    title: str
    context: Mapping[str, Any]


def is_about_key(operation: Operation) -> bool:
    """Return whether an operation was asked of a key."""
    return operation.kind in (TEST, ROTATE)


def outcome(operation: Operation, identity: Identity) -> Part:
    """Return how far an operation is that was asked of a key, or what came of it."""
    keys = {key.id: key for key in services().ssh_keys.of(identity)}
    key_id, cluster = asked_of(operation)
    key, verb = keys.get(key_id), "test" if operation.kind == TEST else "rotate"
    about: dict[str, Any] = {
        "operation": operation,
        "is_test": operation.kind == TEST,
        "name": name_of(key) if key else key_id,
        "again": f"{HERE}/{key_id}/{verb}?{urlencode({'orchestrator': cluster})}" if key else None,
    }
    if operation.state is OperationState.FAILED:
        return Part("failed", "Not carried out", about)
    if not isinstance(operation.result, Mapping):
        return Part("under_way", "Under way", about)
    if operation.kind == TEST:
        return _tested(key, {**about, "login": operation.result})
    return _rotated(operation.result, keys, identity, {**about, "cluster": cluster})


def preparation(
    key: SshKey,
    new: SshKey,
    identity: Identity,
    cluster: str,
    login: Mapping[str, Any] | None = None,
) -> Part:
    """Return what is to be done so that a new pair can take the place of a key.

    Args:
        key: The key.
        new: The one that is to take its place.
        identity: Whose they are.
        cluster: Where the new one is to be tried; empty where that is to be chosen.
        login: How the last try went; None before the first.
    """
    line = new.authorized_keys or ""
    context = {
        "key": key, "name": name_of(key), "new": new, "line": line, "login": login,
        "command": installing(line), "is_refused": _is_refused(login),
        "faults": {}, "refusal": "", **where(key, identity, cluster),
    }  # fmt: skip
    return Part("prepared", "Replace an SSH key", context)


def where(key: SshKey, identity: Identity, cluster: str) -> dict[str, Any]:
    """Return where a key can be tried, and which of these is chosen unless somebody says so.

    Args:
        key: The key.
        identity: Whose it is.
        cluster: What was chosen; empty for nothing.
    """
    logins = services().key_requests.logins(key.id, identity)
    wanted = cluster or key.metadata.get("cluster")
    chosen = next((each.cluster for each in logins if each.cluster == wanted), "")
    return {"logins": logins, "chosen": chosen}


def _tested(key: SshKey | None, context: dict[str, Any]) -> Part:
    login = context["login"]
    if login["logs_in"]:
        return Part("tested", "The key logs in", context)
    is_refused = _is_refused(login)
    line = key.authorized_keys if key and is_refused else None
    title = "The key does not log in" if is_refused else "The key could not be tried"
    return Part("tested", title, {**context, "is_refused": is_refused, "line": line, "key": key})


def _is_refused(login: Mapping[str, Any] | None) -> bool:
    return login is not None and login["reason"] == _REFUSED


def _rotated(
    result: Mapping[str, Any],
    keys: Mapping[str, SshKey],
    identity: Identity,
    context: dict[str, Any],
) -> Part:
    old, new = keys.get(result["key"]), keys.get(result["new_key"])
    if result["state"] == _ROTATED:
        word = name_of(new) if new else result["new_key"]
        return Part("rotated", "The key is replaced", {**context, **result, "name": word})
    if old is None or new is None or new.replaces != old.id:
        return Part("changed", "Replace an SSH key", {**context, **result})
    return preparation(old, new, identity, context["cluster"], result["login"])
