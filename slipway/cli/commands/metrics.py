"""``slipway metrics``: what the virtual users of an execution have done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from slipway.cli.codes import Failure
from slipway.cli.ids import find
from slipway.cli.options import command as command_of
from slipway.cli.output import Output, clean, cut
from slipway.cli.screen import can_be_drawn_on, screen
from slipway.cli.times import span
from slipway.cli.views import short

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution
    from slipway.models import Metrics

_LOOK_SECONDS: Final = 1.0
"""Time between two looks while it is live."""


@command_of("metrics")
@click.argument("execution", required=False, metavar="[ID]")
@click.option("-w", "--watch", is_flag=True, help="Keep it live until the execution has ended.")
def command(shell: Shell, *, execution: str | None, watch: bool) -> None:
    """Show what the virtual users of an execution have done; of your latest unless told otherwise.

    Times are in milliseconds.
    """
    found = find(shell, execution)
    if watch and shell.out.format not in ("table", "wide"):
        raise Failure("-w shows figures to people.", hint="Leave out -w, and ask again and again.")
    metrics = found.metrics()
    if watch and can_be_drawn_on():
        metrics = _watch(shell, found, metrics)
    shell.out.record(
        metrics.raw, name=found.id,
        text=lambda: "\n".join(_lines(found, metrics, shell.out)),
    )  # fmt: skip


def _watch(shell: Shell, execution: Execution, metrics: Metrics) -> Metrics:
    """Show them on a screen of their own until nothing changes any more, and return the last."""
    with screen() as shown:
        while not metrics.final:
            width = shell.out.width or 80
            shown.draw([cut(line, width) for line in _lines(execution, metrics, None)])
            time.sleep(_LOOK_SECONDS)
            metrics = execution.metrics()
    return metrics


def _lines(execution: Execution, metrics: Metrics, out: Output | None) -> Iterator[str]:
    """Yield the lines for people; without colours where there is no output to ask for them."""
    state = clean(metrics.state)
    lasted = span(metrics.running_seconds)
    yield f"{short(execution.id)} {state}, {metrics.vus} virtual users, {lasted}"
    raw = metrics.raw
    yield (
        f"iterations {metrics.iterations}, failed {metrics.iterations_failed}; "
        f"{_timing(raw.get('iteration'))}"
    )
    yield (
        f"requests {_count(raw.get('requests'))}, failed {metrics.requests_failed}, "
        f"{metrics.requests_per_second:g}/s; {_timing(raw.get('requests'))}"
    )
    for step in _each(raw, "steps"):
        yield (
            f"step {clean(str(step.get('step')))}: {step.get('success')} well, "
            f"{step.get('failure')} failed; {_timing(step.get('duration'))}"
        )
    for threshold in _each(raw, "thresholds"):
        well = bool(threshold.get("passed"))
        word = "ok " if well else "bad"
        word = out.styled(word, "green" if well else "red") if out else word
        yield (
            f"{word} {clean(str(threshold.get('metric')))} "
            f"{clean(str(threshold.get('condition')))} ({threshold.get('value'):g})"
        )
    for error in _each(raw, "errors"):
        yield f"error {clean(str(error.get('message')))} ({error.get('count')} times)"


def _each(raw: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    given = raw.get(name)
    yield from (each for each in given or () if isinstance(each, Mapping))


def _count(timing: Any) -> Any:
    return timing.get("count", 0) if isinstance(timing, Mapping) else 0


def _timing(timing: Any) -> str:
    """Return how long things took, in milliseconds."""
    if not isinstance(timing, Mapping) or not timing.get("count"):
        return "no times yet"
    names = ("avg", "p50", "p95", "p99", "max")
    return ", ".join(f"{name} {timing[name]:g} ms" for name in names if name in timing)
