"""``slipway profiles``: the logins that are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from slipway.cli import keeping
from slipway.cli.options import command as of_table
from slipway.cli.output import Column
from slipway.cli.profiles import URL_VARIABLES, Login, Profile, read_profiles
from slipway.cli.shell import Shell

_BY = {"password": "password", "token": "token", "api_key": "API key", "oidc": "browser"}
"""How somebody signs in, as people say it."""


@of_table("profiles list")
def list_(shell: Shell) -> None:
    """List the logins that are kept; the one that counts has a star."""
    profiles = read_profiles()
    chosen = os.environ.get("SLIPWAY_PROFILE") or profiles.current
    columns = [
        Column[Profile]("", lambda each: "*" if each.name == chosen else ""),
        Column[Profile]("PROFILE", lambda each: each.name),
        Column[Profile]("URL", lambda each: each.url, shrinks=True),
        Column[Profile]("USER", lambda each: each.login.user or "-", leaves=1),
        Column[Profile]("BY", lambda each: _by(each.login), leaves=2),
    ]
    shell.out.records(
        [*profiles.kept.values()], columns,
        name=lambda each: each.name,
        document=lambda each: {
            "name": each.name, "url": each.url, "user": each.login.user or None,
            "by": each.login.kind, "ca_file": each.ca or None, "counts": each.name == chosen,
        },
        empty="No login is kept. Sign in: slipway login URL",
    )  # fmt: skip


def _by(login: Login) -> str:
    if login.kind == "none":
        return "signed out" if login.user else "no login needed"
    return _BY.get(login.kind, login.kind)


@of_table("profiles use")
@click.argument("name")
def use(shell: Shell, name: str) -> None:
    """Choose the login that counts from now on, where no option or variable says otherwise."""
    url = keeping.choose(name).kept[name].url
    shell.out.record(
        {"profile": name, "url": url}, name=name, text=lambda: f"Profile {name} counts now: {url}"
    )
    for variable in ("SLIPWAY_PROFILE", *URL_VARIABLES):
        if os.environ.get(variable):
            shell.say(f"{variable} is set, and counts before it.")


@of_table("profiles remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(shell: Shell, names: Sequence[str]) -> None:
    """Forget profiles, and what they sign in with; 'slipway logout' keeps the address."""
    names = [*dict.fromkeys(names)]
    keeping.remove(names)
    for name in names:
        shell.say(f"Forgot profile {name}.")
