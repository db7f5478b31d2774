"""The port behind which private keys are kept."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain import JSON


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair, in memory only as long as it takes to store it.

    Attributes:
        private_key: OpenSSH's PEM format, unencrypted.
        public_key: One line in ``authorized_keys`` format.
    """

    private_key: str
    public_key: str

    def __repr__(self) -> str:
        return f"KeyPair(public_key={self.public_key!r})"


KEY_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The whole id of a key pair."""
_SHOWN_CHARACTERS = 8


def shown(key_id: str) -> str:
    """Cut the id of a key to what may be shown again, and logged."""
    return key_id[:_SHOWN_CHARACTERS]


class KeyStore(ABC):
    """Where private keys go; the web process needs no way to get one back."""

    @property
    def token_ttl_seconds(self) -> float | None:
        """Seconds for which what the store knows us by is good; None where there is no such."""
        return None

    def check(self) -> None:  # noqa: B027
        """Look whether the store is set up as it must be; called once, at the start.

        Raises:
            ConfigError: It is not, and never will be without a change.
            UpstreamError: It does not answer now.
        """

    def stop(self) -> None:  # noqa: B027
        """End what the store does in the background."""

    @abstractmethod
    def put(self, key_id: str, pair: KeyPair, metadata: Mapping[str, JSON]) -> None:
        """Keep a key pair; on return it is stored durably.

        Args:
            key_id: Random identifier, never used before.
            pair: The key pair.
            metadata: The user's own words about it, kept beside it.

        Raises:
            UpstreamError: It is not certain that the pair is stored; do not hand the key out.
        """

    @abstractmethod
    def delete(self, key_id: str) -> None:
        """Forget a key pair for good, all its versions included; idempotent.

        Raises:
            UpstreamError: It may still be there.
        """

    @abstractmethod
    def health(self) -> None:
        """Check that keys can be stored.

        Raises:
            UpstreamError: They cannot, and the message says why.
        """
