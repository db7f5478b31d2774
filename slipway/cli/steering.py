"""What commands that steer executions have in common: several at a time, each told of in a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.views import short

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution


def one_by_one(
    shell: Shell,
    executions: Sequence[Execution],
    act: Callable[[Execution], str],
    *,
    over: ExitCode = ExitCode.USAGE,
) -> int:
    """Do something to each of some executions, whatever becomes of the others.

    Args:
        shell: Where it is told.
        executions: They.
        act: Does it, and returns what is told: a sentence behind the id.
        over: The exit code where one is not in a state for that.

    Returns:
        The exit code: that of the first that could not be done.
    """
    from slipway.errors import Conflict, NotAllowed, NotFound, NotSupported  # noqa: PLC0415

    code = ExitCode.SUCCESS
    for execution in executions:
        try:
            shell.out.write(f"{short(execution.id)} {act(execution)}")
        except (Conflict, NotSupported) as exc:
            kind = over if isinstance(exc, Conflict) else ExitCode.USAGE
            shell.say(f"slipway: {short(execution.id)}: {exc}")
            code = code or kind
        except (NotFound, NotAllowed) as exc:
            shell.say(f"slipway: {short(execution.id)}: {exc}")
            code = code or ExitCode.REFUSED
    return code


def confirm(shell: Shell, verb: str, executions: Sequence[Execution], *, yes: bool) -> None:
    """Ask before something is done to several executions.

    Raises:
        Failure: The answer is no.
    """
    if len(executions) > 1 and not shell.confirm(f"{verb} {len(executions)} executions", yes=yes):
        raise Failure("Nothing was done.", code=ExitCode.SUCCESS)
