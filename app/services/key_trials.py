"""Logging in with SSH keys to see whether it works, for a conductor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from app.backoff import Backoff
from app.clients._ssh import HostKeyRefused, LoginRefused, SshLimits, SshPool
from app.clients.key_store import shown
from app.clients.stored_key_reader import StoredKeyReader
from app.domain import JSON, AuditResult, Identity, Operation
from app.errors import InvalidRequest, UpstreamError
from app.services.audit import Audit, Origin
from app.services.clusters import KnownCluster
from app.store.audit import AuditLog
from app.store.keys import SshKeys

log = structlog.get_logger(__name__)

SECONDS: Final = 120.0
"""Longest time of one trial; a connection has a narrower one of its own, hop by hop."""
_REFUSED: Final = Backoff(first=60.0, longest=600.0)
"""Pauses after a login that was refused: servers shut out whole addresses that try too often."""
_MOST_LEFT_OVER: Final = 100
"""How many private halves of replaced keys are removed at once."""


@dataclass(slots=True)
class _Door:
    """How often a cluster has refused keys of somebody in a row, and until when none is tried.

    Attributes:
        is_busy: One is being tried.
    """

    refusals: int = 0
    shut_until: float = 0.0
    is_busy: bool = False


@dataclass(slots=True)
class _Trial:
    """What came of a login."""

    logs_in: bool
    reason: str = ""
    message: str = ""
    more: dict[str, JSON] = field(default_factory=dict)


class KeyTrials:
    """Tries keys of users, and lets new ones take the places of old ones.

    Args:
        clusters: Those that are configured, by name.
        reader: Reads the private halves.
        keys: The public records.
        audit: Where what came of it is recorded.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        clusters: Mapping[str, KnownCluster],
        reader: StoredKeyReader,
        keys: SshKeys,
        audit: AuditLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clusters = clusters
        self._reader = reader
        self._keys = keys
        self._audit = audit
        self._clock = clock
        self._lock = threading.Lock()
        self._pools: dict[str, SshPool] = {}
        self._doors: dict[tuple[str, str], _Door] = {}

    def test(self, operation: Operation) -> JSON:
        """Carry out: does this key log in?

        Raises:
            InvalidRequest: The cluster, the key or the account is gone by now.
            UpstreamError: The private half cannot be read.
        """
        asked = operation.arguments
        trial, told = self._try(operation, str(asked["key"]), str(asked["key"]))
        self._record(operation, "ssh_keys:test", str(asked["key"]), trial)
        return told

    def rotate(self, operation: Operation) -> JSON:
        """Carry out: let a new pair take the place of an old one, if it logs in.

        A pair that was made a moment ago is not tried: nobody can have installed it, and servers
        count logins that they refuse.

        Raises:
            InvalidRequest: As for :meth:`test`.
            UpstreamError: As for :meth:`test`.
        """
        asked = operation.arguments
        old, new = str(asked["key"]), str(asked["new"])
        found = next((each for each in self._keys.of(operation.owner) if each.id == new), None)
        if found is None:
            raise InvalidRequest("The new key is gone: it was revoked meanwhile.")
        line = found.authorized_keys
        about: dict[str, JSON] = {"key": shown(old), "new_key": shown(new), "authorized_keys": line}
        if found.replaces is None:  # done by an earlier try, whose answer was lost
            return {**about, "state": "ROTATED", "login": None}
        if asked["is_new"]:
            return {**about, "state": "PREPARED", "login": None}
        trial, told = self._try(operation, new, old)
        self._record(operation, "ssh_keys:rotate", old, trial)
        if not trial.logs_in:
            return {**about, "state": "PREPARED", "login": told}
        if not self._keys.succeed(old, new):
            raise InvalidRequest("The old key is gone: it was revoked meanwhile.")
        self._clear(old)
        return {**about, "state": "ROTATED", "login": told}

    def clear(self) -> int:
        """Remove private halves of keys that were replaced, where that failed before.

        Returns:
            How many.
        """
        return sum(map(self._clear, self._keys.left_over(_MOST_LEFT_OVER)))

    def close(self) -> None:
        """End what goes on."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()

    def _clear(self, key_id: str) -> bool:
        try:
            self._reader.private.remove(key_id)
        except UpstreamError as exc:
            log.warning("replaced SSH key not removed yet", key=shown(key_id), error=exc.message)
            return False
        self._keys.removed(key_id)
        return True

    def _try(self, operation: Operation, key_id: str, known: str) -> tuple[_Trial, JSON]:
        """Log in.

        Args:
            operation: Who asks, and where.
            key_id: The key.
            known: The one by which the settings may know it.
        """
        name = str(operation.arguments["cluster"])
        cluster = self._clusters.get(name)
        if cluster is None:
            raise InvalidRequest(f"There is no cluster '{name}' any more.")
        account = cluster.account_for(self._keys.names(known), operation.owner)
        trial = self._guarded(operation.owner, cluster, account, key_id)
        return trial, {
            "orchestrator": name,
            "account": account,
            "host": cluster.options.host,
            "logs_in": trial.logs_in,
            "reason": trial.reason or None,
            "message": trial.message,
            **trial.more,
        }

    def _guarded(self, owner: str, cluster: KnownCluster, account: str, key_id: str) -> _Trial:
        with self._lock:
            door = self._doors.setdefault((owner, cluster.name), _Door())
            left = door.shut_until - self._clock()
            if door.is_busy:
                return _Trial(False, "paused", "Another key of yours is being tried there.")
            if left > 0:
                text = (
                    "The last login was refused, and servers shut out who tries too often: it is "
                    f"tried again in {left:.0f} seconds at the earliest."
                )
                return _Trial(False, "paused", text, {"retry_after_seconds": round(left)})
            door.is_busy = True
        trial = _Trial(False)
        try:
            trial = self._log_in(cluster, account, key_id)
        finally:
            with self._lock:
                door.is_busy = False
                is_refused = trial.reason == "login_refused"
                door.refusals = door.refusals + 1 if is_refused else 0
                pause = _REFUSED.pause(door.refusals) if is_refused else 0.0
                door.shut_until = self._clock() + pause
        return trial

    def _log_in(self, cluster: KnownCluster, account: str, key_id: str) -> _Trial:
        credential = self._reader.read(key_id)
        target = cluster.accounts.target(account, key_id)
        try:
            login = self._pool(cluster).try_login(target, lambda: credential)
        except LoginRefused as exc:
            return _Trial(False, "login_refused", exc.message)
        except HostKeyRefused as exc:
            return _Trial(False, "host_key_refused", exc.message)
        except UpstreamError as exc:
            return _Trial(False, "unreachable", exc.message)
        self._reader.succeeded(key_id)
        text = f"The key logs in to {target.address} as '{account}'."
        seen: dict[str, JSON] = {
            "host_key": login.host_key, "server": login.server, "seconds": round(login.seconds, 3),
        }  # fmt: skip
        return _Trial(True, "", text, seen)

    def _pool(self, cluster: KnownCluster) -> SshPool:
        with self._lock:
            if cluster.name not in self._pools:
                limits = SshLimits(connect_seconds=cluster.options.connect_timeout)
                self._pools[cluster.name] = SshPool(cluster.accounts.host_keys(), limits)
            return self._pools[cluster.name]

    def _record(self, operation: Operation, action: str, key_id: str, trial: _Trial) -> None:
        origin = Origin(Identity(operation.owner, frozenset()), request_id=operation.id)
        audit = Audit(self._audit, lambda: origin)
        result = AuditResult.SUCCESS if trial.logs_in else AuditResult.FAILED
        told = f"{operation.arguments['cluster']}: {trial.reason or 'logged in'}"
        audit.record(audit.event(action, f"/ssh_keys/{shown(key_id)}", result=result, detail=told))
        audit.close()
