"""``slipway nodes``: the machines that work for the service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slipway.cli.executions import labels_of
from slipway.cli.options import command as command_of
from slipway.cli.output import Column
from slipway.cli.times import ago

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.models import Node


@command_of("nodes")
def command(shell: Shell) -> None:
    """List the machines that work for the service, those that are away among them."""
    shell.out.records(
        shell.client.nodes(), _columns(datetime.now(UTC)),
        name=lambda node: node.id, document=lambda node: node.raw, empty="There are no nodes.",
    )  # fmt: skip


def _columns(now: datetime) -> list[Column[Node]]:
    return [
        Column("NODE", lambda node: node.id),
        Column("STATUS", lambda node: node.state, style=_style_of),
        Column("RUNS", lambda node: str(node.active_tasks), leaves=2, right=True),
        Column("LOAD", lambda node: f"{node.load * 100:.0f} %", leaves=4, right=True),
        Column("LAST BEAT", lambda node: _beat(node, now), leaves=3),
        Column("TYPE", lambda node: node.type, leaves=5, wide=True),
        Column("ADDRESS", lambda node: node.address, leaves=6, wide=True),
        Column("LABELS", lambda node: labels_of(node.labels), leaves=7, wide=True),
    ]


def _beat(node: Node, now: datetime) -> str:
    return "" if node.last_seen is None else ago(node.last_seen, now)


def _style_of(state: str) -> str:
    return {"online": "green", "busy": "cyan", "draining": "yellow", "offline": "red"}.get(
        state, ""
    )
