"""The commands of the service: they are handed over to it, where it is installed."""

from __future__ import annotations

import functools
import gc
from importlib.util import find_spec
from typing import Any, Final

import click

from slipway.cli.codes import Failure
from slipway.cli.table import INSTALL

ENTRY_POINTS: Final = "slipway.commands"
"""Group of entry points: each is a click group, whose commands are commands of ``slipway``."""
_NEEDED: Final = ("app", "flask", "gevent", "sqlalchemy")
"""The code of the service, and libraries that come with it only."""


@functools.cache
def installed() -> bool:
    """Whether the service is installed here; nothing of it is imported to know that."""
    return all(find_spec(name) is not None for name in _NEEDED)


def require() -> None:
    """See to it that the service is installed.

    Raises:
        Failure: It is not; the message says how to install it.
    """
    if not installed():
        raise Failure("The service is not installed here.", hint=INSTALL)


class Handover(click.Command):
    """A command of the service: what stands behind its word is read by the service."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return []

    def invoke(self, ctx: click.Context) -> Any:
        require()
        gc.enable()  # the start of this program went without, and what is started here lasts
        # It takes longer to import than all else that a command of people needs.
        from importlib.metadata import entry_points  # noqa: PLC0415

        for point in entry_points(group=ENTRY_POINTS):
            group = point.load()
            if self.name in group.list_commands(ctx) or group.get_command(ctx, self.name):
                # It ends as it always does, with the exit codes of the service's manual.
                group.main([self.name, *ctx.args], prog_name="slipway")
        raise Failure(f"The service here has no command '{self.name}'.", hint=INSTALL)
