"""The words of ``waas``, the command line of eFlows4HPC, whose output scripts read.

Its other words are names of commands of today. These print what ``waas`` prints into a pipe, as far
as scripts look for it: ids, statuses, log lines, and JSON on one line.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from slipway.cli.codes import Failure
from slipway.cli.executions import result_code
from slipway.cli.follow import Wanted, await_end, follow, goes_on
from slipway.cli.ids import find
from slipway.cli.options import command as of_table
from slipway.cli.output import clean
from slipway.cli.pairs import pairs
from slipway.cli.shell import Shell
from slipway.words import Level

if TYPE_CHECKING:
    from slipway.execution import Execution
    from slipway.models import ExecutionState, LogEntry

_PAGE: Final = 50
"""Entries of one page of a log."""


@of_table("wf trigger")
@click.argument("workflow", metavar="NAME")
@click.option("-i", "--inputs", multiple=True, metavar="KEY=VALUE[,KEY=VALUE]", help="Inputs.")
@click.option("-f", "--follow", "follows", is_flag=True, help="Wait for the end.")
@click.option("-l", "--logs", "with_logs", is_flag=True, help="Follow the log.")
def trigger(
    shell: Shell, *, workflow: str, inputs: Sequence[str], follows: bool, with_logs: bool
) -> int | None:
    """Launch a workflow, as 'waas workflows trigger' does. Today's command is 'slipway run'."""
    execution = shell.client.workflow(workflow).run(split_pairs(inputs, "-i"))
    if shell.out.for_programs and not (follows or with_logs):
        _write(shell, execution.id)
        return None
    shell.out.write(f"Workflow triggered with execution ID: {execution.id}")
    if follows:
        return _follow_status(shell, execution)
    return _follow_log(shell, execution, "INFO", 0) if with_logs else None


@of_table("exec status")
@click.argument("execution", metavar="ID")
@click.option("-f", "--follow", "follows", is_flag=True, help="Wait for the end.")
def status(shell: Shell, execution: str, follows: bool) -> int | None:
    """Show a status, as 'waas executions status' does. Today's command is 'slipway status'."""
    found = find(shell, execution)
    if follows:
        return _follow_status(shell, found)
    state = found.whole()
    if shell.out.for_programs:
        _write(shell, state.raw)
    else:
        _say_status(shell, state)
    return None


@of_table("exec logs")
@click.argument("execution", metavar="ID")
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on until the end.")
@click.option("-d", "--debug", "with_debug", is_flag=True, help="Show debug lines, too.")
@click.option("--from", "start", type=click.IntRange(0), default=0, help="Leave out so many.")
def logs(
    shell: Shell, *, execution: str, follows: bool, with_debug: bool, start: int
) -> int | None:
    """Print a log, as 'waas executions logs' does. Today's command is 'slipway logs'."""
    found = find(shell, execution)
    level = "DEBUG" if with_debug else "INFO"
    if follows:
        return _follow_log(shell, found, level, start)
    if shell.out.for_programs:
        levels = Level(level).and_above
        params = {"from": start, "size": _PAGE, "levels": levels, "timeout": "0"}
        _write(shell, shell.client.mapping(f"/executions/{found.id}/logs", params))
        return None
    for entry in islice(found.logs(level), start, None):
        shell.out.write(_line(entry))
    return None


@of_table("keys key-gen")
@click.option("-m", "--metadata", "--meta", "metadata", multiple=True, metavar="KEY=VALUE[,...]",
              help="Words of your own.")  # fmt: skip
def key_gen(shell: Shell, metadata: Sequence[str]) -> None:
    """Make an SSH key, as 'waas ssh_keys key-gen' does. Today's is 'slipway keys create'."""
    key = shell.client.create_ssh_key(split_pairs(metadata, "-m"))
    if shell.out.for_programs:
        _write(shell, key.raw)
        return
    shell.out.write(
        "INFO: Below is your new SSH public key. Take note of it: neither it nor its id is shown "
        "again.\n"
        "INFO: Add it to the authorized_keys file of the systems that your workflows run on.\n"
        f"INFO: SSH key ID:     {key.id}\n"
        f"INFO: SSH Public key: {key.public_key}"
    )


def split_pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Return keys with their values; several may stand in one option, with commas between.

    A comma before what is no pair belongs to the value.

    Raises:
        Failure: One is no pair, or a key stands twice.
    """
    split: list[str] = []
    for each in given:
        try:
            parts = next(csv.reader([each], strict=True), [])
        except csv.Error:
            parts = [each]
        split += parts if all("=" in part for part in parts) else [each]
    return pairs(split, option)


def _write(shell: Shell, document: Any) -> None:
    """Write JSON on one line, in which scripts may look without reading it as such."""
    if shell.out.format == "yaml" or shell.asked.query is not None:
        shell.out.value(document)
    else:
        shell.out.write_exactly(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def _say_status(shell: Shell, state: ExecutionState) -> None:
    shell.out.write(f"Execution ID: {state.id}, Status: {state.status}")


def _follow_status(shell: Shell, execution: Execution) -> int:
    with goes_on(shell, [execution.id]):
        (ended,) = await_end(shell, [execution])
    if isinstance(ended, Exception):
        raise ended
    _say_status(shell, ended)
    return result_code([ended])


def _follow_log(shell: Shell, execution: Execution, level: str, start: int) -> int:
    if start:
        raise Failure("--from goes without -f.")
    with goes_on(shell, [execution.id]):
        ended = follow(shell, execution, Wanted(level), steps=False, write=_with_end(_line))
    return result_code([ended])


def _with_end(line: Callable[[LogEntry], str]) -> Callable[[LogEntry], str]:
    return lambda entry: line(entry) + "\n"


def _line(entry: LogEntry) -> str:
    content = "\n".join(map(clean, entry.content.split("\n")))
    return f"{entry.level}: [{_go_time(entry.timestamp)}] {content}"


def _go_time(moment: datetime) -> str:
    """Return a time as Go prints one, in UTC."""
    utc = moment.astimezone(UTC)
    fraction = f"{utc.microsecond:06d}".rstrip("0")
    return f"{utc:%Y-%m-%d %H:%M:%S}{'.' if fraction else ''}{fraction} +0000 UTC"
