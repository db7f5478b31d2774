"""What a command gets: the service, standard output and error, and somebody to ask."""

from __future__ import annotations

import gc
import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from slipway.cli import profiles
from slipway.cli.codes import Failure
from slipway.cli.options import Connection
from slipway.cli.output import Output, harmless, styled
from slipway.cli.terminal import is_coloured
from slipway.version import __version__

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from slipway import Client
    from slipway.attempts import Patience
    from slipway.cli.profiles import Login, Target


class Shell:
    """The surroundings of one command.

    Attributes:
        asked: The options that all commands share.
        out: Writes to standard output, in the format that was asked for.
    """

    def __init__(self, asked: Connection) -> None:
        self.asked = asked
        self.out = Output(asked.output, asked.query)
        self._client: Client | None = None
        self._tell: Callable[[str], object] = _write_to_stderr

    def __enter__(self) -> Self:
        self._warn()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.close()
        if isinstance(error, Exception) and "slipway.errors" in sys.modules:
            self._add_next_step(error)

    @cached_property
    def target(self) -> Target:
        """The service that is meant, and the login."""
        return profiles.resolve(self.asked)

    @property
    def url(self) -> str:
        """Address of the service, without a slash at its end."""
        return self.target.url

    @property
    def source(self) -> str:
        """Where the login is from, as it is told to people."""
        return self.target.login.source or "no login"

    @property
    def client(self) -> Client:
        """The client of the service; it is made at first use."""
        if self._client is None:
            self._client = self.client_of(self.target)
        return self._client

    def client_of(self, target: Target, patience: Patience | None = None) -> Client:
        """Return a new client of a service; whoever asks for it closes it."""
        from slipway import Client  # noqa: PLC0415  (it takes most of the time of a start)

        if not gc.isenabled():  # all that a start imports is there now, and is no garbage
            gc.freeze()
            gc.enable()
        ca_file = target.profile.ca if target.profile else ""
        return Client(
            target.url,
            self.auth_of(target),
            ca_file=ca_file or None,
            user_agent=f"slipway/{__version__}",
            patience=patience,
            trace=self.say if self.asked.debug else None,
            notice=self._notice,
        )

    def auth_of(self, target: Target) -> AuthBase | tuple[str, str] | None:
        """Return what a client signs in with; a password that is missing is asked for."""
        from slipway import ApiKey, StoredTokens, Token  # noqa: PLC0415  (as above)

        login = target.login
        if login.kind == "password":
            secret = login.secret if login.secret is not None else self._ask_password(login)
            return login.user, secret
        if login.kind == "api_key":
            return ApiKey(login.secret or "")
        if login.kind == "token":
            return Token(login.secret or "")
        if login.kind == "oidc" and target.profile is not None:
            return StoredTokens(profiles.tokens_file(target.profile.name))
        return None

    @cached_property
    def interactive(self) -> bool:
        """Whether somebody is there who can be asked."""
        return (
            sys.stdin is not None
            and sys.stdin.isatty()
            and sys.stderr.isatty()
            and os.environ.get("TERM") != "dumb"
            and not os.environ.get("CI")
        )

    def say(self, text: str) -> None:
        """Write to standard error, where people read and pipes do not; it steers no terminal."""
        self._tell(harmless(text))

    @contextmanager
    def told_by(self, tell: Callable[[str], object]) -> Iterator[None]:
        """Let something else write what is said, such as what shows bars on the terminal."""
        before, self._tell = self._tell, tell
        try:
            yield
        finally:
            self._tell = before

    def ask(self, question: str, *, option: str, hidden: bool = False) -> str:
        """Ask for a line.

        Args:
            question: Without a colon.
            option: What to give instead where nobody can be asked, such as ``--user``.
            hidden: Whether what is typed stays hidden.

        Raises:
            Failure: Nobody can be asked, or they end the input.
        """
        if not self.interactive:
            raise Failure(
                f"{question} is missing, and nobody can be asked.", hint=f"Give {option}."
            )
        try:
            if hidden:
                return getpass.getpass(f"{question}: ", stream=sys.stderr)
            sys.stderr.write(f"{question}: ")
            sys.stderr.flush()
            line = sys.stdin.readline()
        except EOFError:
            line = ""
        if not line:
            sys.stderr.write("\n")
            raise Failure(f"{question} is missing: the input has ended.", hint=f"Give {option}.")
        return line.rstrip("\n")

    def confirm(self, question: str, *, yes: bool = False) -> bool:
        """Ask before something is done that cannot be undone; the answer by default is no.

        Where nobody can be asked it is done: a script means what it says.

        Args:
            question: Without a question mark.
            yes: Whether ``--yes`` was given.
        """
        if yes or not self.interactive:
            return True
        return self.ask(f"{question}? [y/N]", option="--yes").strip().lower() in ("y", "yes")

    def _ask_password(self, login: Login) -> str:
        option = "SLIPWAY_PASSWORD" if login.source != "HW_USER" else "HW_USER=USER:PASSWORD"
        return self.ask(f"Password of {login.user}", option=option, hidden=True)

    def _add_next_step(self, error: Exception) -> None:
        """Note on an error of the service what to do about it; that depends on the login."""
        from slipway import errors  # noqa: PLC0415  (it is loaded already)

        if isinstance(error, errors.NotSignedIn):
            told = "" if self.target.login.kind == "none" else f"The login is from {self.source}. "
            error.add_note(f"{told}Sign in: slipway login {self.url}")
        elif isinstance(error, (errors.Unreachable, errors.NotOurs)):
            error.add_note(
                "No service was chosen: slipway login URL. Or start one here: slipway serve"
                if self.target.source == profiles.NOTHING
                else f"The address is from {self.target.source}; slipway doctor finds the reason."
            )

    def _notice(self, sentence: str) -> None:
        """Tell people that there is no connection, or that there is one again."""
        self.say(styled(sentence, "grey") if is_coloured(sys.stderr, os.environ) else sentence)

    def _warn(self) -> None:
        asked = self.asked
        if asked.token is not None:
            self.say("Warning: others on this machine can see what -t has; set SLIPWAY_TOKEN.")
        if asked.user is not None and ":" in asked.user:
            self.say(
                "Warning: others on this machine can see the password of -u; leave it out to be "
                "asked, or set SLIPWAY_PASSWORD."
            )


def _write_to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
