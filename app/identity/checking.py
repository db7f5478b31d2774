"""Verifying credentials such that guesses gain nothing and slow checks hold nobody up."""

from __future__ import annotations

import hmac
import os
import threading
from dataclasses import dataclass, field

from app.concurrency import FairPlaces, Pool
from app.domain import Identity
from app.errors import CredentialEnded, NotAuthenticated, SlipwayError
from app.identity.attempts import Attempts, side_of
from app.identity.port import Authenticator, Claim
from app.identity.verified import Verified

HASHING_THREADS = 2
_MOST_WAITING = 4


@dataclass(slots=True)
class _Check:
    """A credential that is being verified.

    Attributes:
        identity: None when nobody found out: the caller who verified it went away before the end.
    """

    done: threading.Event = field(default_factory=lambda: threading.Event())  # noqa: PLW0108
    identity: Identity | None = None
    error: SlipwayError | None = None


class Checker:
    """Verifies the claims of all authenticators of a process.

    Wrong credentials slow down the next ones of the same subject from the same address, whichever
    authenticator refused them. What a slow authenticator verifies is computed in a pool, where
    subjects have their turns, those that do not exist one among them all, and addresses within a
    subject. A caller who asks for more than a few at the same time is refused at once. The same
    credential asked for several times at once is computed once, and remembered for a while as a
    keyed digest. Wrong ones that cannot be guessed are counted by themselves.

    Args:
        remember_seconds: How long a credential that was verified slowly is remembered.
        pool: Where slow authenticators compute.
        threads: How many the pool computes at the same time.
        attempts: Counts wrong credentials.
    """

    def __init__(
        self,
        remember_seconds: float,
        pool: Pool,
        threads: int = HASHING_THREADS,
        attempts: Attempts | None = None,
    ) -> None:
        self._remember_seconds = remember_seconds
        self._pool = pool
        self._places = FairPlaces(threads, _MOST_WAITING)
        self._attempts, self._misses = attempts or Attempts(), Attempts()
        self._lock = threading.Lock()
        self._under_way: dict[tuple[bytes, str], _Check] = {}
        self._key = os.urandom(32)
        self._verified = Verified()

    def verify(self, authenticator: Authenticator, claim: Claim, address: str | None) -> Identity:
        """Return who it is that a claim belongs to.

        Args:
            authenticator: The one that made the claim.
            claim: What to verify.
            address: Where the request comes from.

        Raises:
            NotAuthenticated: The credential is wrong, or does not hold any more.
            LimitExceeded: Too many wrong ones came before, or too many are verified just now.
        """
        if claim.secret is None:
            return authenticator.verify(claim)
        side = side_of(address)
        if authenticator.unguessable:
            try:
                return authenticator.verify(claim)
            except CredentialEnded:
                raise
            except NotAuthenticated:
                self.count_wrong(address)
                raise
        counted = f"{authenticator.name} {claim.subject}" if claim.known else ""
        if not authenticator.slow:
            return self._verify_quickly(authenticator, claim, counted, side)
        # The length keeps apart what is the subject and what is the secret.
        parts = (authenticator.name, str(len(claim.subject)), claim.subject + claim.secret)
        digest = hmac.digest(self._key, ":".join(parts).encode(), "sha256")
        identity = self._verified.get(digest)
        if identity is not None:
            try:
                return authenticator.recheck(identity)
            except NotAuthenticated:
                # It does not hold as it was, and may hold anew: of who was disabled and enabled.
                self._verified.drop(digest)
        identity = self._verify_once(authenticator, claim, digest, (counted, side))
        self._verified.put(digest, identity, self._remember_seconds)
        return identity

    def count_wrong(self, address: str | None) -> None:
        """Note a credential that cannot be guessed, and is wrong.

        Raises:
            LimitExceeded: Too many came from there.
        """
        side = side_of(address)
        self._misses.check("", side)
        self._misses.failed("", side)

    def _verify_quickly(
        self, authenticator: Authenticator, claim: Claim, counted: str, side: str
    ) -> Identity:
        self._attempts.check(counted, side)
        try:
            identity = authenticator.verify(claim)
        except NotAuthenticated:
            self._attempts.failed(counted, side)
            raise
        self._attempts.succeeded(counted, side)
        return identity

    def _verify_once(
        self, authenticator: Authenticator, claim: Claim, digest: bytes, whose: tuple[str, str]
    ) -> Identity:
        """Verify a claim, together with others who ask for the same at the moment."""
        counted, side = whose
        with self._lock:
            check = self._under_way.get((digest, side))
            mine = check is None
            if check is None:
                check = self._under_way[digest, side] = _Check()
        if not mine:
            check.done.wait()
            if check.error is not None:
                raise check.error.again()
            if check.identity is None:
                return self._verify_once(authenticator, claim, digest, whose)
            return check.identity
        try:
            check.identity = identity = self._verify_slowly(authenticator, claim, counted, side)
        except SlipwayError as exc:
            check.error = exc
            raise
        finally:
            with self._lock:
                del self._under_way[digest, side]
            check.done.set()
        return identity

    def _verify_slowly(
        self, authenticator: Authenticator, claim: Claim, counted: str, side: str
    ) -> Identity:
        self._attempts.check(counted, side)
        with self._places.place(counted, side):
            self._attempts.check(counted, side)  # others may have been wrong meanwhile
            try:
                identity = self._pool.run(authenticator.verify, claim)
            except NotAuthenticated:
                self._attempts.failed(counted, side)
                raise
        self._attempts.succeeded(counted, side)
        return identity
