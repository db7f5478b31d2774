"""``slipway version``: the versions of both sides."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from slipway.cli.options import command as of_table
from slipway.cli.profiles import Login
from slipway.cli.shell import Shell
from slipway.version import __version__


@of_table("version")
def command(shell: Shell) -> None:
    """Show the versions of this program and of the service that is meant."""
    if not shell.out.for_programs:
        shell.out.write(__version__ if shell.out.format == "name" else f"slipway {__version__}")
    if shell.out.format == "name":
        return
    shell.target = replace(shell.target, login=Login())  # nobody need sign in for it
    try:
        with closing(shell.client_of(shell.target)) as client:
            service = client.version()
    except Exception:
        if shell.out.for_programs:
            shell.out.value({"client": __version__, "service": None})
        raise
    if shell.out.for_programs:
        shell.out.value({"client": __version__, "service": {**service.raw, "url": shell.url}})
    else:
        shell.out.write(f"service {service.version} at {shell.url}")
