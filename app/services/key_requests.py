"""What users ask of their SSH keys that a conductor carries out: to try one, and to rotate one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.domain import Identity, Operation, SshKey
from app.errors import Conflict, FieldError, InvalidRequest
from app.services.clusters import KnownCluster
from app.services.operations import OperationService
from app.services.ssh_keys import SshKeyService

TEST: Final = "ssh_keys.test"
ROTATE: Final = "ssh_keys.rotate"


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

    def rotate(self, key_id: str, cluster: str | None, identity: Identity) -> Operation:
        """Have a new pair take the place of one; the first time it is made, and then tried.

        Args:
            key_id: A key of the user's own.
            cluster: Where the new one is tried; as for :meth:`test`.
            identity: The user.

        Raises:
            NotFound: The user has no such key.
            InvalidRequest: There is no such cluster, or no account for the key.
            Conflict: It is to take the place of another one itself, or there is no room for more.
            UpstreamError: The new pair could not be stored.
        """
        key = self._keys.find(key_id, identity)
        if key.replaces is not None:
            raise Conflict("This key is to take the place of another one: rotate that one.")
        name = self._cluster_of(key, cluster, identity)
        new, is_new = self._keys.successor_of(key, identity)
        arguments = {"key": key.id, "new": new.id, "cluster": name, "is_new": is_new}
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


def _subject(key: SshKey, cluster: str) -> str:
    return f"{key.id[:8]} {cluster}"


def _fault(text: str) -> InvalidRequest:
    fault = FieldError("orchestrator", text)
    return InvalidRequest("The key cannot be tried there.", fields=(fault,))
