"""What an authenticator is: one way to sign in, such as a password or a token.

An authenticator reads a credential off a request, verifies it, and says later whether it still
holds. What all of them need is done once, in :mod:`app.identity.checking` and
:mod:`app.identity.authenticators`: wrong credentials are slowed down, slow checks have their turns
in a pool, expired credentials are refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, Self

from app.domain import Credential, Identity
from app.errors import FieldError, NotAuthenticated
from app.identity.key_directory import ApiKeyDirectory
from app.identity.session_directory import SessionDirectory
from app.identity.users import UserDirectory
from app.settings import AuthSettings, Settings
from app.store.database import Database

API_KEY_FIELD: Final = "X-API-Key"
REALM: Final = "Slipway"
"""What challenges call the service (RFC 9110, 11.5)."""


class RequestView(Protocol):
    """What an authenticator may know of a request, whatever protocol brought it."""

    @property
    def address(self) -> str | None:
        """The address of the caller, behind the proxies that the settings name."""

    @property
    def certificate(self) -> Mapping[str, Any] | None:
        """The certificate of the client, as ``ssl.SSLSocket.getpeercert`` writes one.

        It was signed by one of ``api.tls.client_ca``; None where none was shown.
        """

    def header(self, name: str) -> str | None:
        """Return the value of a header field, whatever the case of its name; None without it."""

    def cookie(self, name: str) -> str | None:
        """Return the value of a cookie; None without it."""

    @property
    def query_keys(self) -> tuple[str, ...]:
        """The API keys in the address, where those are taken (``?api_key=``)."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """How a client may sign in, for an answer that refuses it (RFC 9110, 11.3).

    Attributes:
        scheme: Name of the scheme, such as ``Basic``.
        params: Its parameters, unquoted, such as ``{"realm": "Slipway"}``.
    """

    scheme: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """A credential that a request carries, before it is verified.

    Attributes:
        subject: Whom it claims to be: a user name, or the public part of a key. Wrong credentials
            count against the subject, so it must not be the secret itself. Empty if there is none.
        secret: What proves the claim; None where there is nothing that could be guessed.
        known: Whether there is such a subject. All that do not exist count as one, so that nobody
            gains by making subjects up. The audit names only those that exist: others may be
            anything, a password that was typed into the wrong field too.
        username: The user whose credential that is, where this is known before it is verified.
        address: Where the request comes from, for those who let clients take turns.
        name: The user name as it was typed, whether it exists or not; None where none is typed.
    """

    subject: str
    secret: str | None = field(repr=False)
    known: bool = True
    username: str | None = None
    address: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody whom their browser has brought back from where they signed in.

    Attributes:
        identity: Who they are, with the credential by which they can be asked about again.
        target: The path here that they wanted to see.
    """

    identity: Identity
    target: str


class BrowserSignIn(Protocol):
    """A way to sign in for which a browser is sent elsewhere, and comes back.

    What the service must know again then is in a secret that the browser keeps meanwhile in a
    cookie, so none of it is stored, and any web process can go on with it.
    """

    def depart(self, secret: str, target: str, here: str) -> str:
        """Return the address that the browser is sent to.

        Args:
            secret: What the browser keeps.
            target: The path here that is wanted afterwards.
            here: Address of the service, as browsers know it.

        Raises:
            UpstreamError: That place cannot be asked.
        """

    def arrive(self, secret: str | None, answer: Mapping[str, str], here: str) -> Arrival:
        """Return who has come back.

        Args:
            secret: What the browser has kept; None if it has nothing.
            answer: The parameters of the address that it was sent back to.
            here: As for :meth:`depart`.

        Raises:
            SignInFailed: It does not come from a sign-in that this browser has begun, or that was
                refused.
            UpstreamError: That place cannot be asked.
        """

    def has_begun(self, credential: Credential) -> bool:
        """Return whether a credential is of somebody who has come back from there."""

    def goodbye(self, here: str, state: str = "") -> str | None:
        """Return where a browser signs out there as well; None where it cannot.

        Args:
            here: As for :meth:`depart`.
            state: A word that the browser brings back.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """What an authenticator may be built with, beside its own options."""

    settings: Settings
    database: Database
    users: UserDirectory
    api_keys: ApiKeyDirectory
    sessions: SessionDirectory


class SignInNeeded(NotAuthenticated):
    """Nobody is signed in; says how that can be done.

    Args:
        message: What is wrong, for the caller.
        challenges: The ways to sign in.
        claim: What was claimed, and did not hold.
    """

    def __init__(
        self, message: str, challenges: tuple[Challenge, ...], claim: Claim | None = None
    ) -> None:
        super().__init__(message)
        self.challenges = challenges
        self.claim = claim


class Authenticator(ABC):
    """One way to sign in.

    Attributes:
        Options: A dataclass of settings, declared by :func:`app.settings.schema.setting`; they
            stand in the settings as ``api.auth.<name>``.
        name: Name of the way, which credentials carry; its name in the registry, if it has one.
        needs: What a caller must send, in words that fit behind "this needs".
        slow: Verifying takes long on purpose, as the hash of a password does: it is then done in a
            pool, in turns, and what was right is remembered for ``api.auth.cache``.
        unguessable: Its secrets are long and made by chance. What is right is then let in however
            many wrong ones come before, so nobody can lock others out; wrong ones count by address.
        asks_nothing: It lets in whoever asks, whatever they send.
        offered: Who has no credential is told of it. It is not said of what nobody can begin with.
        particular: It takes only what is surely its own, and is asked before those that take all of
            a form.
        browser: How it signs people in by redirects of their browsers; None if it does not.
        takes_the_rest: It takes whatever is of no form of others, and is asked after them.
        scheme: Security scheme object of OpenAPI (3.0.3, 4.7.23); None where nothing is sent.
    """

    @dataclass(frozen=True)
    class Options:
        """No settings."""

    name: ClassVar[str]
    needs: ClassVar[str]
    slow: ClassVar[bool] = False
    unguessable: ClassVar[bool] = False
    asks_nothing: ClassVar[bool] = False
    offered: ClassVar[bool] = True
    particular: ClassVar[bool] = False
    browser: BrowserSignIn | None = None
    takes_the_rest: ClassVar[bool] = False
    scheme: ClassVar[Mapping[str, str] | None] = None

    @classmethod
    @abstractmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one from its own validated options."""

    @classmethod
    def faults(cls, options: Any, auth: AuthSettings) -> list[FieldError]:
        """Return what is wrong between its validated options and the settings of all."""
        return []

    @property
    def issuers(self) -> tuple[str, ...]:
        """The issuers whose tokens it takes and that clients can ask for some, as URLs."""
        return ()

    @abstractmethod
    def claim(self, request: RequestView) -> Claim | None:
        """Read the credential of this kind off a request; None if it carries none.

        This must be quick, and ask nobody: it runs for every request.

        Raises:
            NotAuthenticated: There is one of this kind, and it cannot be read.
        """

    @abstractmethod
    def verify(self, claim: Claim) -> Identity:
        """Return who it is that the claim belongs to, with the credential.

        Raises:
            NotAuthenticated: The credential is wrong, or was revoked. That it expired need not be
                looked at here.
        """

    @abstractmethod
    def recheck(self, identity: Identity) -> Identity:
        """Return who somebody is by now who signed in before; their rights may have changed.

        It is asked now and then while a request lasts, and when a ticket is used.

        Raises:
            NotAuthenticated: The credential does not hold any more.
        """

    @abstractmethod
    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return how to sign in this way; None if there is nothing that a client could send.

        Args:
            refused: Why the credential of this kind was refused; None if there was none.
        """


def bearer_challenge(refused: NotAuthenticated | None) -> Challenge:
    """Return the challenge of all that take tokens (RFC 6750, 3).

    Args:
        refused: Why a token was refused; None where there was none, and then there is no error.
    """
    params = {"realm": REALM}
    if refused is not None:
        params |= {"error": "invalid_token", "error_description": refused.message}
    return Challenge("Bearer", params)


def basic_challenge() -> Challenge:
    """Return the challenge for user names and passwords (RFC 7617, 2 and 2.1)."""
    return Challenge("Basic", {"realm": REALM, "charset": "UTF-8"})


def credential_of(authenticator: type[Authenticator], id_: str) -> Credential:
    """Make the credential of one who signed in this way, and that does not expire by itself."""
    return Credential(authenticator.name, id_)
