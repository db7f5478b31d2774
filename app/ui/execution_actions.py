"""What the buttons of one execution ask for: the same services as behind the root API."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from flask import Blueprint, Response

from app.domain import Execution, Permission
from app.errors import (
    CapabilityMissing,
    Conflict,
    FieldError,
    InvalidRequest,
    LimitExceeded,
    NodesMissing,
    SlipwayError,
)
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.services.tasks import Asked
from app.ui._execution_page import page_of
from app.ui._forms import Notice, faults_by_field, posted, refused, see_other
from app.ui._render import page

blueprint = Blueprint("execution_actions", __name__)

_ONE: Final = "/executions/<string:execution_id>"
_LONGEST_KEY: Final = 100
_DIGITS: Final = 9
_REFUSALS: Final = (Conflict, CapabilityMissing, InvalidRequest, LimitExceeded, NodesMissing)
"""What the page itself tells, beside the button."""


@blueprint.get(f"{_ONE}/cancel")
@permission(Permission.EXECUTIONS_CANCEL)
def ask_cancel(execution_id: str) -> Response:
    """Ask whether it is to be cancelled."""
    return _question(execution_id, "cancel")


@blueprint.post(f"{_ONE}/cancel")
@permission(Permission.EXECUTIONS_CANCEL, form=True)
def cancel(execution_id: str) -> Response:
    """Cancel it."""
    return _done(execution_id, services().steering.cancel, "Its end was asked for.")


@blueprint.post(f"{_ONE}/pause")
@permission(Permission.EXECUTIONS_STEER, form=True)
def pause(execution_id: str) -> Response:
    """Pause it."""
    return _done(execution_id, services().steering.pause, "It is paused.")


@blueprint.post(f"{_ONE}/resume")
@permission(Permission.EXECUTIONS_STEER, form=True)
def resume(execution_id: str) -> Response:
    """Let it go on."""
    return _done(execution_id, services().steering.resume, "It goes on.")


@blueprint.get(f"{_ONE}/abandon")
@permission(Permission.EXECUTIONS_ABANDON)
def ask_abandon(execution_id: str) -> Response:
    """Ask whether it is to be ended by decree."""
    return _question(execution_id, "abandon")


@blueprint.post(f"{_ONE}/abandon")
@permission(Permission.EXECUTIONS_ABANDON, form=True)
def abandon(execution_id: str) -> Response:
    """End it by decree."""
    return _done(execution_id, services().steering.abandon, "It counts as failed.")


@blueprint.get(f"{_ONE}/purge")
@permission(Permission.EXECUTIONS_PURGE)
def ask_purge(execution_id: str) -> Response:
    """Ask whether it is to be removed for good."""
    return _question(execution_id, "purge")


@blueprint.post(f"{_ONE}/purge")
@permission(Permission.EXECUTIONS_PURGE, form=True)
def purge(execution_id: str) -> Response:
    """Remove it for good."""
    execution = services().executions.get(execution_id, caller())
    try:
        services().purging.purge(execution.id, caller())
    except _REFUSALS as exc:
        return _refused(execution, exc)
    return see_other("/ui/executions", Notice(f"{execution.awf_name} is purged."))


@blueprint.get(f"{_ONE}/scale")
@permission(Permission.EXECUTIONS_STEER)
def ask_scale(execution_id: str) -> Response:
    """Ask for another number of virtual users."""
    return _question(execution_id, "scale")


@blueprint.post(f"{_ONE}/scale")
@permission(Permission.EXECUTIONS_STEER, form=True)
def scale(execution_id: str) -> Response:
    """Let it have another number of virtual users."""
    execution = services().executions.get(execution_id, caller())
    text = posted("target_vus").strip()
    try:
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
            fault = FieldError("target_vus", "must be a whole number, 0 or more")
            raise InvalidRequest("The form has faults.", fields=(fault,))
        services().steering.scale(execution.id, int(text), caller())
    except _REFUSALS as exc:
        return refused(exc, partial(_question, execution.id, "scale", exc=exc))
    return see_other(_address(execution, "load"), Notice(f"{text} virtual users were asked for."))


@blueprint.post(f"{_ONE}/retry")
@cost(launches=True)
@permission(Permission.EXECUTIONS_STEER, action="executions:retry", form=True)
def retry(execution_id: str) -> Response:
    """Let what has ended go on in a new execution, and lead there."""
    execution = services().executions.get(execution_id, caller())
    try:
        made = services().tasks.retry(execution.id, caller(), key=_key())
    except _REFUSALS as exc:
        return _refused(execution, exc)
    return see_other(_address(made), Notice(f"This goes on from {execution.id[:8]}."))


@blueprint.post(f"{_ONE}/steps/start")
@cost(launches=True)
@permission(Permission.TASKS_STEER, action="tasks:start", form=True)
def start_step(execution_id: str) -> Response:
    """Let a step run that does not."""
    return _asked(execution_id, services().tasks.start)


@blueprint.post(f"{_ONE}/steps/restart")
@cost(launches=True)
@permission(Permission.TASKS_STEER, action="tasks:restart", form=True)
def restart_step(execution_id: str) -> Response:
    """Let a step run once more."""
    return _asked(execution_id, services().tasks.restart)


@blueprint.post(f"{_ONE}/steps/stop")
@permission(Permission.TASKS_STEER, action="tasks:stop", form=True)
def stop_step(execution_id: str) -> Response:
    """End a step."""
    execution = services().executions.get(execution_id, caller())
    try:
        step = _step()
        services().tasks.stop(execution.id, step, caller())
    except _REFUSALS as exc:
        return _refused(execution, exc)
    return see_other(_address(execution), Notice(f"The end of {step} was asked for."))


def _asked(execution_id: str, ask: Callable[..., Asked]) -> Response:
    execution = services().executions.get(execution_id, caller())
    try:
        step = _step()
        asked = ask(execution.id, step, caller(), key=_key())
    except _REFUSALS as exc:
        return _refused(execution, exc)
    where = f" here, which goes on from {execution.id[:8]}" if asked.is_new else ""
    return see_other(_address(asked.execution), Notice(f"A run of {step} was asked for{where}."))


def _step() -> str:
    """Return the name of the step that the form is about.

    Raises:
        InvalidRequest: It names none.
    """
    step = posted("step")
    if not step:
        fault = FieldError("step", "is missing")
        raise InvalidRequest("The form names no step.", fields=(fault,))
    return step


def _done(execution_id: str, act: Callable[..., None], said: str) -> Response:
    execution = services().executions.get(execution_id, caller())
    try:
        act(execution.id, caller())
    except _REFUSALS as exc:
        return _refused(execution, exc)
    return see_other(_address(execution), Notice(said))


def _refused(execution: Execution, exc: SlipwayError) -> Response:
    """Show the execution as it is now, and why that was refused."""
    latest = services().executions.get(execution.id, caller())
    return refused(
        exc, lambda status: page_of(latest, caller(), status=status, refusal=exc.message)
    )


def _question(
    execution_id: str, action: str, status: int = 200, exc: SlipwayError | None = None
) -> Response:
    """Show a page that asks; where it was answered wrongly, what was wrong."""
    execution = services().executions.get(execution_id, caller())
    faults = {} if exc is None else faults_by_field(exc)
    refusal = "" if exc is None or faults else exc.message
    title = f"{action.capitalize()} {execution.id[:8]}"
    context = {"execution": execution, "action": action, "refusal": refusal, "faults": faults}
    return page(
        "execution_confirm.html", title=title, current="/ui/executions", status=status, **context
    )


def _address(execution: Execution, view: str = "") -> str:
    return f"/ui/executions/{execution.id}" + (f"?view={view}" if view else "")


def _key() -> str | None:
    """Return the key that the server wrote into the form: sent twice, it is done once."""
    return posted("key")[:_LONGEST_KEY] or None
