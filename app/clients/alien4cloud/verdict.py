"""How an execution ended of which Alien4Cloud's record does not tell.

Events get lost, an undeployment takes executions with it, and a cancel that crosses the end
leaves CANCELLING for ever. Source: Alien4Cloud 3.8 REST, sections 7 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.clients.alien4cloud.api import Alien4CloudApi
from app.clients.alien4cloud.cancel import request
from app.clients.alien4cloud.model import LogRecord, Run
from app.clients.alien4cloud.reference import Reference
from app.clients.alien4cloud.statuses import end_told_by
from app.domain import ExecutionStatus
from app.errors import Conflict

_DEPLOYMENT_ENDED = "The deployment ended before the execution did."


@dataclass(frozen=True, slots=True)
class Verdict:
    """A status to believe, and the reason where there is one to tell."""

    status: ExecutionStatus
    error: str | None = None


def lost_end(
    api: Alien4CloudApi,
    run: Run,
    reference: Reference,
    last_lines: Sequence[LogRecord],
    *,
    alive: bool,
) -> Verdict | None:
    """Find out whether an execution that Alien4Cloud shows as active has ended.

    Its last log lines tell it best; then whether its deployment lives; and one that is being
    cancelled is cancelled once more, which the orchestrator refuses when there is nothing left.

    Args:
        api: The calls.
        run: Alien4Cloud's record.
        reference: Where it runs.
        last_lines: Its last log entries, newest first.
        alive: Its deployment lives.

    Returns:
        How it ended, or None when nothing says that it has.

    Raises:
        UpstreamError: Alien4Cloud failed.
    """
    told = end_told_by(last_lines, reference.workflow)
    if told is not None:
        return Verdict(told)
    cancelling = run.status == "CANCELLING"
    if not alive:
        status = ExecutionStatus.CANCELLED if cancelling else ExecutionStatus.FAILED
        return Verdict(status, _DEPLOYMENT_ENDED)
    if cancelling and (run.ended_ms is not None or _is_over(api, reference)):
        return Verdict(ExecutionStatus.CANCELLED)
    return None


def _is_over(api: Alien4CloudApi, reference: Reference) -> bool:
    try:
        request(api, reference)
    except Conflict:
        return True
    return False


def failure(api: Alien4CloudApi, run: Run, failed_steps: list[str]) -> str:
    """Return why an execution failed: its record has no reason, only the log has.

    Raises:
        UpstreamError: Alien4Cloud failed.
    """
    where = f"Step '{failed_steps[0]}'" if failed_steps else "The workflow"
    page = api.logs([run.id], size=1, ascending=False, levels=["ERROR"])
    line = page.entries[0].content.strip().split("\n", 1)[0][:500] if page.entries else ""
    return f"{where} failed: {line}" if line else f"{where} failed; the log may tell why."
