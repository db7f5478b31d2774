"""``slipway try``: run a definition here and now, on a service of its own that leaves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.auth import ApiKey
from slipway.cli.codes import ExitCode, Failure
from slipway.cli.commands.outputs import lines_of
from slipway.cli.definition_files import Definition, findings, read_definition, told
from slipway.cli.embedded import throwaway
from slipway.cli.executions import result_code, took
from slipway.cli.follow import follow
from slipway.cli.launching import Asked, asked, input_options, launch
from slipway.cli.options import command as of_table
from slipway.cli.output import clean, shown
from slipway.cli.places import Text
from slipway.cli.shell import Shell
from slipway.client import Client
from slipway.errors import InvalidInput, NotOurs, ServerFault, SlipwayError, Unreachable

if TYPE_CHECKING:
    from slipway import Execution
    from slipway.models import ExecutionState, Task

_CANCEL_SECONDS = 30.0
"""For the steps to end when they are cancelled; what has not ended by then is killed."""
_LONGEST_REASON = 500


@of_table("try")
@click.argument("file")
@input_options
def command(shell: Shell, file: str, *, pairs: tuple[str, ...], inputs_file: str | None) -> int:
    """Run the definition in FILE on this machine, without a service; - is standard input.

    Its log is printed, then its outputs, and the exit code is its result. Nothing of it is kept.
    Ctrl-C cancels it.
    """
    definition = read_definition(file)
    wanted = asked(pairs, inputs_file)
    shell.say(f"Trying {clean(definition.file)} here; nothing is kept.")
    with throwaway() as service, Client(service.url, ApiKey(service.key)) as client:
        try:
            return _tried(shell, client, definition, wanted)
        except (Unreachable, NotOurs, ServerFault) as exc:
            raise Failure(
                f"The service of this trial has failed: {exc}", code=ExitCode.UNREACHABLE
            ) from exc


def _tried(shell: Shell, client: Client, definition: Definition, wanted: Asked) -> int:
    try:
        info = client.upload(definition.text, media_type=definition.media_type)
    except InvalidInput as exc:
        for line in told(definition, findings(definition, exc.fields)):
            shell.say(line)
        if not exc.fields:
            shell.say(f"{clean(definition.file)}: {exc}")
        return ExitCode.FAILED
    workflow = client.workflow(info.id)
    execution = launch(shell, workflow, wanted, described_in=definition.file)
    try:
        state = follow(shell, execution)
    except KeyboardInterrupt:
        _cancel(shell, execution)
        raise
    _tell(shell, execution, state, definition)
    return result_code([state])


def _cancel(shell: Shell, execution: Execution) -> None:
    """Cancel what was tried, so that its steps may clean up; what does not end is killed."""
    shell.say("\nCancelling. Ctrl-C again kills it.")
    try:
        execution.cancel()
        execution.wait(_CANCEL_SECONDS)
    except (SlipwayError, KeyboardInterrupt):
        return


def _tell(
    shell: Shell, execution: Execution, state: ExecutionState, definition: Definition
) -> None:
    lasted = took(state, state.finished_at) if state.finished_at else ""
    head = f"{state.state} in {lasted}" if lasted else str(state.state)
    if str(state.state) != "FAILED":
        shell.say(f"{head}.")
        _print_outputs(shell, execution)
        return
    failed = next((task for task in state.tasks or () if str(task.status) == "FAILED"), None)
    why = _reason(failed, definition) if failed else shown(state.error or "", _LONGEST_REASON)
    shell.say(f"{head}: {why.rstrip('.')}." if why else f"{head}.")


def _reason(task: Task, definition: Definition) -> str:
    line = Text(definition.text).step_line(task.name)
    place = f" ({clean(definition.file)}:{line})" if line else ""
    name = f"step {clean(task.name)}{place}"
    if task.exit_code is None:
        return f"{name}: {shown(task.error or 'it failed', _LONGEST_REASON)}"
    return f"{name} ended with code {task.exit_code}"


def _print_outputs(shell: Shell, execution: Execution) -> None:
    outputs = execution.outputs
    if shell.out.for_programs:
        shell.out.json_line({"type": "outputs", "outputs": dict(outputs)})
    else:
        for line in lines_of(outputs):
            shell.out.write(line)
