"""``slipway logs``: what an execution says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.executions import result_code
from slipway.cli.follow import Wanted, follow, goes_on, line_of, say_end
from slipway.cli.ids import find
from slipway.cli.lines import Times
from slipway.cli.moments import Since
from slipway.cli.options import command as command_of
from slipway.cli.output import clean
from slipway.cli.views import short

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution
    from slipway.models import LogEntry

_MOST_STEPS: Final = 12
"""Steps that are named where one is asked for that there is not."""
_LEVELS: Final = ("debug", "info", "warn", "warning", "error")


@command_of("logs")
@click.argument("execution", required=False, metavar="[ID]")
@click.option(
    "-f", "--follow", "follows", is_flag=True,
    help="Go on until the execution has ended; end with its result.",
)  # fmt: skip
@click.option(
    "--level", type=click.Choice(_LEVELS, case_sensitive=False), default="info",
    show_default=True, metavar="LEVEL", help="Least level that is shown: debug to error.",
)  # fmt: skip
@click.option("--step", metavar="NAME", help="Only what one step says, without its name.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Begin N entries before the end.")
@click.option("--since", metavar="WHEN", type=Since(), help="Said since: 10m, 2h, or a date.")
@click.option("-t", "--times", is_flag=True, help="Show the times, in the local zone.")
@click.option("--grep", metavar="REGEX", help="Only what a regular expression is found in.")
def command(
    shell: Shell, *, execution: str | None, follows: bool, times: bool, **given: Any
) -> int | None:
    """Print the log of an execution; the latest one of yours unless told otherwise.

    What the service itself says of it counts as lines, too. With -o json each entry is one line of
    JSON. Of a command's own colours none are left in a pipe, or with NO_COLOR.
    """
    if shell.out.format in ("yaml", "name"):
        raise Failure(
            f"A log cannot be printed as {shell.out.format}.", hint="It comes as text or -o json."
        )
    found = find(shell, execution)
    wanted = Wanted(given["level"], given["step"], given["tail"], given["since"], given["grep"])
    shown = Times.FULL if times or shell.out.format == "wide" else Times.NONE
    line = line_of(shell, found, wanted, shown)
    if not follows:
        if not _print(found, wanted, line) and (fault := _no_such_step(found, wanted)):
            raise fault
        return None
    if fault := _no_such_step(found, wanted):  # it may be one that is not there yet
        shell.say(fault.message)
    with goes_on(shell, [found.id]):
        ended = follow(shell, found, wanted, steps=False, write=line)
    say_end(shell, found)
    return result_code([ended])


def _print(execution: Execution, wanted: Wanted, line: Callable[[LogEntry], str]) -> bool:
    """Print a log as it is now; page by page, so that a long one takes no memory.

    Returns:
        Whether there was anything to print.
    """
    printed = False
    pages = execution.log_pages(wanted.level, wanted.step, tail=wanted.tail, grep=wanted.grep)
    for page in pages:
        text = "".join(map(line, filter(wanted.takes, page.entries)))
        printed = printed or bool(text)
        sys.stdout.write(text)
    return printed


def _no_such_step(execution: Execution, wanted: Wanted) -> Failure | None:
    """Return what to say where a step is asked for that the execution does not have."""
    names = [task.name for task in execution.tasks] if wanted.step else []
    if not names or wanted.step in names:
        return None
    named = ", ".join(map(clean, names[:_MOST_STEPS]))
    more = f" and {len(names) - _MOST_STEPS} more" if len(names) > _MOST_STEPS else ""
    return Failure(
        f"{short(execution.id)} has no step '{clean(wanted.step or '')}'; it has: {named}{more}.",
        code=ExitCode.REFUSED,
    )
