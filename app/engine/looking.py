"""One look at an execution, also where nothing can be begun for now."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from app.domain import DesiredState, DrivenExecution, Observation, TaskWish
from app.engine.progress import Progress
from app.engine.run import Machine, Run
from app.errors import UpstreamError

log = structlog.get_logger(__name__)


def look(
    execution: DrivenExecution,
    machine: Machine,
    stored: Callable[[], Progress],
    wishes: Callable[[], Mapping[str, TaskWish]],
) -> tuple[Observation, Progress]:
    """Do what can be done now for an execution.

    Where nothing can be begun, what runs is looked at all the same, and the others wait.

    Args:
        execution: The execution.
        machine: What all runs share.
        stored: Returns how far it came, as it was stored last.
        wishes: Returns what its user wants of single tasks.

    Returns:
        What happened, and how far it came.

    Raises:
        UpstreamError: The launcher cannot work now; what was done is found again next time.
    """

    def run(held_up: str = "") -> tuple[Run, Progress]:
        progress = stored()
        news = execution.task_wishes != progress.wishes
        return Run(execution, progress, machine, wishes() if news else None, held_up), progress

    first, progress = run()
    try:
        return first.advance(), progress
    except UpstreamError as exc:
        if not first.begins or execution.desired is not DesiredState.RUN:
            raise
        why, detail = exc.message, exc.detail
    log.warning("nothing can be begun", execution=execution.id, error=why, detail=detail)
    second, progress = run(held_up=why)
    return second.advance(), progress
