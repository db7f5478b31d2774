"""Keys that verify signatures of tokens, each with the algorithms that it may be used for.

It is imported where tokens are verified only: joserfc and cryptography are large.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from joserfc import jwk
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from app.errors import ConfigError, FieldError, UpstreamError, UpstreamUnreachable

log = structlog.get_logger(__name__)

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_PUBLIC: Final = ("kty", "crv", "x", "y", "n", "e")
_OF_CURVE: Final = {
    "P-256": frozenset({"ES256"}),
    "P-384": frozenset({"ES384"}),
    "P-521": frozenset({"ES512"}),
    "Ed25519": frozenset({"EdDSA", "Ed25519"}),
}
_SMALLEST_RSA_BITS: Final = 2048
_MOST_KEYS: Final = 100
_MOST_TRIED: Final = 8
"""Most keys of a set that one token is tried with."""
_FRESH_SECONDS: Final = 300.0
"""How long keys are used before they are fetched anew."""
_UNKNOWN_SECONDS: Final = 30.0
"""Keys are fetched for a token that fits none at most so often."""
_FAILED_SECONDS: Final = 5.0
"""After a fetch that failed the next one begins at the earliest after so long."""
_WAIT_SECONDS: Final = 5.0
"""How long a request waits for the first keys of an issuer."""
_WAIT_FOR_FRESH_SECONDS: Final = 0.1
"""So long is waited for newer keys while there are older ones."""
_MOST_WAITING: Final = 64
_ANY_TEXT: Final = b"e30.e30"
_OTHER_SIGNATURE_BYTES: Final = 64
"""Of Ed25519 (RFC 8032, 5.1.6); for HS256 the length makes no difference."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key.

    Attributes:
        algorithms: Those that it verifies; a token cannot choose another one.
        kid: What tokens call it by (RFC 7515, 4.1.4); None where it has no name.
    """

    key: Any
    algorithms: frozenset[str]
    kid: str | None

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Return whether a signature is of this key."""
        try:
            return bool(JWSRegistry.algorithms[algorithm].verify(signed, signature, self.key))
        except (JoseError, ValueError, TypeError):
            return False

    def pretend(self) -> None:
        """Take the time that it takes to find a signature wrong."""
        self.verifies(min(self.algorithms), _ANY_TEXT, b"\x01" * _signature_bytes(self.key))


def _signature_bytes(key: Any) -> int:
    """Return how long signatures of a key are; one of another length is refused unseen."""
    public: Any = getattr(key, "public_key", None)
    if key.key_type == "RSA":
        return int(public.key_size) // 8
    if key.key_type == "EC":
        return -(-int(public.curve.key_size) // 8) * 2
    return _OTHER_SIGNATURE_BYTES


class Keys(Protocol):
    """Where the keys of an issuer come from."""

    def some(self) -> VerifyingKey | None:
        """Return any key that is known already; None where none is."""

    def fitting(self, algorithm: str, kid: str | None) -> Sequence[VerifyingKey]:
        """Return the keys that a token may be signed with.

        Raises:
            UpstreamUnreachable: Nobody knows any key yet.
        """

    def newer(self, *, unknown: bool) -> bool:
        """Look for newer keys, because a token fits none.

        Args:
            unknown: The token names a key that is not known.

        Returns:
            Whether there may be others now.
        """


def secret_key(secret: str) -> VerifyingKey:
    """Make the key of HS256 (RFC 7518, 3.2) out of a shared secret.

    Raises:
        ConfigError: It is a public key, which is no secret.
    """
    try:
        key = jwk.OctKey.import_key(secret.encode())
    except ValueError as exc:
        fault = FieldError("api.auth.secret", "must be a secret, and not a public key")
        raise ConfigError("Tokens cannot be verified.", fields=(fault,)) from exc
    return VerifyingKey(key, frozenset({"HS256"}), None)


def public_key(document: Any, allowed: Collection[str]) -> VerifyingKey | None:
    """Read one key of a set (RFC 7517, 4); None if it is none that verifies such signatures."""
    try:
        if document.get("use", "sig") != "sig":
            return None
        if "verify" not in document.get("key_ops", ["verify"]):
            return None
        kid, type_ = document.get("kid"), document["kty"]
        public = {name: document[name] for name in _PUBLIC if name in document}
        fitting = _RSA if type_ == "RSA" else _OF_CURVE.get(document.get("crv"), frozenset())
        algorithms = fitting & frozenset(allowed)
        if "alg" in document:
            algorithms &= {document["alg"]}
        if not algorithms or not isinstance(kid, str | None):
            return None
        key = jwk.import_key(public)
        if type_ == "RSA" and key.public_key.key_size < _SMALLEST_RSA_BITS:  # type: ignore[union-attr]
            return None
    except Exception:  # noqa: BLE001  (whatever stands there: the other keys must go on working)
        return None
    return VerifyingKey(key, algorithms, kid)


def choose(keys: Iterable[VerifyingKey], algorithm: str, kid: str | None) -> list[VerifyingKey]:
    """Return the keys for a token; one without a name may be signed by any of its algorithm."""
    fitting = [key for key in keys if algorithm in key.algorithms]
    if kid is not None:
        fitting = [key for key in fitting if key.kid is None or key.kid == kid]
    return fitting[:_MOST_TRIED]


class FixedKeys:
    """Keys that are known from the start, and do not change."""

    def __init__(self, *keys: VerifyingKey) -> None:
        self._keys = keys

    def some(self) -> VerifyingKey | None:
        """Return the first key."""
        return self._keys[0] if self._keys else None

    def fitting(self, algorithm: str, kid: str | None) -> Sequence[VerifyingKey]:
        """Return the keys of an algorithm; whoever shares a secret may call it what they like."""
        return choose(self._keys, algorithm, None)

    def newer(self, *, unknown: bool) -> bool:
        """Return that there are none."""
        return False


class FetchedKeys:
    """Keys that an issuer publishes; those that are known go on working whatever becomes of it.

    They are fetched by one thread at a time, which requests wait for only where no key is known
    that could do. An answer without any usable key changes nothing.

    Args:
        fetch: Asks the issuer; raises UpstreamError.
        algorithms: Those that are allowed.
        clock: Tells seconds.
    """

    def __init__(
        self,
        fetch: Callable[[], list[Any]],
        algorithms: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._algorithms = frozenset(algorithms)
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: tuple[VerifyingKey, ...] = ()
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._unknown_at: float | None = None
        self._under_way: threading.Event | None = None
        self._waiting = 0

    def some(self) -> VerifyingKey | None:
        """Return any key that was fetched; None before the first."""
        return self._keys[0] if self._keys else None

    def fitting(self, algorithm: str, kid: str | None) -> Sequence[VerifyingKey]:
        """Return the keys that a token may be signed with.

        Raises:
            UpstreamUnreachable: No key was ever fetched, and none can be now.
        """
        if not self._is_fresh():
            self._look(_WAIT_FOR_FRESH_SECONDS if self._keys else _WAIT_SECONDS)
        if not self._keys:
            text = "The keys of the issuer of the token cannot be had at the moment."
            raise UpstreamUnreachable(text, retry_after_seconds=_FAILED_SECONDS)
        return choose(self._keys, algorithm, kid)

    def newer(self, *, unknown: bool) -> bool:
        """Look for newer keys, where it is time for that."""
        before = self._keys
        if unknown:
            with self._lock:
                now = self._clock()
                due = self._unknown_at is None or now - self._unknown_at >= _UNKNOWN_SECONDS
                if due:
                    self._unknown_at = now
            self._look(_WAIT_SECONDS, start=due)
        elif not self._is_fresh():
            self._look(_WAIT_SECONDS, start=False)
        return self._keys is not before

    def _is_fresh(self) -> bool:
        fetched_at = self._fetched_at
        return fetched_at is not None and self._clock() - fetched_at < _FRESH_SECONDS

    def _look(self, seconds: float, *, start: bool | None = None) -> None:
        """Wait for a fetch, which may have to be begun.

        Args:
            seconds: How long at most.
            start: Whether one is begun; None decides by how the last one ended.
        """
        with self._lock:
            under_way, mine = self._under_way, False
            if start is None:
                tried_at = self._tried_at
                pause = _UNKNOWN_SECONDS if self._keys else _FAILED_SECONDS
                start = tried_at is None or self._clock() - tried_at >= pause
            if under_way is None and start:
                under_way, mine = threading.Event(), True
                self._under_way, self._tried_at = under_way, self._clock()
            # With older keys only who has begun it waits a moment; without any, some do.
            if under_way is None or self._waiting >= _MOST_WAITING:
                return
            if not mine and seconds < _WAIT_SECONDS:
                return
            self._waiting += 1
        try:
            if mine:
                threading.Thread(target=self._run, args=(under_way,), daemon=True).start()
            under_way.wait(seconds)
        finally:
            with self._lock:
                self._waiting -= 1

    def _run(self, done: threading.Event) -> None:
        try:
            documents = self._fetch()[:_MOST_KEYS]
            read = (public_key(document, self._algorithms) for document in documents)
            keys = tuple(key for key in read if key is not None)
            if keys:
                self._keys, self._fetched_at = keys, self._clock()
            else:
                log.warning("an issuer publishes no key that could be used", keys=len(documents))
        except UpstreamError as exc:
            log.warning("keys of an issuer", error=exc.message, detail=exc.detail)
        finally:
            with self._lock:
                self._under_way = None
            done.set()
