"""``slipway logout``: forget a login."""

from __future__ import annotations

import os
from dataclasses import replace

from slipway.cli import keeping
from slipway.cli.options import command as of_table
from slipway.cli.profiles import (
    Login,
    login_of_variables,
    no_such_profile,
    read_profiles,
    tokens_file,
)
from slipway.cli.shell import Shell


@of_table("logout")
def command(shell: Shell) -> None:
    """Forget the login of a profile: the one that counts, unless --profile names another.

    The address stays, for the next login. Tokens of an identity provider are ended there, too. API
    keys and other tokens go on until they are revoked or end: others may use them.
    """
    profiles = read_profiles()
    named = shell.asked.profile or os.environ.get("SLIPWAY_PROFILE")
    if named and named not in profiles.kept:
        raise no_such_profile(named, profiles.kept)
    name = named or profiles.current
    profile = profiles.kept.get(name)
    document = {"profile": name, "signed_out": False}
    if profile is None or profile.login.kind == "none":
        shell.out.record(document, name=name, text=lambda: "Nobody is signed in.")
    else:
        note = ""
        if profile.login.kind == "oidc":
            from slipway.cli.browser_login import sign_out  # noqa: PLC0415  (few need it)

            note = sign_out(profile)
        keeping.keep(replace(profile, login=Login(user=profile.login.user)))
        tokens_file(name).unlink(missing_ok=True)
        shell.out.record(
            document | {"signed_out": True}, name=name,
            text=lambda: f"Signed out of {profile.url} (profile {name}).",
        )  # fmt: skip
        if profile.login.kind in ("token", "api_key"):
            note = _GOES_ON[profile.login.kind]
        if note:
            shell.say(note)
    variable = login_of_variables(os.environ)
    if variable is not None:
        shell.say(f"{variable.source} still signs in; to end that: unset {variable.source}")


_GOES_ON = {
    "token": "The token itself goes on until it ends.",
    "api_key": "The key itself goes on until it ends, or is revoked: slipway api-keys revoke",
}
"""What is said of what the service still takes."""
