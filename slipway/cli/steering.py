"""What commands that steer executions have in common: several at a time, each told of in a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from slipway.cli.codes import ExitCode
from slipway.cli.ids import find_all
from slipway.cli.views import short

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask first.")


def steer(
    shell: Shell,
    references: Sequence[str],
    verb: str,
    act: Callable[[Execution], str],
    *,
    yes: bool,
    always: bool = False,
) -> int:
    """Do something to executions, after it was asked whether that is meant for several.

    Args:
        shell: Asks, and tells.
        references: What was typed; one's own latest execution where nothing was.
        verb: What is to be done.
        act: Does it to one, and returns what is told behind the id.
        yes: Whether ``--yes`` was given.
        always: Whether it is asked for a single one, too.

    Returns:
        The exit code: that of the first that could not be done.

    Raises:
        Failure: Nothing was done: something that was typed names no execution, or several.
        SlipwayError: The service cannot be reached; those before it are done.
    """
    found = find_all(shell, references)
    if not _confirmed(shell, verb, found, yes=yes, always=always):
        return ExitCode.SUCCESS
    return _one_by_one(shell, found, act)


def _confirmed(
    shell: Shell, verb: str, executions: Sequence[Execution], *, yes: bool, always: bool
) -> bool:
    """Ask before something is done to several executions; in a pipe nobody is asked."""
    if len(executions) == 1 and not always:
        return True
    what = f"{len(executions)} executions" if len(executions) > 1 else short(executions[0].id)
    if shell.confirm(f"{verb} {what}", yes=yes):
        return True
    shell.say("Nothing was done.")
    return False


def _one_by_one(
    shell: Shell, executions: Sequence[Execution], act: Callable[[Execution], str]
) -> int:
    """Do something to each of some executions, whatever becomes of the others."""
    from slipway.cli.refusals import explained_refusal  # noqa: PLC0415  (it is needed for faults)
    from slipway.errors import Conflict, NotAllowed, NotFound, NotSupported  # noqa: PLC0415

    code: int = ExitCode.SUCCESS
    done = []
    for execution in executions:
        try:
            told = act(execution)
        except (Conflict, NotSupported, NotFound, NotAllowed) as exc:
            explained = explained_refusal(exc)
            assert explained is not None  # noqa: S101  (they are errors of the library)
            code = code or explained[0]
            shell.say(f"slipway: {short(execution.id)}: {exc}")
        else:
            done.append(execution)
            if not shell.out.for_programs:
                named = shell.out.format == "name"
                shell.out.write(execution.id if named else f"{short(execution.id)} {told}")
    if shell.out.for_programs:
        shell.out.value([_document(execution) for execution in done])
    return code


def _document(execution: Execution) -> dict[str, str]:
    return {"id": execution.id, "state": str(execution.state)}
