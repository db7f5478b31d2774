"""One iteration of a virtual user: the steps of a definition, once.

A definition is compiled once for each task, so that a plain request costs little beside the client.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from app.load.compiling import Plan, compile_definition
from app.load.definition import Definition
from app.load.exchange import Http, Recorder
from app.load.faults import EXECUTION, StepFailed
from app.load.flow import SILENT, run_steps
from app.load.run import ITERATION, VU, Run

log = structlog.get_logger(__name__)


def compile(definition: Definition) -> Plan:  # noqa: A001  (the word for it)
    """Prepare the iterations of a definition; whoever does so closes the plan at the end."""
    return compile_definition(definition)


def run_iteration(
    plan: Plan,
    http: Http,
    recorder: Recorder,
    vu: int,
    number: int,
    *,
    sleep: Callable[[float], None] | None = None,
) -> bool:
    """Run the steps of a definition once.

    Args:
        plan: The compiled definition.
        http: The client of the virtual user.
        recorder: What counts steps, requests and errors.
        vu: Number of the virtual user.
        number: Number of the iteration, of this virtual user.
        sleep: What waits for seconds; None for ``time.sleep``.

    Returns:
        Whether it succeeded: no step that failed has ended it.

    Raises:
        Cut: It was interrupted, and counts neither way.
    """
    run = Run(
        http,
        recorder,
        scripts=plan.scripts,
        sleep=sleep or time.sleep,
        variables={VU: vu, ITERATION: number, **plan.variables},
    )
    try:
        return _run(plan, run)
    except Exception as exc:  # a fault of ours ends this iteration, not the virtual user
        recorder.error(EXECUTION, f"unforeseen fault: {type(exc).__name__}", "")
        if not plan.told:
            plan.told = True
            log.exception("an iteration met an unforeseen fault")
        return False


def _run(plan: Plan, run: Run) -> bool:
    fault: StepFailed | None = None
    try:
        if plan.pre_hook is not None:
            plan.pre_hook(run, SILENT)
    except StepFailed as exc:
        fault = exc
        run.recorder.error(exc.code, f"pre_hook: {exc.message}", "")
    if fault is None:
        fault = run_steps(plan.steps, run)
    if plan.post_hook is not None:
        try:
            plan.post_hook(run, SILENT)
        except StepFailed as exc:
            run.recorder.error(exc.code, f"post_hook: {exc.message}", "")
    return fault is None
