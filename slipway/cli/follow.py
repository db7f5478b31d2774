"""Following executions to their end: what they log, how their steps stand, and how they end.

It is the same for all commands that wait for something: ``run -f``, ``try``, ``logs -f``,
``status -f`` and ``wait``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from slipway.cli.executions import took
from slipway.cli.lines import LineFormat, Times, json_line_of
from slipway.cli.output import clean, shortened
from slipway.cli.screen import ended_by_signals
from slipway.cli.views import View, short, view

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution
    from slipway.models import ExecutionState, LogEntry

_LOOK_SECONDS: Final = 1.0
"""Time between two looks at the steps of an execution."""
_MOST_OUTPUTS: Final = 6
_LONGEST_VALUE: Final = 60
_MOST_LINES: Final = 5
"""Lines that are shown of a step that failed."""


class Wanted(NamedTuple):
    """Which part of a log is wanted.

    Attributes:
        level: The least that is shown; None for all.
        step: What one step says only; None for all.
        tail: So many entries before the end; None for all.
        since: What was said since then only.
        grep: What this regular expression is found in only.
    """

    level: str | None = "INFO"
    step: str | None = None
    tail: int | None = None
    since: datetime | None = None
    grep: str | None = None

    def takes(self, entry: LogEntry) -> bool:
        """Whether an entry is wanted, of those that the service sends."""
        return self.since is None or entry.timestamp >= self.since


def follow(
    shell: Shell,
    execution: Execution,
    wanted: Wanted = Wanted(),  # noqa: B008  (it cannot be changed)
    *,
    times: Times = Times.CLOCK,
    steps: bool = True,
    write: Callable[[LogEntry], str] | None = None,
) -> ExecutionState:
    """Print the log of an execution as it comes, until it has ended.

    Args:
        shell: Where it is printed.
        execution: It.
        wanted: Which part of its log.
        times: Which times are shown.
        steps: Whether it is shown on standard error how its steps stand.
        write: Makes a line of an entry, with its end, in the place of :func:`line_of`.

    Returns:
        How it ended.

    Raises:
        NotFound: There is no such execution any more.
        SlipwayError: The service refuses otherwise, or cannot be reached for long.
        KeyboardInterrupt: Somebody has seen enough.
    """
    line = write or line_of(shell, execution, wanted, times)
    log = execution.follow(level=wanted.level, step=wanted.step, tail=wanted.tail, grep=wanted.grep)
    with _viewed(shell, view(steps=steps)) as seen:
        with _looking(execution, seen, steps=steps), log:
            for entry in log:
                if wanted.takes(entry):
                    seen.write(line(entry))
        final = execution.refresh().seen
        seen.show([final])
    return final


def line_of(
    shell: Shell, execution: Execution, wanted: Wanted, times: Times
) -> Callable[[LogEntry], str]:
    """Return what makes a line of an entry of a log: as JSON for programs, else for people."""
    if shell.out.for_programs:
        return json_line_of(shell.out)
    names = None if wanted.step is not None else [task.name for task in execution.tasks]
    return LineFormat(colour=shell.out.colour, names=names, times=times).line


def await_end(
    shell: Shell, executions: Sequence[Execution], *, timeout: float | None = None
) -> list[ExecutionState | Exception]:
    """Wait until all of some executions have ended, and show how their steps stand.

    Args:
        shell: Where it is shown.
        executions: They.
        timeout: Longest time, in seconds; None for as long as it takes.

    Returns:
        How each stands, in the same order: how it ended, or how it was when the time was over; or
        the ``NotFound`` of one that is not there any more.

    Raises:
        SlipwayError: The service refuses otherwise, or cannot be reached for long.
        KeyboardInterrupt: Somebody has seen enough.
    """
    from slipway.errors import NotFound  # noqa: PLC0415  (it is loaded with the client)

    ends_at = None if timeout is None else time.monotonic() + timeout
    found: dict[str, ExecutionState | Exception] = {}
    open_, pause = list(executions), 0.0
    with _viewed(shell, view()) as seen:
        while open_:
            for execution in open_:
                # The last one is waited for, so that its end is told at once.
                seconds = pause if execution is open_[-1] else 0.0
                try:
                    found[execution.id] = _look(execution, seconds)
                except NotFound as exc:
                    found[execution.id] = exc
            seen.show([each for each in found.values() if not isinstance(each, Exception)])
            open_ = [each for each in open_ if _is_open(found[each.id])]
            pause = _LOOK_SECONDS
            if ends_at is not None:
                pause = min(pause, ends_at - time.monotonic())
                if pause <= 0:
                    break
    return [found[execution.id] for execution in executions]


def _is_open(found: ExecutionState | Exception) -> bool:
    return not isinstance(found, Exception) and not found.state.is_final


def _look(execution: Execution, seconds: float) -> ExecutionState:
    """Return how an execution is, after some seconds at most, or as soon as it has ended."""
    from slipway.errors import StillRunning  # noqa: PLC0415  (it is loaded with the client)

    with suppress(StillRunning):
        execution.wait(seconds)
    return execution.seen


@contextmanager
def goes_on(shell: Shell, ids: Sequence[str]) -> Iterator[None]:
    """Say at Ctrl-C that executions go on, and how one returns to them.

    Raises:
        KeyboardInterrupt: It was that.
    """
    try:
        yield
    except KeyboardInterrupt:
        named = " ".join(map(short, ids))
        shell.say("")  # behind the ^C of the terminal
        if len(ids) == 1:
            shell.say(
                f"{named} goes on. Return: slipway logs {named} -f. Stop it: slipway cancel {named}"
            )
        else:
            shell.say(
                f"They go on. Return: slipway wait {named}. Stop them: slipway cancel {named}"
            )
        raise


def say_end(shell: Shell, execution: Execution) -> None:
    """Say on standard error how an execution has ended; of one that failed, why."""
    state = execution.seen
    now = state.finished_at or datetime.now().astimezone()
    lasted = took(state, now)
    head = f"{short(state.id)} {state.state}" + (f" in {lasted}" if lasted else "")
    if state.state == "SUCCESS":
        outputs = _outputs(state)
        shell.say(f"{head}: {outputs}" if outputs else f"{head}.")
    elif state.state == "FAILED":
        shell.say(head + _why(execution, state))
        named = short(state.id)
        shell.say(f"  See: slipway logs {named} --level warn. Again: slipway retry {named}")
    else:
        shell.say(f"{head}.")


def _outputs(state: ExecutionState) -> str:
    outputs = state.outputs or {}
    told = [
        f"{clean(name)} {shortened(clean(str(value)), _LONGEST_VALUE)}"
        for name, value in list(outputs.items())[:_MOST_OUTPUTS]
    ]
    more = f", +{len(outputs) - _MOST_OUTPUTS} more" if len(outputs) > _MOST_OUTPUTS else ""
    return ", ".join(told) + more


def _why(execution: Execution, state: ExecutionState) -> str:
    """Return why an execution failed: the step, its code and its last lines."""
    from slipway.errors import SlipwayError  # noqa: PLC0415  (it is loaded with the client)

    try:
        failed = execution.digest().get("failed") or []
        told = [_failed_step(step) for step in failed[:1]]
    except (SlipwayError, AttributeError, TypeError, KeyError):
        told = []  # an older service has no digests
    if told:
        return told[0]
    step = next((task for task in state.tasks or () if task.status == "FAILED"), None)
    if step is None:
        return f": {clean(state.error)}" if state.error else "."
    code = f" with code {step.exit_code}" if step.exit_code else ""
    return f": step {clean(step.name)} ended{code}."


def _failed_step(step: dict[str, object]) -> str:
    code, meaning = step["exit_code"], step["meaning"]
    text = f": step {clean(str(step['name']))}"
    if code is None:
        text += f" failed: {clean(str(step['error']))}" if step["error"] else " failed."
    else:
        text += f" ended with code {code}{f' ({meaning})' if meaning else ''}."
    lines = step["last_lines"]
    assert isinstance(lines, list)  # noqa: S101  (a document of the service; see the caller)
    return text + "".join(f"\n  | {clean(str(line['content']))}" for line in lines[-_MOST_LINES:])


@contextmanager
def _viewed(shell: Shell, seen: View) -> Iterator[View]:
    """Show something, and let what the shell says go the same way; the terminal is put back."""
    with ended_by_signals(), shell.told_by(seen.note):
        try:
            seen.open()
            yield seen
        finally:
            seen.close()


@contextmanager
def _looking(execution: Execution, seen: View, *, steps: bool) -> Iterator[None]:
    """Look at the steps of an execution now and then, in a thread of its own."""
    stop = threading.Event()

    def look() -> None:
        from slipway.errors import SlipwayError  # noqa: PLC0415  (it is loaded with the client)

        while not stop.is_set():
            # What goes wrong here is told by who follows the log.
            with suppress(SlipwayError, OSError):
                seen.show([execution.refresh().seen])
            stop.wait(_LOOK_SECONDS)

    looker = threading.Thread(target=look, name="steps", daemon=True)
    if steps:
        looker.start()
    try:
        yield
    finally:
        stop.set()
        if looker.is_alive():
            looker.join(_LOOK_SECONDS)
