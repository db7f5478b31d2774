"""Running steps one after another: hooks, tries, counting, and what follows a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.load.actions import Act
from app.load.definition import MAX_TRIES, OnError
from app.load.exchange import Outcome, Recorder
from app.load.faults import StepFailed, StepTimedOut
from app.load.run import Run, now_us
from app.load.variables import Result

_PAUSE_SECONDS: Final = 0.1
"""Between the tries of a step, so that a target that is down is not flooded."""


_ENDING: Final = frozenset({OnError.ABORT, OnError.RETRY})


class Aborted(StepFailed):
    """A nested step that failed ends the iteration, with all that is around it."""


class _Silent:
    """Counts nothing: what hooks do is in no metric."""

    def step(self, step_id: str, outcome: Outcome, microseconds: int) -> None:
        """Forget it."""

    def request(self, step_id: str, microseconds: int, failed: bool) -> None:
        """Forget it."""

    def error(self, code: str, message: str, step_id: str) -> None:
        """Forget it."""


SILENT: Final[Recorder] = _Silent()
"""Counts nothing."""


class Step:
    """A step, ready to run.

    Attributes:
        act: What it does.
        remembers: Whether an expression may ask what became of it.
        follows: Whether it is left out where the condition in front of it ran a branch.
    """

    __slots__ = ("act", "follows", "id", "on_error", "post_hook", "pre_hook", "remembers")

    def __init__(
        self,
        step_id: str,
        act: Act,
        on_error: OnError = OnError.ABORT,
        pre_hook: Act | None = None,
        post_hook: Act | None = None,
        *,
        remembers: bool = False,
        follows: bool = False,
    ) -> None:
        self.id, self.act, self.on_error = step_id, act, on_error
        self.pre_hook, self.post_hook = pre_hook, post_hook
        self.remembers, self.follows = remembers, follows


def run_steps(steps: Sequence[Step], run: Run, *, nested: bool = False) -> StepFailed | None:
    """Run steps, as far as they go.

    Returns:
        The fault that ends the iteration; None if none does.

    Raises:
        StepTimedOut: What is around them has no time left.
    """
    for step in steps:
        if step.follows and run.took_branch:
            continue
        fault = _run_step(step, run)
        if run.deadline_us is not None:
            run.check_deadline()
        if fault is None:
            continue
        if isinstance(fault, Aborted) or step.on_error in _ENDING:
            return fault
        if nested and step.on_error is OnError.SKIP:
            break
    return None


def _run_step(step: Step, run: Run) -> StepFailed | None:
    """Run a step with all that belongs to it; return why it failed, None if it did not."""
    if step.pre_hook is None:
        fault = _try(step, run)
    else:
        fault = _hook(step.pre_hook, "pre_hook", step, run)
        if fault is None:
            fault = _try(step, run)
        else:
            run.scope.results[step.id] = Result("skipped", 0, fault.message)
    if step.post_hook is not None:
        _hook(step.post_hook, "post_hook", step, run)
    return fault


def _hook(hook: Act, name: str, step: Step, run: Run) -> StepFailed | None:
    try:
        hook(run, SILENT)
    except StepFailed as exc:
        run.recorder.error(exc.code, f"{name}: {exc.message}", step.id)
        return exc
    return None


def _try(step: Step, run: Run) -> StepFailed | None:
    fault = _once(step, run)
    if fault is None or step.on_error is not OnError.RETRY:
        return fault
    for _ in range(MAX_TRIES - 1):
        if isinstance(fault, Aborted):
            break
        run.sleep(_PAUSE_SECONDS)
        fault = _once(step, run)
        if fault is None:
            break
    return fault


def _once(step: Step, run: Run) -> StepFailed | None:
    recorder = run.recorder
    run.answer = None
    fault: StepFailed | None = None
    outcome: Outcome = "success"
    started = now_us()
    try:
        step.act(run, recorder)
    except StepFailed as exc:
        fault = exc
        outcome = "timeout" if isinstance(exc, StepTimedOut) else "failure"
    microseconds = now_us() - started
    recorder.step(step.id, outcome, microseconds)
    if fault is not None and not isinstance(fault, Aborted):
        recorder.error(fault.code, fault.message, step.id)
    if step.remembers:
        _remember(step, run, outcome, microseconds, fault)
    return fault


def _remember(
    step: Step, run: Run, outcome: Outcome, microseconds: int, fault: StepFailed | None
) -> None:
    status = "failed" if outcome == "failure" else outcome
    error = fault.message if fault else ""
    if run.answer is None:
        run.scope.results[step.id] = Result(status, microseconds, error)
    else:
        run.scope.results[step.id] = Result(status, microseconds, error, run.answer)
