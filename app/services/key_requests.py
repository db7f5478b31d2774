"""What users ask of their SSH keys that a conductor carries out: to try one, and to rotate one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from app.clients.key_store import shown
from app.domain import Identity, Operation, SshKey
from app.errors import Conflict, FieldError, InvalidRequest
from app.services.clusters import KnownCluster
from app.services.operations import OperationService
from app.services.ssh_keys import SshKeyService

TEST: Final = "ssh_keys.test"
ROTATE: Final = "ssh_keys.rotate"

Step = Literal["make", "try"]


@dataclass(frozen=True, slots=True)
class Login:
    """Where a key can be tried.

    Attributes:
        cluster: Name of the orchestrator.
        account: Name of the account there.
        host: Its login node.
    """

    cluster: str
    account: str
    host: str


class KeyRequests:
    """Files what is asked of SSH keys.

    Args:
        keys: The keys.
        operations: What conductors carry out.
        clusters: Those that are configured, by name.
    """

    def __init__(
        self,
        keys: SshKeyService,
        operations: OperationService,
        clusters: Mapping[str, KnownCluster],
    ) -> None:
        self._keys = keys
        self._operations = operations
        self._clusters = clusters

    def logins(self, key_id: str, identity: Identity) -> list[Login]:
        """List where a key can be tried, by the names of the clusters.

        Args:
            key_id: A key of the user's own.
            identity: The user.

        Raises:
            NotFound: The user has no such key.
        """
        known = [self._keys.known_as(self._keys.find(key_id, identity))]
        found = []
        for each in sorted(self._clusters.values(), key=lambda each: each.name):
            [account] = each.accounts_for(known, identity.username)
            if account is not None:
                found.append(Login(each.name, account, each.options.host))
        return found

    def triable(self, identity: Identity) -> frozenset[str]:
        """Return the prefixes of the ids of a user's keys that can be tried anywhere."""
        if not self._clusters:
            return frozenset()
        known = self._keys.all_known_as(identity)
        found: set[str] = set()
        for each in self._clusters.values():
            accounts = each.accounts_for([*known.values()], identity.username)
            found.update(
                shown(key) for key, account in zip(known, accounts, strict=True) if account
            )
        return frozenset(found)

    def test(self, key_id: str, cluster: str | None, identity: Identity) -> Operation:
        """Ask whether a key logs in to a cluster.

        Args:
            key_id: A key of the user's own.
            cluster: Name of the orchestrator; that of its metadata if None.
            identity: The user.

        Raises:
            NotFound: The user has no such key.
            InvalidRequest: There is no such cluster, or no account for the key.
        """
        key = self._keys.find(key_id, identity)
        name = self._cluster_of(key, cluster, identity)
        arguments = {"key": key.id, "cluster": name}
        return self._operations.file(TEST, _subject(key, name), arguments, identity)

    def rotate(
        self, key_id: str, cluster: str | None, identity: Identity, step: Step | None = None
    ) -> Operation:
        """Have a new pair take the place of one; the first time it is made, and then tried.

        Args:
            key_id: A key of the user's own.
            cluster: Where the new one is tried; as for :meth:`test`.
            identity: The user.
            step: To make the new pair, however often that is asked for, or to try the one that was
                made; whichever is next if None.

        Raises:
            NotFound: The user has no such key.
            InvalidRequest: There is no such cluster, or no account for the key.
            Conflict: It is to take the place of another one itself, or there is no room for more,
                or none that could be tried.
            UpstreamError: The new pair could not be stored.
        """
        key = self._keys.find(key_id, identity)
        if key.replaces is not None:
            raise Conflict("This key is to take the place of another one: rotate that one.")
        name = self._cluster_of(key, cluster, identity)
        if step == "try" and self._keys.waiting(key.id, identity) is None:
            raise Conflict("There is no new key that could take its place: it was revoked.")
        new, is_new = self._keys.successor_of(key, identity)
        is_untried = is_new or step == "make"
        arguments = {"key": key.id, "new": new.id, "cluster": name, "is_new": is_untried}
        return self._operations.file(ROTATE, _subject(key, name), arguments, identity)

    def _cluster_of(self, key: SshKey, given: str | None, identity: Identity) -> str:
        name = given if given is not None else key.metadata.get("cluster")
        if not isinstance(name, str):
            text = "is missing, and the metadata of the key name no cluster"
            raise _fault(text)
        cluster = self._clusters.get(name)
        if cluster is None:
            known = ", ".join(sorted(self._clusters)) or "there is none"
            raise _fault(f"must be an orchestrator with launcher 'slurm' ({known}), not '{name}'")
        cluster.account_for(self._keys.known_as(key), identity.username)
        return name


def asked_of(operation: Operation) -> tuple[str, str]:
    """Return the prefix of the id of the key that an operation is about, and the cluster."""
    return shown(str(operation.arguments["key"])), str(operation.arguments["cluster"])


def _subject(key: SshKey, cluster: str) -> str:
    return f"{shown(key.id)} {cluster}"


def _fault(text: str) -> InvalidRequest:
    fault = FieldError("orchestrator", text)
    return InvalidRequest("The key cannot be tried there.", fields=(fault,))
