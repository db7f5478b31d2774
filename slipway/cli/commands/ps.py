"""``slipway ps``: the executions that run, and those of the last day."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from slipway.cli.codes import Failure
from slipway.cli.executions import columns, running_first
from slipway.cli.moments import Since
from slipway.cli.options import command as command_of

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.models import ExecutionState

_LATELY: Final = timedelta(days=1)
_PAGE: Final = 200
_MOST_ENDED: Final = 50
"""Executions that have ended which a terminal shows, unless all are asked for."""
_LOOK_SECONDS: Final = 1.0
"""Time between two looks while it is live."""


class Filters(NamedTuple):
    """Which executions are listed.

    Attributes:
        since: Those that were launched since then.
        active_since: Those that have not ended, or did so since then.
        labels: ``key=value``, or a key alone for any value.
    """

    status: tuple[str, ...] = ()
    workflow: str | None = None
    name: str | None = None
    owner: str | None = None
    labels: tuple[str, ...] = ()
    since: datetime | None = None
    active_since: datetime | None = None

    def params(self) -> dict[str, Any]:
        """Return them as the service takes them."""
        moments = {"since": self.since, "active_since": self.active_since}
        return {
            "status": self.status, "workflow": self.workflow, "owner": self.owner or (),
            "name": self.name, "label": self.labels,
            **{key: _written(moment) for key, moment in moments.items() if moment},
        }  # fmt: skip

    def let_through(self, state: ExecutionState) -> bool:
        """Whether an execution is one of those: an older service lists others, too."""
        return (
            self.name in (None, state.name)
            and all(_has(state, label) for label in self.labels)
            and (self.since is None or _at_least(state.created_at, self.since))
            and (
                self.active_since is None
                or not state.state.is_final
                or _at_least(state.finished_at, self.active_since)
            )
        )


@command_of("ps")
@click.option("-a", "--all", "everything", is_flag=True, help="All there are, however old.")
@click.option("--status", metavar="WORD", multiple=True, help="Only those; may be repeated.")
@click.option("--workflow", metavar="NAME", help="Only those of a workflow, by its id or name.")
@click.option("--since", metavar="WHEN", type=Since(), help="Launched since: 2h, 3d, or a date.")
@click.option(
    "--label", metavar="K[=V]", multiple=True, help="Only those with a label; may be repeated."
)
@click.option("--name", metavar="NAME", help="Only those that are called so.")
@click.option("--owner", metavar="USER", help="Only those of somebody; @me is yourself.")
@click.option("-w", "--watch", is_flag=True, help="Keep it live, until Ctrl-C.")
def command(shell: Shell, *, everything: bool, watch: bool, **given: Any) -> None:
    """List executions: those that have not ended, and those of the last day.

    Those that run come first. With --since those that were launched since then are listed, with -a
    all there are.
    """
    filters = Filters(
        given["status"], given["workflow"], given["name"], given["owner"], given["label"],
        given["since"],
    )  # fmt: skip
    lately = not everything and filters.since is None
    if watch:
        _watch(shell, filters, lately=lately)
        return
    states = _states(shell, filters, lately=lately)
    more = 0
    if shell.out.width is not None and not everything and not shell.out.for_programs:
        states, more = _shortened(states)
    _write(shell, states, empty=_empty(filters, lately=lately))
    if more:
        shell.say(f"+{more} more that have ended: slipway ps -a")


def _states(shell: Shell, filters: Filters, *, lately: bool) -> list[ExecutionState]:
    if lately:
        filters = filters._replace(active_since=datetime.now(UTC) - _LATELY)
    listed = shell.client.executions(**filters.params(), page_size=_PAGE)
    states = (execution.seen for execution in listed)
    return running_first(state for state in states if filters.let_through(state))


def _shortened(states: Sequence[ExecutionState]) -> tuple[list[ExecutionState], int]:
    """Leave out old ones of very many; return the rest, and how many were left out."""
    running = [state for state in states if not state.state.is_final]
    ended = states[len(running) :]
    return [*running, *ended[:_MOST_ENDED]], max(0, len(ended) - _MOST_ENDED)


def _write(shell: Shell, states: Sequence[ExecutionState], *, empty: str) -> None:
    shell.out.records(
        states, columns(states, datetime.now(UTC)),
        name=lambda state: state.id, document=lambda state: state.raw, empty=empty,
    )  # fmt: skip


def _empty(filters: Filters, *, lately: bool) -> str:
    if lately and filters != Filters():
        return "There is none of those within the last day; slipway ps -a looks further back."
    if lately:
        return "Nothing runs, and nothing ended within the last day. All: slipway ps -a"
    return "There is no such execution."


def _watch(shell: Shell, filters: Filters, *, lately: bool) -> None:
    """Show the list again and again."""
    from slipway.cli.screen import can_be_drawn_on, screen  # noqa: PLC0415  (few ask for it)

    if shell.out.for_programs or shell.out.format == "name":
        raise Failure("-w shows a table to people.", hint="For programs: slipway events -f -o json")
    if not can_be_drawn_on():
        _tell(shell, filters, lately=lately)
        return

    def lines() -> list[str]:
        states = _states(shell, filters, lately=lately)
        if not states:
            return [_empty(filters, lately=lately)]
        return shell.out.table_lines(states, columns(states, datetime.now(UTC)))

    with screen() as shown:
        shown.loop(lines, _LOOK_SECONDS)


def _tell(shell: Shell, filters: Filters, *, lately: bool) -> None:
    """Write the list, and then each execution again whenever its state has changed."""
    import time  # noqa: PLC0415  (few ask for it)

    known: dict[str, str] = {}
    heads = True
    while True:
        states = _states(shell, filters, lately=lately)
        changed = [state for state in states if known.get(state.id) != state.state]
        known.update((state.id, str(state.state)) for state in changed)
        if changed:
            lines = shell.out.table_lines(changed, columns(states, datetime.now(UTC)))
            for line in lines if heads else lines[1:]:
                shell.out.write(line)
            sys.stdout.flush()
            heads = False
        time.sleep(_LOOK_SECONDS)


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _has(state: ExecutionState, label: str) -> bool:
    key, equals, value = label.partition("=")
    return key in state.labels and (not equals or state.labels[key] == value)


def _at_least(moment: datetime | None, since: datetime) -> bool:
    # The service counts whole seconds.
    return moment is not None and moment >= since.replace(microsecond=0)
