"""``slipway passwd``: change one's password."""

from __future__ import annotations

import os
from dataclasses import replace

import click

from slipway.cli import keeping
from slipway.cli.asking import secret_line
from slipway.cli.codes import Failure
from slipway.cli.options import command as of_table
from slipway.cli.profiles import WAAS, Login, read_profiles
from slipway.cli.shell import Shell


@of_table("passwd")
@click.option(
    "--password-stdin", is_flag=True,
    help="Read the new password from standard input, its first line.",
)  # fmt: skip
def command(shell: Shell, password_stdin: bool) -> None:
    """Change your password. What you signed in with before is worth nothing then.

    The password of now is the one that you sign in with, and asked for where you sign in otherwise.
    Where it is kept, the new one takes its place.
    """
    login = shell.target.login
    if login.kind == "none":
        raise Failure("Nobody is signed in.", hint=f"slipway login {shell.url}")
    old = login.secret if login.kind == "password" else None
    if old is None:
        old = shell.ask("Password of now", option="-u USER, and SLIPWAY_PASSWORD", hidden=True)
        if login.kind == "password":
            shell.target = replace(shell.target, login=replace(login, secret=old))
    new = secret_line("new password") if password_stdin else _asked(shell)
    if new == old:
        raise Failure("The new password is the old one.")
    shell.client.change_password(old, new)
    shell.out.record({"changed": True}, name="", text=lambda: "The password is another one now.")
    _keep(shell, login, new)


def _asked(shell: Shell) -> str:
    """Ask for a new password, twice, since nobody sees what is typed."""
    new = shell.ask("New password", option="--password-stdin", hidden=True)
    if shell.ask("The same again", option="--password-stdin", hidden=True) != new:
        raise Failure("The two are not the same; nothing was changed.")
    return new


def _keep(shell: Shell, login: Login, new: str) -> None:
    """Let the profile go on signing in, and say what does not any more."""
    profile = shell.target.profile
    if profile is not None and profile.name in read_profiles().kept:
        kept = profile.login
        if kept.kind == "password" and kept.user == login.user:
            keeping.keep(replace(profile, login=replace(kept, secret=new)))
        elif login == kept:
            shell.say(f"Sign in again: slipway login {shell.url}")
    if login.source in os.environ or login.source == WAAS:  # which are not changed here
        shell.say(f"What {login.source} signs in with is worth nothing any more.")
