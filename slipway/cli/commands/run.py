"""``slipway run``: launch a workflow, and watch it if asked to."""

from __future__ import annotations

import click

from slipway.cli.launching import (
    asked,
    input_options,
    label_options,
    launch,
    see_through,
    watch_options,
)
from slipway.cli.options import command as of_table
from slipway.cli.shell import Shell
from slipway.cli.workflow_names import described, orchestrator_option


@of_table("run")
@click.argument("workflow", metavar="NAME")
@orchestrator_option
@input_options
@watch_options
@label_options
def command(
    shell: Shell,
    workflow: str,
    *,
    orchestrator: str | None,
    pairs: tuple[str, ...],
    inputs_file: str | None,
    follow: bool,
    wait: bool,
    called: str | None,
    labels: tuple[str, ...],
) -> int:
    """Launch the workflow NAME.

    The types of inputs come from its description, so that n=3 is a number where one is wanted. What
    is missing is asked for on a terminal. In a pipe the id is printed, and nothing else.
    """
    wanted = asked(pairs, inputs_file, called, labels)
    found = described(shell.client, workflow, orchestrator)
    execution = launch(shell, found, wanted)
    return see_through(shell, found.name, execution, follow=follow, wait=wait)
