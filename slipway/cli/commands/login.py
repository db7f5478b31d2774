"""``slipway login``: sign in to a service, and remember it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from slipway.cli import keeping
from slipway.cli.asking import secret_line
from slipway.cli.codes import ExitCode, Failure
from slipway.cli.options import command as of_table
from slipway.cli.profiles import (
    FIRST_PROFILE,
    Login,
    Profile,
    Target,
    address_of_variables,
    checked_url,
    login_of_variables,
    read_profiles,
    tokens_file,
)
from slipway.cli.shell import Shell

if TYPE_CHECKING:
    from slipway.models import Identity

_WORDS: Final = {"password": "password", "token": "token", "api_key": "API key"}
"""What a secret of each kind is called."""
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@of_table("login")
@click.argument("address", metavar="[URL]", required=False)
@click.argument("more", nargs=-1, metavar="")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, its first line."
)
@click.option("--token", "by_token", is_flag=True, help="Sign in by a token; it is asked for.")
@click.option("--api-key", "by_key", is_flag=True, help="Sign in by an API key; it is asked for.")
@click.option("--oidc", is_flag=True, help="Sign in with a browser, wherever that is.")
@click.option("--client-id", metavar="ID", help="What slipway is to the provider of --oidc.")
@click.option(
    "--ca-file", "--ca_file", "ca_file", metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Certificates of authorities to trust for this service.",
)  # fmt: skip
def command(
    shell: Shell,
    *,
    address: str | None,
    more: Sequence[str],
    password_stdin: bool,
    by_token: bool,
    by_key: bool,
    oidc: bool,
    client_id: str | None,
    ca_file: str | None,
) -> None:
    """Sign in to a service, and remember it.

    What is missing is asked for on a terminal: the address, the user, the password. The login is
    tried before it is kept, in a file that only you can read. Without --profile it is the profile
    that counts, 'default' at first. Tokens and API keys are read from standard input where that is
    no terminal.
    """
    if more:
        raise Failure(
            "login takes one address, and no secret: others on this machine can see arguments.",
            hint="Leave it out to be asked, or pipe it: slipway login URL --token < FILE",
        )
    kind = _kind(shell, password_stdin, by_token, by_key, oidc)
    name = _name(shell)
    before = read_profiles().kept.get(name)
    url = _address(shell, address, before)
    ca = os.path.abspath(ca_file) if ca_file else _kept_ca(before, url)  # noqa: PTH100  (no link is followed)
    anew = Profile(name, url, Login(source="login"), ca)
    if kind == "oidc":
        profile, who = _with_browser(shell, anew, client_id)
    else:
        profile, who = _signed_in(shell, anew, kind, password_stdin)
    kept = keeping.keep(profile)
    _tell(shell, profile, who, before, counts=kept.current == name)


def _kind(shell: Shell, password_stdin: bool, token: bool, key: bool, oidc: bool) -> str:
    """Return how somebody wants to sign in; empty for what the service asks for."""
    asked = {
        "--password-stdin": password_stdin, "--token": token, "--api-key": key, "--oidc": oidc,
    }  # fmt: skip
    given = [option for option, is_given in asked.items() if is_given]
    if len(given) > 1:
        raise Failure(f"Give one of {' and '.join(given)}, not both.")
    if shell.asked.token is not None and (given or shell.asked.user):
        raise Failure("Give either -t or another way to sign in, not both.")
    if shell.asked.user and given and not password_stdin:
        raise Failure(f"Give either -u or {given[0]}, not both: the service knows whose it is.")
    if token or shell.asked.token is not None:
        return "token"
    if key or oidc:
        return "api_key" if key else "oidc"
    return "password" if password_stdin or shell.asked.user else ""


def _name(shell: Shell) -> str:
    """Return the name of the profile that is meant."""
    name = shell.asked.profile or os.environ.get("SLIPWAY_PROFILE")
    if name:
        return keeping.checked_name(name)
    profiles = read_profiles()
    return profiles.current if profiles.current in profiles.kept else FIRST_PROFILE


def _address(shell: Shell, given: str | None, before: Profile | None) -> str:
    """Return the address of the service; it is asked for where nothing says it."""
    if given is not None and shell.asked.url is not None:
        raise Failure("Give the address once: as the argument, or as --url.")
    if given is not None:
        return checked_url(_with_scheme(given), "URL")
    if shell.asked.url is not None:
        return checked_url(shell.asked.url, "--url")
    if found := address_of_variables(os.environ):
        return found[0]
    if before is not None and not shell.interactive:
        return before.url
    usual = f" [{before.url}]" if before else ""
    typed = shell.ask(f"URL{usual}", option="the address: slipway login URL").strip()
    return checked_url(_with_scheme(typed), "URL") if typed or before is None else before.url


def _with_scheme(text: str) -> str:
    """Return an address as people say it, with what they mean: HTTPS, but for this machine."""
    if "://" in text or not text.strip():
        return text
    host = urlsplit(f"//{text.strip()}").hostname
    return f"{'http' if host in _LOOPBACK else 'https'}://{text.strip()}"


def _kept_ca(before: Profile | None, url: str) -> str:
    return before.ca if before is not None and before.url == url else ""


def _signed_in(
    shell: Shell, anew: Profile, kind: str, from_stdin: bool
) -> tuple[Profile, Identity]:
    """Find out what the service asks for, ask for it, and try it."""
    ways = _Ways(shell, anew)
    if ways.open is not None and kind in ("", "password"):
        if shell.asked.user:
            shell.say(f"{anew.url} asks nobody who they are; -u is not needed.")
        return anew, ways.open
    if not kind:
        kind = ways.choice()
    if anew.url.startswith("http:") and not ways.is_here:
        shell.say(f"Warning: {anew.url} is without TLS; others on the way can read what you send.")
    user = _user(shell) if kind == "password" else ""
    secret = shell.asked.token or _secret(shell, kind, from_stdin)
    return _tried(shell, replace(anew, login=Login(kind, user, secret, "what was given")))


def _with_browser(shell: Shell, anew: Profile, client_id: str | None) -> tuple[Profile, Identity]:
    """Sign in with a browser; tokens are kept once they are known to be taken."""
    from slipway.cli.browser_login import sign_in  # noqa: PLC0415  (few need it)

    tokens = sign_in(shell, anew, client_id)
    login = Login("token", secret=tokens.access_token, source="the provider")
    _, who = _tried(shell, replace(anew, login=login))
    tokens.write(tokens_file(anew.name))
    return replace(anew, login=Login("oidc", who.username)), who


def _tried(shell: Shell, profile: Profile) -> tuple[Profile, Identity]:
    """Sign in by a profile; return it with the name of whom the service knows, and them.

    Raises:
        Failure: The service does not let them in.
    """
    from slipway.errors import NotSignedIn  # noqa: PLC0415  (it comes with the client)

    shell.target = Target(profile.url, "what was given", profile.login, profile)
    try:
        who = shell.client.whoami()
    except NotSignedIn as exc:
        raise Failure(str(exc), hint="Nothing was kept.", code=ExitCode.REFUSED) from None
    return replace(profile, login=replace(profile.login, user=who.username)), who


class _Ways:
    """How a service lets people sign in.

    Attributes:
        open: Who everybody is there, where nobody is asked; else None.
        is_here: Whether it is on this machine.
    """

    def __init__(self, shell: Shell, anew: Profile) -> None:
        from slipway.models import Identity  # noqa: PLC0415  (it takes most of the time of a start)

        shell.target = Target(anew.url, "what was given", anew.login, anew)
        with closing(shell.client_of(shell.target)) as client:
            answer = client.request("GET", "/auth/identity", statuses=(401,), told=True)
            self.is_here = client.transport.is_here
        self.open = None if answer.status == 401 else Identity.read(answer.json())
        challenges = answer.headers.get("WWW-Authenticate", "").lower()
        self._passwords = not challenges or "basic" in challenges
        self._issuer = "resource_metadata" in challenges

    def choice(self) -> str:
        """Return the way that fits the service best: by password, where that is one."""
        if self._passwords:
            return "password"
        further = ["--oidc"] if self._issuer else []
        raise Failure(
            "This service takes no passwords.",
            hint=f"slipway login URL with one of {', '.join([*further, '--api-key', '--token'])}",
        )


def _user(shell: Shell) -> str:
    asked = shell.asked.user
    name = asked.partition(":")[0] if asked else os.environ.get("SLIPWAY_USER", "")
    name = name or shell.ask("User", option="-u USER").strip()
    if not name or ":" in name:
        raise Failure("A user has a name, without a colon.", hint="Give -u USER.")
    return name


def _secret(shell: Shell, kind: str, from_stdin: bool) -> str:
    """Return the password, the token or the key: given, piped, or typed."""
    if kind == "password" and not from_stdin:
        _, colon, given = (shell.asked.user or "").partition(":")
        known = given if colon else os.environ.get("SLIPWAY_PASSWORD")
        if known is not None:
            return known
        return shell.ask(
            "Password", option="--password-stdin, or set SLIPWAY_PASSWORD", hidden=True
        )
    if kind == "password" or not sys.stdin.isatty():
        return secret_line(_WORDS[kind])
    word = _WORDS[kind]
    return shell.ask(word[0].upper() + word[1:], option="it on standard input", hidden=True).strip()


def _tell(
    shell: Shell, profile: Profile, who: Identity, before: Profile | None, *, counts: bool
) -> None:
    document = {
        "profile": profile.name, "url": profile.url, "username": who.username,
        "roles": list(who.roles), "by": profile.login.kind,
    }  # fmt: skip
    if profile.login.kind == "none":
        done = f"{profile.url} asks nobody who they are"
    else:
        done = f"Signed in as {who.username} ({', '.join(who.roles)})"
    shell.out.record(
        document, name=profile.name, text=lambda: f"{done}; kept as profile {profile.name}."
    )
    if before is not None and before.url != profile.url:
        shell.say(f"It takes the place of {before.url}.")
    if not counts:
        shell.say(
            f"It counts with --profile {profile.name}; always: slipway profiles use {profile.name}"
        )
    tell_variable(shell)


def tell_variable(shell: Shell) -> None:
    """Say which variable signs in, whatever is kept."""
    login = login_of_variables(os.environ)
    if login is not None:
        shell.say(f"{login.source} is set, and counts before what is kept.")
