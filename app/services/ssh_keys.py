"""SSH key pairs: made in memory, the private half stored away and never shown."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from app.clients.key_store import KeyPair, KeyStore, shown
from app.concurrency import FairPlaces, Pool
from app.domain import JSON, Identity, Role, SshKey
from app.errors import (
    Ambiguous,
    FieldError,
    Hidden,
    InvalidRequest,
    MadeAlready,
    NotFound,
    UpstreamError,
)
from app.store.execution_rows import now
from app.store.keys import SshKeys

RESERVED = frozenset({"privateKey", "publicKey"})
"""Metadata under these names is left out, as the API document says."""


KEY_ID_PATTERN: Final = r"[0-9a-f]{8}(?:(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?"
"""How a key can be named: by its id, which is a UUID, or by what of it is shown."""
ALGORITHMS = ("ed25519", "rsa-2048", "rsa-3072", "rsa-4096", "ecdsa-p256")
_SLOW = frozenset(name for name in ALGORITHMS if name.startswith("rsa-"))
_MOST_WAITING = 4


class SshKeyService:
    """Makes, lists and revokes key pairs.

    Args:
        keys: Public records.
        store: Where the private halves go.
        default_algorithm: One of ``ALGORITHMS``.
        pool: Where RSA keys are computed, each of which may take seconds; users have their turns.
        threads: How many it computes at the same time.
        most_of: Most keys of a user of some roles.
        max_metadata_bytes: Largest metadata of a key, as JSON.
    """

    def __init__(
        self,
        keys: SshKeys,
        store: KeyStore,
        default_algorithm: str,
        pool: Pool,
        threads: int = 1,
        *,
        most_of: Callable[[frozenset[Role]], int] = lambda _: 100,
        max_metadata_bytes: int = 16 * 1024,
    ) -> None:
        self._keys = keys
        self._store = store
        self._default_algorithm = default_algorithm
        self._pool = pool
        self._places = FairPlaces(threads, _MOST_WAITING)
        self._most_of = most_of
        self._max_metadata_bytes = max_metadata_bytes

    def create(
        self,
        metadata: Mapping[str, JSON],
        identity: Identity,
        algorithm: str | None = None,
        once: str = "",
    ) -> tuple[str, str]:
        """Make a key pair.

        The private half is stored before the key is told to anybody, so what fails half-way leaves
        no key that somebody could use.

        Args:
            metadata: The user's own words about the key; reserved names are left out.
            identity: Who will own it.
            algorithm: One of ``ALGORITHMS``.
            once: Of the wishes of somebody with the same word only one makes a key, as long as
                they have it; empty for no word.

        Returns:
            The id and the public key in ``authorized_keys`` format.

        Raises:
            InvalidRequest: There is no such algorithm, or the metadata are too large.
            Conflict: The user has as many keys as they may.
            MadeAlready: The same wish has made one.
            LimitExceeded: Too many keys of this user are being made.
            UpstreamError: The key could not be stored.
        """
        algorithm = algorithm or self._default_algorithm
        if algorithm not in ALGORITHMS:
            fault = FieldError("algorithm", f"must be one of {', '.join(ALGORITHMS)}")
            raise InvalidRequest("There is no such algorithm.", fields=(fault,))
        kept = {name: value for name, value in metadata.items() if name not in RESERVED}
        self._require_room(kept, identity)
        key_id = _new_id(identity, once)
        beginning = shown(key_id) if once else ""
        if once:
            self._keys.require_new(identity.username, beginning)
        pair = self._generate(algorithm, f"slipway-{shown(key_id)}", identity)
        key = SshKey(
            key_id, identity.username, algorithm, _fingerprint(pair.public_key), kept, now(),
            pair.public_key,
        )  # fmt: skip
        self._keep(key, pair, identity, beginning)
        return key_id, pair.public_key

    def _keep(self, key: SshKey, pair: KeyPair, identity: Identity, beginning: str = "") -> None:
        # One that is to take the place of another does so where there is no room for more, too.
        most = self._most_of(identity.roles) + (key.replaces is not None)
        self._store.put(key.id, pair, key.metadata)
        try:
            self._keys.add(key, most, beginning=beginning)
        except Exception:
            with suppress(UpstreamError):
                self._store.delete(key.id)
            raise

    def _require_room(self, metadata: Mapping[str, JSON], identity: Identity) -> None:
        size = len(json.dumps(metadata, separators=(",", ":")))
        if size > self._max_metadata_bytes:
            text = f"must be at most {self._max_metadata_bytes} bytes as JSON, got {size}"
            raise InvalidRequest(
                "The metadata are too large.", fields=(FieldError("metadata", text),)
            )
        # Before seconds are spent on a key; what counts is the check when it is stored.
        self._keys.require_room(identity.username, self._most_of(identity.roles))

    def _generate(self, algorithm: str, comment: str, identity: Identity) -> KeyPair:
        if algorithm not in _SLOW:
            return _generate(algorithm, comment)
        with self._places.place(identity.username):
            return self._pool.run(_generate, algorithm, comment)

    def most_of(self, identity: Identity) -> int:
        """Return how many keys somebody may have."""
        return self._most_of(identity.roles)

    @property
    def default_algorithm(self) -> str:
        """The algorithm of a key for which none is said."""
        return self._default_algorithm

    def of(self, identity: Identity) -> list[SshKey]:
        """List a user's own keys, newest first, their ids cut to a prefix.

        The whole id gives access to the private key in the key store, so it is shown only once.
        """
        return [_as_shown(key) for key in self._keys.of(identity.username)]

    def get(self, key_id: str, identity: Identity) -> SshKey:
        """Return a key of the user's own, its id cut to a prefix; see :meth:`revoke`."""
        return _as_shown(self.find(key_id, identity))

    def revoke(self, key_id: str, identity: Identity) -> None:
        """Delete a key of the user's own for good.

        Args:
            key_id: The id, or the prefix of it that the list shows.
            identity: The user.

        Raises:
            NotFound: The user has no such key.
            Ambiguous: The prefix fits several.
            UpstreamError: The key store failed; the key is still there.
        """
        found = self.find(key_id, identity)
        self._store.delete(found.id)
        self._keys.remove(found.id)

    def known_as(self, key: SshKey) -> frozenset[str]:
        """Return the ids by which settings may name a key."""
        return self._keys.names(key.id)

    def all_known_as(self, identity: Identity) -> dict[str, frozenset[str]]:
        """Return the ids by which settings may name each key of a user, by its whole id."""
        return self._keys.names_of(identity.username)

    def waiting(self, key_id: str, identity: Identity) -> SshKey | None:
        """Return the pair that is to take the place of a key, its id cut to a prefix.

        Args:
            key_id: As for :meth:`revoke`.
            identity: The user.

        Raises:
            NotFound: The user has no such key.
            Ambiguous: The prefix fits several.
        """
        found = self._successor(self.find(key_id, identity), identity)
        return None if found is None else _as_shown(found)

    def successor_of(self, key: SshKey, identity: Identity) -> tuple[SshKey, bool]:
        """Return the pair that is to take the place of a key, and whether it was made just now.

        Args:
            key: A key of the user's own.
            identity: The user.

        Raises:
            Conflict: The user has as many keys as they may.
            LimitExceeded: Too many keys of this user are being made.
            UpstreamError: The new one could not be stored.
        """
        if (waiting := self._successor(key, identity)) is not None:
            return waiting, False
        self._keys.require_room(identity.username, self._most_of(identity.roles) + 1)
        key_id = _new_id(identity, "")
        pair = self._generate(key.algorithm, f"slipway-{shown(key_id)}", identity)
        new = replace(
            key, id=key_id, fingerprint=_fingerprint(pair.public_key), created_at=now(),
            public_key=pair.public_key, last_used_at=None, last_succeeded_at=None, replaces=key.id,
        )  # fmt: skip
        try:
            self._keep(new, pair, identity)
        except MadeAlready:  # by another request of this moment
            waiting = self._successor(key, identity)
            if waiting is None:
                raise
            return waiting, False
        return new, True

    def _successor(self, key: SshKey, identity: Identity) -> SshKey | None:
        own = self._keys.of(identity.username)
        return next((each for each in own if each.replaces == key.id), None)

    def find(self, key_id: str, identity: Identity) -> SshKey:
        """Return a key of the user's own, with its whole id; see :meth:`revoke`."""
        own = self._keys.of(identity.username)
        hits = [key for key in own if key_id in (key.id, shown(key.id))]
        if not hits:
            text = "You have no such SSH key."
            raise Hidden(text) if self._keys.is_known(key_id) else NotFound(text)
        if len(hits) > 1:
            raise Ambiguous("Several of your keys begin like this; give the whole id.")
        return hits[0]


def _as_shown(key: SshKey) -> SshKey:
    return replace(key, id=shown(key.id), replaces=key.replaces and shown(key.replaces))


def _new_id(identity: Identity, once: str) -> str:
    """Make an id, of which the part that is shown follows from the wish; the rest is chance."""
    key_id = str(uuid.uuid4())
    if not once:
        return key_id
    about = f"{identity.username}\n{once}".encode(errors="replace")
    beginning = hashlib.sha256(about).hexdigest()[: len(shown(key_id))]
    return beginning + key_id[len(beginning) :]


def _generate(algorithm: str, comment: str) -> KeyPair:
    # Brings cryptography along, which is large, and which services without keys do without.
    from app.services.key_pairs import generate  # noqa: PLC0415

    return generate(algorithm, comment)


def _fingerprint(public_key: str) -> str:
    """Return the fingerprint as ``ssh-keygen -l`` shows it."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
