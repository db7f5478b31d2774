"""The keys of the service's own tokens: made once for all processes, and replaced by a command.

It is imported where somebody must sign in only: joserfc and cryptography are large.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from joserfc import jwk
from joserfc.jws import JWSRegistry

from app.clients.sealing import Sealing
from app.errors import NotAuthenticated, UpstreamError, UpstreamGarbled
from app.identity.jwt_claims import INVALID
from app.identity.jwt_keys import VerifyingKey, public_key
from app.identity.numbered import NumberedReads
from app.settings.sections import LONGEST_TOKEN_SECONDS
from app.store.execution_rows import now
from app.store.signing_keys import SigningKey, SigningKeys

log = structlog.get_logger(__name__)

ALGORITHM: Final = "ES256"
"""ECDSA with P-256 (RFC 7518, 3.4), which all libraries know."""
KID: Final = re.compile(r"slipway-[0-9a-f]{12}")
GOOD_FOR: Final = timedelta(seconds=LONGEST_TOKEN_SECONDS + 60)
"""How long a key is good after another one has taken its place.

No token outlives it: a process may sign with the old key for a moment longer.
"""
_MODEL: Final = JWSRegistry.algorithms[ALGORITHM]
_ALL: Final = "all"


def make_signing_key(sealing: Sealing) -> SigningKey:
    """Make a key."""
    made = jwk.ECKey.generate_key("P-256")
    kid = f"slipway-{secrets.token_hex(6)}"
    more = {"kid": kid, "use": "sig", "alg": ALGORITHM}
    private = json.dumps(made.as_dict(private=True)).encode()
    public: dict[str, Any] = {**made.as_dict(private=False), **more}
    return SigningKey(kid, public, sealing.seal(_name(kid), private))


class Signer:
    """Signs tokens with one key.

    Args:
        key: The key.
        sealing: Opens its private half.

    Raises:
        UpstreamError: It was encrypted with another master key.
    """

    def __init__(self, key: SigningKey, sealing: Sealing) -> None:
        try:
            if key.sealed is None:
                raise UpstreamGarbled("The key signs no more.")
            private = json.loads(sealing.open(_name(key.kid), key.sealed))
        except UpstreamGarbled as exc:
            log.error(
                "the key that signs tokens cannot be used: all machines need one master key "
                "(SLIPWAY_MASTER_KEY); where it is lost, 'slipway auth rotate-key' makes a new one",
                kid=key.kid, error=exc.message,
            )  # fmt: skip
            raise UpstreamError("No token can be signed at the moment.") from exc
        self.kid = key.kid
        self._key = jwk.ECKey.import_key(private)

    def sign(self, signed: bytes) -> bytes:
        """Return the signature of a text (RFC 7515, 5.1)."""
        return bytes(_MODEL.sign(signed, self._key))


class OwnKeys:
    """Finds the keys that verify tokens, without asking the store each time.

    A change by another process is known within a quarter of a second.

    Args:
        store: The keys.
    """

    def __init__(self, store: SigningKeys) -> None:
        self._by_kid = NumberedReads(store.revision, _reader(store))
        self._all: NumberedReads[str, list[SigningKey]]
        self._all = NumberedReads(store.revision, lambda _: store.good())

    def with_kid(self, kid: str) -> VerifyingKey:
        """Return a key.

        Raises:
            NotAuthenticated: There is none, or its tokens have ended.
            StoreUnavailable: Nobody knows.
        """
        if not KID.fullmatch(kid):
            raise NotAuthenticated(INVALID)
        key, good_until = self._by_kid.get(kid)
        if good_until is not None and good_until <= now():
            raise NotAuthenticated("The key that signed the token is not good any more.")
        return key

    def key_set(self) -> dict[str, Any]:
        """Return the JWK Set (RFC 7517, 5) of the keys that are good by now."""
        moment = now()
        good = (
            key for key in self._all.get(_ALL) if key.good_until is None or key.good_until > moment
        )
        return {"keys": [dict(key.public_key) for key in good]}


def _reader(store: SigningKeys) -> Callable[[str], tuple[VerifyingKey, datetime | None]]:
    def read(kid: str) -> tuple[VerifyingKey, datetime | None]:
        found = store.get(kid)
        key = None if found is None else public_key(found.public_key, (ALGORITHM,))
        if found is None or key is None:
            raise NotAuthenticated(INVALID)  # not remembered: there is no end of wrong names
        return key, found.good_until

    return read


def _name(kid: str) -> str:
    """Return the name under which a private half is sealed; no SSH key has one like it."""
    return f"signing-key:{kid}"
