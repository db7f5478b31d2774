"""``slipway whoami``: who somebody is to the service, and where the login is from."""

from __future__ import annotations

import textwrap

from slipway.cli.options import command as of_table
from slipway.cli.shell import Shell
from slipway.cli.times import clock


@of_table("whoami")
def command(shell: Shell) -> None:
    """Say who you are to the service, what you may do, and where the login is from."""
    who = shell.client.whoami()
    document = {
        **who.raw, "url": shell.url, "url_from": shell.target.source, "login_from": shell.source,
    }  # fmt: skip
    lines = [
        f"User         {who.username} ({', '.join(who.roles)})",
        f"Service      {shell.url} (from {shell.target.source})",
        f"Signed in    {_how(who.signed_in_with, shell.source)}",
    ]
    if who.expires_at is not None:
        lines.append(f"Until        {clock(who.expires_at)}")
    lines.append(f"May do       {_wrapped(who.permissions, shell.out.width)}")
    if who.restricted:
        lines.append("             The login is restricted: your roles allow more.")
    shell.out.record(document, name=who.username, text=lambda: "\n".join(lines))


def _how(signed_in_with: str, source: str) -> str:
    if signed_in_with == "none":
        return "no: the service asks nobody who they are"
    return f"by {signed_in_with or 'something'}, from {source}"


def _wrapped(words: tuple[str, ...], width: int | None) -> str:
    """Return words in lines of bearable length, below the first of them."""
    most = _LINE if width is None else max(_SHORTEST_LINE, min(_LINE, width - _INDENT))
    lines = textwrap.wrap(" ".join(words), most, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * _INDENT}".join(lines)


_INDENT = 13
"""Characters before each of them."""
_SHORTEST_LINE = 20
"""Characters that a line of words may have on the narrowest terminal."""
_LINE = 60
"""Characters of a line of words."""
