"""Reading the private keys that people made here, which conductors alone may do."""

from __future__ import annotations

from typing import Protocol

from app.clients._ssh_terms import SshCredential


class KeyReader(Protocol):
    """The key pairs, at the moment at which one logs in. Threads may share it."""

    def newest_for(self, owner: str, cluster: str) -> str | None:
        """Return the id of a user's newest pair whose metadata name a cluster; None without.

        Args:
            owner: The user.
            cluster: What ``cluster`` must be in the metadata: the name of an orchestrator.
        """

    def read(self, key_id: str) -> SshCredential:
        """Read the private half of a pair; whoever gets it drops it after its use.

        Raises:
            UpstreamUnreachable: It cannot be read now.
            UpstreamRefused: There is none.
        """

    def succeeded(self, key_id: str) -> None:
        """Note that a pair has logged in, for its owner to see."""
