"""``slipway node``: take a machine out of use, or back into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.options import command as command_of
from slipway.cli.output import clean

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.models import Node


@command_of("node drain")
@click.argument("node", metavar="NODE")
def drain(shell: Shell, *, node: str) -> None:
    """Let a machine finish what it has begun, and begin nothing; twice is fine."""
    found = _find(shell, node)
    shell.client.drain(found.id)
    _tell(shell, found, "gets no new work.")


@command_of("node undrain")
@click.argument("node", metavar="NODE")
def undrain(shell: Shell, *, node: str) -> None:
    """Let a machine begin steps again; twice is fine."""
    found = _find(shell, node)
    shell.client.undrain(found.id)
    _tell(shell, found, "gets new work again.")


def _find(shell: Shell, reference: str) -> Node:
    """Return the node of an id, or of a unique beginning of one.

    Raises:
        Failure: There is none (code 4), or there are several (code 2).
        SlipwayError: The service refuses otherwise, or cannot be reached.
    """
    nodes = shell.client.nodes()
    fitting = [node for node in nodes if node.id == reference] or [
        node for node in nodes if node.id.startswith(reference)
    ]
    if not fitting:
        message = f"There is no node {clean(reference)}."
        raise Failure(message, hint="slipway nodes lists them.", code=ExitCode.REFUSED)
    if len(fitting) > 1:
        named = ", ".join(clean(node.id) for node in fitting[:5])
        raise Failure(f"'{clean(reference)}' can mean several nodes.", hint=f"Type more: {named}")
    return fitting[0]


def _tell(shell: Shell, node: Node, sentence: str) -> None:
    now = shell.client.node(node.id)
    shell.out.record(now.raw, name=now.id, text=lambda: f"{clean(now.id)} {sentence}")
