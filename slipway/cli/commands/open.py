"""``slipway open``: the page of the service in a browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from slipway.cli import ids
from slipway.cli.options import command as of_table
from slipway.cli.shell import Shell

_PAGE = "/ui/"
"""What the service shows to browsers."""


@of_table("open")
@click.argument("execution", metavar="[ID]", required=False)
def command(shell: Shell, execution: str | None) -> None:
    """Open the page of the service, or that of an execution, in a browser.

    Which one says the variable BROWSER. Over SSH, and where there is no screen, the address is
    printed instead, as it is into a pipe.
    """
    url = f"{shell.url}{_PAGE}"
    if execution is not None:
        url = f"{url}executions/{ids.find(shell, execution).id}"
    if shell.out.for_programs:
        shell.out.value({"url": url})
    elif not (has_browser(os.environ) and _opened(url)):
        shell.out.write(url)
    else:
        shell.say(f"Opened {url}")


def has_browser(environ: Mapping[str, str]) -> bool:
    """Whether there is a browser that the user sees, and a program does not read the address."""
    if environ.get("BROWSER"):
        return True
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY") or not sys.stdout.isatty():
        return False
    has_screen = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    return bool(has_screen) or sys.platform in ("darwin", "win32")


def _opened(url: str) -> bool:
    import webbrowser  # noqa: PLC0415  (few need it)

    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False
