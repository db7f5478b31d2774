"""Whose account on a cluster an execution has, and how one logs in to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.clients._ssh_hosts import HostKeys
from app.clients._ssh_terms import SshTarget
from app.engine.launchers.slurm.options import OWN_KEY, SlurmOptions
from app.errors import ConfigError, FieldError, InvalidRequest

_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_PROGRAM: Final = re.compile(r"[A-Za-z0-9_./+-]{1,1000}")
"""What a login shell of whatever kind reads as one word."""
_FOLDER: Final = re.compile(r"[^\0\r\n]{1,1000}")


@dataclass(frozen=True, slots=True)
class ClusterAccount:
    """An account, and which key pair logs in to it.

    Attributes:
        user: Its name on the cluster.
        key: Id of the key pair; None for the owner's own.
        owner: The user of the gateway whose own key it is; empty where ``key`` names one.
    """

    user: str
    key: str | None
    owner: str = ""


class ClusterAccounts:
    """Finds accounts by what is configured.

    Args:
        options: Of the cluster.
        name: What the cluster is called here: the name of its orchestrator.

    Raises:
        ConfigError: Nobody has an account, or somebody has two.
    """

    def __init__(self, options: SlurmOptions, name: str) -> None:
        self._options = options
        self.name = name
        faults = list(_faults(options))
        if faults:
            raise ConfigError(f"The options of cluster '{name}' are not right.", fields=faults)
        self._mapped = {each.user: each for each in options.user_map}

    def of(self, owner: str) -> ClusterAccount:
        """Return the account of a user of the gateway.

        Raises:
            InvalidRequest: They have none; the message is for them.
        """
        options, mapped = self._options, self._mapped.get(owner)
        user = mapped.account if mapped else options.user
        if user is None:
            raise InvalidRequest(
                f"User '{owner}' has no account on cluster '{self.name}': ask who runs the "
                "gateway to enter one in its user_map."
            )
        return _account(user, (mapped and mapped.key) or options.key, owner)

    @property
    def admin(self) -> ClusterAccount | None:
        """The account that may suspend jobs and drain nodes; None without."""
        admin = self._options.admin
        if admin.user is None:
            return None
        return _account(admin.user, admin.key or self._options.key, "")

    @property
    def common(self) -> ClusterAccount | None:
        """The account of all who have none of their own, if its key is not theirs; None without."""
        user, key = self._options.user, self._options.key
        return None if user is None or key == OWN_KEY else _account(user, key, "")

    def target(self, user: str, identity: str = "") -> SshTarget:
        """Return where to log in.

        Args:
            user: Name of the account.
            identity: Id of the key pair.
        """
        options = self._options
        jump = tuple(
            SshTarget(hop.host, hop.user or user, hop.port, identity=identity)
            for hop in options.jump
        )
        return SshTarget(options.host, user, options.port, jump, identity)

    def host_keys(self) -> HostKeys:
        """Return what is known of the servers on the way.

        Raises:
            ConfigError: A fingerprint is not one.
        """
        options = self._options
        pinned = {(hop.host, hop.port): hop.host_keys for hop in options.jump if hop.host_keys}
        if options.host_keys:
            pinned[options.host, options.port] = options.host_keys
        file = options.known_hosts
        return HostKeys(None if file is None else Path(file).expanduser(), pinned)


def _account(user: str, key: str, owner: str) -> ClusterAccount:
    return ClusterAccount(user, None, owner) if key == OWN_KEY else ClusterAccount(user, key)


def _faults(options: SlurmOptions) -> Iterator[FieldError]:
    if options.user is None and not options.user_map:
        yield FieldError("user", "is missing, and so is user_map: nobody has an account")
    names = [each.user for each in options.user_map]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield FieldError(f"user_map[{index}].user", f"names '{name}' a second time")
    for path, user in _users(options):
        if user is not None and not _USER.fullmatch(user):
            yield FieldError(path, f"'{user}' is no name of an account")
    admin = options.admin
    if admin.user is not None and (admin.key or options.key) == OWN_KEY:
        yield FieldError("admin.key", "must be the id of a key pair: nobody's own is meant")
    pins = [options.host_keys, *(hop.host_keys for hop in options.jump)]
    if options.known_hosts is None and not all(pins):
        text = "is missing: each host needs host_keys, or a line in a known_hosts file"
        yield FieldError("known_hosts", text)
    if not _PROGRAM.fullmatch(options.python):
        yield FieldError("python", "must be the name or the path of a program")
    if not _FOLDER.fullmatch(options.workdir):
        yield FieldError("workdir", "must be the path of a folder")


def _users(options: SlurmOptions) -> Iterator[tuple[str, str | None]]:
    yield "user", options.user
    yield "admin.user", options.admin.user
    for index, each in enumerate(options.user_map):
        yield f"user_map[{index}].account", each.account
    for index, hop in enumerate(options.jump):
        yield f"jump[{index}].user", hop.user
