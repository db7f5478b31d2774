"""The page of one execution: what decides, and one of its views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from flask import Response, request

from app.domain import Execution, Identity
from app.resources._context import services
from app.ui._graph import execution_picture
from app.ui._one_execution import around, of_task, steps_of
from app.ui._render import page
from app.ui._timeline import timeline_of
from app.ui._values import shown_values

Make = Callable[[Execution, Identity], dict[str, Any]]

FIRST: Final = "steps"
_MOST_PAGES: Final = 10_000


def page_of(
    execution: Execution, identity: Identity, *, status: int = 200, **more: Any
) -> Response:
    """Answer with the page of an execution.

    Args:
        execution: The execution.
        identity: Who looks at it.
        status: Status of the answer.
        more: What else the page shows, such as why something was refused.
    """
    context = {"refusal": "", "faults": {}, **around(execution, identity), **more}
    view = request.args.get("view", FIRST)
    if view not in VIEWS or (view == "load" and not context["measures"]):
        view = FIRST
    context |= {"view": view, **VIEWS[view](execution, identity)}
    title = f"{execution.workflow_name} {execution.id[:8]}"
    return page("execution.html", title=title, current="/ui/executions", status=status, **context)


def _steps(execution: Execution, identity: Identity) -> dict[str, Any]:
    tasks = services().executions.tasks_of(execution)
    number = request.args.get("page", 1, type=int)
    hides_done = request.args.get("done") == "hidden"
    name = request.args.get("step")
    step = next((task for task in tasks if task.name == name), None)
    return {
        "steps": steps_of(tasks, page=min(number, _MOST_PAGES), hides_done=hides_done),
        "step": step,
        "step_choices": {} if step is None else of_task(execution, step, identity),
    }


def _graph(execution: Execution, identity: Identity) -> dict[str, Any]:
    graph = services().graphs.of_launched(execution, identity)
    return {"picture": execution_picture(graph, execution.id)}


def _timeline(execution: Execution, _identity: Identity) -> dict[str, Any]:
    known = services().executions
    tasks, attempts = known.tasks_of(execution), known.attempts_of(execution)
    return {"times": timeline_of(execution, tasks, attempts)}


def _inputs(execution: Execution, _identity: Identity) -> dict[str, Any]:
    return {"values": shown_values(execution.inputs)}


def _outputs(execution: Execution, _identity: Identity) -> dict[str, Any]:
    return {"values": shown_values(execution.outputs)}


def _load(execution: Execution, _identity: Identity) -> dict[str, Any]:
    return {"load": services().load_metrics.of(execution)}


VIEWS: Final[Mapping[str, Make]] = MappingProxyType(
    {
        "steps": _steps,
        "graph": _graph,
        "timeline": _timeline,
        "inputs": _inputs,
        "outputs": _outputs,
        "load": _load,
    }
)
"""The views of an execution, by the name that addresses give them, in the order of the tabs."""
