"""``slipway wait``: wait until executions are over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.codes import ExitCode
from slipway.cli.executions import result_code
from slipway.cli.follow import await_end, goes_on, say_end
from slipway.cli.ids import find_all
from slipway.cli.moments import Span
from slipway.cli.options import command as command_of
from slipway.cli.views import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slipway.cli.shell import Shell
    from slipway.execution import Execution
    from slipway.models import ExecutionState


@command_of("wait")
@click.argument("executions", nargs=-1, metavar="[ID]...")
@click.option(
    "--timeout", type=Span(), metavar="TIME", help="End with 1 after so long: 30s, 10m, 1h30m."
)
def command(shell: Shell, *, executions: tuple[str, ...], timeout: float | None) -> int:
    """Wait until executions are over; the latest one of yours unless told otherwise.

    It ends with their result: 1 when one of them failed, else 3 when one was cancelled, else 0. One
    that is purged meanwhile is 4.
    """
    found = find_all(shell, executions)
    with goes_on(shell, [execution.id for execution in found]):
        results = await_end(shell, found, timeout=timeout)
    for execution, result in zip(found, results, strict=True):
        _say(shell, execution, result)
    if shell.out.for_programs:
        shell.out.value([each.raw for each in results if not isinstance(each, Exception)])
    return _code(results)


def _say(shell: Shell, execution: Execution, result: ExecutionState | Exception) -> None:
    if isinstance(result, Exception):
        shell.say(f"{short(execution.id)} is not there any more: {result}")
    elif result.state.is_final:
        say_end(shell, execution)
    else:
        shell.say(f"{short(execution.id)} goes on: it is {result.state}.")


def _code(results: Sequence[ExecutionState | Exception]) -> int:
    if any(isinstance(result, Exception) for result in results):
        return ExitCode.REFUSED
    states = [result for result in results if not isinstance(result, Exception)]
    code = result_code(states)
    over = all(state.state.is_final for state in states)
    return code if over or code is ExitCode.FAILED else ExitCode.FAILED
