"""``slipway workflows``: what can be launched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from slipway.cli.options import command as of_table
from slipway.cli.output import Column, clean
from slipway.cli.shell import Shell

if TYPE_CHECKING:
    from slipway import Workflow


@of_table("workflows")
@click.argument("text", required=False)
def command(shell: Shell, text: str | None) -> None:
    """List the workflows that you can launch; with TEXT, those that have it in name or text."""
    pages = shell.client.workflows(q=text)
    found = list(pages)
    shell.out.records(
        found,
        _COLUMNS,
        name=lambda workflow: workflow.id,
        document=lambda workflow: workflow.info.raw,
        empty="There are no workflows yet. A definition becomes one by: slipway upload FILE"
        if text is None
        else f"No workflow has '{clean(text)}' in its name or description.",
    )
    silent = pages.page.get("unavailable")
    if isinstance(silent, list) and silent:
        shell.say(f"Some may be missing: {clean(', '.join(map(str, silent)))} does not answer.")
    faulty = pages.page.get("faulty")
    if isinstance(faulty, list) and faulty and not shell.out.for_programs:
        files = ", ".join(str(each.get("file")) for each in faulty if isinstance(each, dict))
        shell.say(f"Faulty definitions, which are not offered as they are: {clean(files)}")


_COLUMNS: Final[tuple[Column[Workflow], ...]] = (
    Column("NAME", lambda workflow: workflow.name),
    Column("ID", lambda workflow: workflow.id, leaves=2, wide=True),
    Column("RUNS ON", lambda workflow: workflow.info.orchestrator, leaves=1),
    Column("OWNER", lambda workflow: workflow.info.owner or "", leaves=4, wide=True),
    Column("DESCRIPTION", lambda workflow: workflow.description, leaves=3, shrinks=True),
)
