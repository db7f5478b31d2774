"""``slipway version``: the versions of both sides."""

from __future__ import annotations

from slipway.cli.options import command as of_table
from slipway.cli.shell import Shell
from slipway.version import __version__


@of_table("version")
def command(shell: Shell) -> None:
    """Show the versions of this program and of the service that is meant."""
    document = {"client": __version__}
    shell.out.record(document, name=__version__, text=lambda: f"slipway {__version__}")
