"""What notebooks show: small, escaped, and without a request."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from slipway.models import ExecutionState, WorkflowDescription

_MOST_ROWS: Final = 20
_LONGEST: Final = 200


def _cell(text: object) -> str:
    from html import escape  # noqa: PLC0415  (most programs show nothing in a notebook)

    shown = str(text)
    return escape(shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…")


def execution(id_: str, seen: ExecutionState | None) -> str:
    """Show an execution: what runs, how far it is, and its steps."""
    if seen is None:
        return f"<p>Execution <code>{_cell(id_)}</code></p>"
    head = (
        f"<p>Execution <code>{_cell(id_)}</code> of <b>{_cell(seen.workflow_name or seen.workflow)}"
        f"</b>: {_cell(seen.state)} <progress max='1' value='{seen.progress:.3f}'></progress></p>"
    )
    error = f"<p>{_cell(seen.error)}</p>" if seen.error else ""
    return head + error + _table([(task.name, task.status) for task in seen.tasks or ()])


def workflow(reference: str, description: WorkflowDescription | None) -> str:
    """Show a workflow: what it does and takes."""
    if description is None:
        return f"<p>Workflow <b>{_cell(reference)}</b></p>"
    head = f"<p>Workflow <b>{_cell(description.name)}</b>: {_cell(description.description)}</p>"
    return head + _table([(i.name, i.type, i.description) for i in description.inputs])


def _table(rows: list[tuple[object, ...]]) -> str:
    lines = [
        f"<tr>{''.join(f'<td>{_cell(each)}</td>' for each in row)}</tr>"
        for row in rows[:_MOST_ROWS]
    ]
    if len(rows) > _MOST_ROWS:
        lines.append(f"<tr><td>… {len(rows) - _MOST_ROWS} more</td></tr>")
    return f"<table>{''.join(lines)}</table>" if rows else ""


def progress(id_: str) -> Callable[[ExecutionState], None] | None:
    """Return what shows in a notebook how far an execution is; None elsewhere.

    It is one output that changes, since widgets are lost when a notebook is saved.
    """
    display = _display()
    if display is None:
        return None
    handles: list[Any] = []

    def show(seen: ExecutionState) -> None:
        shown = _Html(execution(id_, seen))
        if handles:
            handles[0].update(shown)
        else:
            handles.append(display(shown, display_id=True))

    return show


class _Html:
    """What a notebook shows as it is."""

    def __init__(self, html: str) -> None:
        self._html = html

    def _repr_html_(self) -> str:
        return self._html


def _display() -> Any:
    """Return what shows something in the notebook in which this runs; None elsewhere."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return getattr(sys.modules.get("IPython.display"), "display", None)
