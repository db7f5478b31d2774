"""Opaque tokens, of which only their issuer knows what they are good for (RFC 7662)."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import structlog

from app.caching import LruCache
from app.clients.safe_addresses import is_safe
from app.domain import Credential, Identity
from app.errors import (
    FieldError,
    LimitExceeded,
    NotAuthenticated,
    SlipwayError,
    UpstreamError,
    UpstreamUnreachable,
)
from app.identity.api_key_form import BEGINNING
from app.identity.attempts import side_of
from app.identity.jwt import ClaimOptions, claim_rules
from app.identity.jwt_claims import (
    INVALID,
    LEEWAY_SECONDS,
    ClaimRules,
    looks_like_token,
    refused,
    subject_of,
)
from app.identity.port import (
    Authenticator,
    Challenge,
    Claim,
    Context,
    RequestView,
    bearer_challenge,
)
from app.identity.users import UserDirectory
from app.identity.verified import Verified
from app.settings import AuthSettings
from app.settings.schema import ServerUrl, Text, setting

log = structlog.get_logger(__name__)

_FORM: Final = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}=*")
"""A token as RFC 6750, 2.1 has it; longer ones are none."""
_BEARER: Final = frozenset({"bearer", "access_token"})
_REMEMBER_SECONDS: Final = 60.0
"""How long the answer about a token holds, if the token does not end before."""
_WAIT_SECONDS: Final = 5.0
"""How long a request waits for the issuer."""
_REST_SECONDS: Final = 5.0
"""After a failure the issuer is left alone for so long; then one request tries again."""
_WITHOUT_END_SECONDS: Final = 3600.0
"""How long a request may be held by a token of which the issuer says no end."""
_AT_ONCE: Final = 32
"""Most tokens that are asked about at the same time."""
_OF_EACH: Final = 8
"""As many of them may come from one client."""
_MOST_BYTES: Final = 4 * 1024 * 1024
_MOST_WRONG_BYTES: Final = 1024 * 1024


class Introspection(Authenticator):
    """Asks the issuer about each bearer token that nobody else takes, and remembers the answers.

    An issuer that is slow or down keeps up those alone whose tokens are not known yet: each waits a
    few seconds at most, and after a failure nobody does for a while. All are answered that it
    cannot be told now; none is taken for wrong.

    Args:
        ask: Asks the issuer; raises UpstreamError.
        rules: How its claims are read.
        users: Who is shut out.
        issuer: Its identifier; None where that does not matter.
        leaves_jwts: Tokens that look like JWTs are somebody else's.
    """

    @dataclass(frozen=True)
    class Options(ClaimOptions):
        """Opaque tokens, about which their issuer is asked."""

        issuer: str | None = setting(
            Text(load_default=None),
            "The issuer; without `url` its metadata tell where it is asked.",
        )
        url: str | None = setting(
            ServerUrl(load_default=None), "Where the issuer is asked. HTTPS, or loopback."
        )
        client_id: str | None = setting(
            Text(load_default=None), "What the issuer knows the service as; needed."
        )
        client_secret: str | None = setting(
            Text(load_default=None), "The secret of that client; needed.", secret=True
        )

    name = "introspection"
    needs = "a token"
    unguessable = True
    takes_the_rest = True
    scheme = {"type": "http", "scheme": "bearer"}  # noqa: RUF012  (a constant of the contract)

    def __init__(
        self,
        ask: Callable[[str], Mapping[str, Any]],
        rules: ClaimRules,
        users: UserDirectory,
        *,
        issuer: str | None = None,
        leaves_jwts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._users = users
        self._issuer = issuer
        self._leaves_jwts = leaves_jwts
        self._questions = Questions(ask, clock)
        self._verified = Verified()
        self._wrong: LruCache[bytes, float] = LruCache(_MOST_WRONG_BYTES, lambda _: 128)
        self._tokens: LruCache[bytes, str] = LruCache(_MOST_BYTES)

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one for the issuer of the settings."""
        # What speaks HTTP must not be loaded before gevent has patched, nor where nobody needs it.
        from app.clients.introspection import IntrospectionClient  # noqa: PLC0415

        client = (options.client_id or "", options.client_secret or "")
        asking = IntrospectionClient(options.issuer, options.url, client, _WAIT_SECONDS)
        if not options.audience:
            log.warning("tokens for any audience are taken", issuer=options.issuer or options.url)
        types = context.settings.api.auth.types
        return cls(
            asking.ask,
            claim_rules(options),
            context.users,
            issuer=options.issuer,
            leaves_jwts="jwt" in types or "oidc" in types,
        )

    @classmethod
    def faults(cls, options: Any, auth: AuthSettings) -> list[FieldError]:
        """Return what is missing, and addresses that cannot be trusted."""
        place = f"api.auth.{cls.name}"
        needed = ("client_id", "client_secret")
        found = [
            FieldError(f"{place}.{name}", "is needed to ask the issuer")
            for name in needed
            if not getattr(options, name)
        ]
        name, url = ("url", options.url) if options.url else ("issuer", options.issuer)
        if url is None:
            found.append(FieldError(place, "needs 'issuer' or 'url'"))
        elif not is_safe(url):
            text = "must be an address of HTTPS, or one of loopback"
            found.append(FieldError(f"{place}.{name}", text))
        return found

    @property
    def issuers(self) -> tuple[str, ...]:
        """Where such tokens are had."""
        return () if self._issuer is None else (self._issuer,)

    def claim(self, request: RequestView) -> Claim | None:
        """Read a token off the header field Authorization, unless it is of a form of others."""
        scheme, _, text = (request.header("Authorization") or "").partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not _FORM.fullmatch(text) or text.startswith(BEGINNING):
            return None
        if self._leaves_jwts and looks_like_token(text):
            return None
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Claim(digest, text, address=request.address)

    def verify(self, claim: Claim) -> Identity:
        """Return whom a token belongs to.

        Raises:
            NotAuthenticated: It is not good, or its user may not sign in.
            UpstreamUnreachable: The issuer does not say.
            LimitExceeded: Too many unknown tokens come from this client.
        """
        digest = bytes.fromhex(claim.subject)
        identity = self._verified.get(digest)
        if identity is None:
            if (self._wrong.get(digest) or 0.0) > time.monotonic():
                raise NotAuthenticated(INVALID)
            identity = self._ask(digest, claim.secret or "", side_of(claim.address))
        return self._let_in(identity)

    def recheck(self, identity: Identity) -> Identity:
        """Return whom a token belongs to by now.

        The issuer is asked again by the process that knows the token; while it does not answer,
        what is held goes on until the token ends.

        Raises:
            NotAuthenticated: It is not good any more, or its user may not sign in.
        """
        digest = bytes.fromhex(identity.credential.id)
        current = self._verified.get(digest)
        token = self._tokens.get(digest)
        if current is None and token is not None:
            try:
                current = self._ask(digest, token, "")
            except (UpstreamError, LimitExceeded) as exc:
                log.warning("a token could not be looked at again", error=exc.message)
        return self._let_in(current or identity)

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return the challenge of RFC 6750, 3."""
        return bearer_challenge(refused)

    def _let_in(self, identity: Identity) -> Identity:
        if self._users.is_shut_out(identity.username):
            raise NotAuthenticated("The user of the token may not sign in.")
        return identity

    def _ask(self, digest: bytes, token: str, side: str) -> Identity:
        answer = self._questions.ask(digest, token, side)
        try:
            identity = self._read(answer, digest)
        except NotAuthenticated:
            self._verified.drop(digest)
            self._tokens.drop(digest)
            self._wrong.put(digest, time.monotonic() + _REMEMBER_SECONDS)
            raise
        left = _seconds_left(identity)
        self._verified.put(digest, identity, min(_REMEMBER_SECONDS, left))
        self._tokens.put(digest, token)
        return identity

    def _read(self, answer: Mapping[str, Any], digest: bytes) -> Identity:
        """Return whom an answer names (RFC 7662, 2.2).

        Raises:
            NotAuthenticated: Nobody who may sign in here.
        """
        if answer.get("active") is not True:
            raise NotAuthenticated(INVALID)
        type_ = answer.get("token_type", "Bearer")
        if not isinstance(type_, str) or type_.lower() not in _BEARER or "cnf" in answer:
            raise refused("token_type")  # a refresh token, or one that only its holder may use
        if self._issuer is not None and answer.get("iss", self._issuer) != self._issuer:
            raise refused("iss")
        now = time.time()
        claims = {name: value for name, value in answer.items() if value is not None}
        claims.setdefault("exp", now + _WITHOUT_END_SECONDS - LEEWAY_SECONDS)
        subject = subject_of(claims, self._rules, now)
        credential = Credential(self.name, digest.hex(), subject.expires_at)
        return Identity(subject.username, subject.roles, subject.scopes, credential=credential)


def _seconds_left(identity: Identity) -> float:
    ends = identity.credential.expires_at
    return _REMEMBER_SECONDS if ends is None else ends.timestamp() - time.time()


@dataclass(slots=True)
class _Question:
    """One token that is being asked about."""

    done: threading.Event = field(default_factory=lambda: threading.Event())  # noqa: PLW0108
    answer: Mapping[str, Any] | None = None
    error: SlipwayError | None = None


class Questions:
    """Asks about tokens, about the same one once at a time, and gives up soon.

    Args:
        ask: Asks the issuer; raises UpstreamError.
        clock: Tells seconds.
    """

    def __init__(
        self, ask: Callable[[str], Mapping[str, Any]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: dict[bytes, _Question] = {}
        self._sides: Counter[str] = Counter()
        self._rests_until = 0.0
        self._fails = False

    def ask(self, digest: bytes, token: str, side: str) -> Mapping[str, Any]:
        """Return what the issuer says of a token.

        Args:
            digest: Of the token.
            token: The token.
            side: The client that sent it.

        Raises:
            UpstreamUnreachable: It says nothing.
            LimitExceeded: It is asked about too many tokens of the client, or of all.
        """
        with self._lock:
            question = self._under_way.get(digest)
            if question is None:
                question = self._begin(digest, token, side)
        if not question.done.wait(_WAIT_SECONDS):
            raise _silent()
        if question.answer is None:
            raise question.error.again() if question.error else _silent()
        return question.answer

    def _begin(self, digest: bytes, token: str, side: str) -> _Question:
        """Begin to ask; the lock is held."""
        if self._fails:
            if self._clock() < self._rests_until:
                raise _silent()
            self._rests_until = self._clock() + _REST_SECONDS  # this one tries, and no others
        if len(self._under_way) >= _AT_ONCE or self._sides[side] >= _OF_EACH:
            text = "The issuer is asked about too many tokens at the moment."
            raise LimitExceeded(text, retry_after_seconds=1)
        question = self._under_way[digest] = _Question()
        self._sides[side] += 1
        work = (digest, token, side, question)
        threading.Thread(target=self._run, args=work, daemon=True).start()
        return question

    def _run(self, digest: bytes, token: str, side: str, question: _Question) -> None:
        try:
            with self._told(question):
                question.answer = self._ask(token)
        finally:
            with self._lock:
                del self._under_way[digest]
                self._sides[side] -= 1
                if not self._sides[side]:
                    del self._sides[side]
                self._note(fails=question.answer is None)
            question.done.set()

    @contextmanager
    def _told(self, question: _Question) -> Iterator[None]:
        """Tell the log of a failure, and those who wait that there is one."""
        try:
            yield
        except UpstreamError as exc:
            log.warning("the issuer of tokens", error=exc.message, detail=exc.detail)
            question.error = _silent()
        except Exception as exc:  # noqa: BLE001  (whatever it is, those who wait must hear of it)
            log.error("a token could not be asked about", error=type(exc).__name__)
            question.error = _silent()

    def _note(self, *, fails: bool) -> None:
        """Leave the issuer alone after a failure; the lock is held."""
        self._fails = fails
        if fails:
            self._rests_until = self._clock() + _REST_SECONDS


def _silent() -> UpstreamUnreachable:
    text = "The issuer of the token does not say at the moment whether it is good."
    return UpstreamUnreachable(text, retry_after_seconds=_REST_SECONDS)
