"""The ``slipway`` command; each subcommand is a file that is imported when it is used."""

from __future__ import annotations

from importlib import import_module

import click

from app import __version__
from app.cli._process import ignore_hangups
from app.observability import configure_logging

_COMMANDS = {
    "api-key": "Make, list and revoke API keys.",
    "abandon": "End executions whose machine is gone for good.",
    "auth": "Replace the key that signs tokens.",
    "config-docs": "Print the manual of the settings.",
    "check-config": "Check the settings without starting anything.",
    "conductor": "Drive executions; as many as you like, on as many machines.",
    "demo": "Show the main job from end to end, on a service of its own.",
    "hash-password": "Hash a password for the configuration.",
    "import-workflows": "Move workflow definitions from files into the store.",
    "init": "Write a commented configuration and example workflows.",
    "master": "Run the whole service on this machine, as 'serve' does.",
    "migrate": "Bring the database to this version.",
    "openapi": "Print the OpenAPI document.",
    "purge": "Remove for good what has ended.",
    "serve": "Run the whole service on this machine.",
    "slave": "Run virtual users for a master.",
    "user": "Add, change and remove users.",
    "validate": "Check workflow definitions.",
    "web": "Answer HTTP; as many as you like, on as many machines.",
}

_SERVICES = ("conductor", "serve", "web")
"""Those that read their settings again at SIGHUP."""

_ALIASES = {"server": "serve"}
"""Other names, which no list shows: as the manuals of other gateways have them."""


class _LazyGroup(click.Group):
    """Imports a command when it is called, so that each starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = _ALIASES.get(cmd_name, cmd_name)
        if name not in _COMMANDS:
            return None
        if name in _SERVICES:
            ignore_hangups()  # to import them takes most of the time until they have a handler
        command = import_module(f"app.cli.{name.replace('-', '_')}").command
        assert isinstance(command, click.Command)  # noqa: S101  (a convention of this package)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.command(cls=_LazyGroup)
@click.version_option(__version__, prog_name="slipway")
def main() -> None:
    """Launch workflows on high-performance computers, through one gateway."""
    # Standard output belongs to the commands; those that serve set the level of the settings.
    configure_logging("WARNING", "console")
