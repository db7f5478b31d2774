"""The picture of a graph: what ``_parts/graph.html`` draws."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from urllib.parse import quote

from app.domain import Task, TaskStatus
from app.services.graph_layout import HEIGHT, WIDTH, Layout, Line
from app.services.graphs import Graph, Missing, worst_of
from app.ui import _words
from app.ui._addresses import asking

ASKED_FROM: Final = 300
"""Boxes, or half as many as there are lines, from which one must ask for the picture."""

_LARGE: Final = 150
"""Boxes."""

_SHOWN: Final = 18
"""Characters of a name that fit into a box."""
_KEPT_END: Final = 6

Address = Callable[[str], str]
"""Makes an address of the name of a step, without the prefix that a proxy takes off."""


@dataclass(frozen=True, slots=True)
class Node:
    """One box.

    Attributes:
        name: Of its step; empty where it holds several.
        title: What it is called for people.
        label: The same, as far as there is room for it.
        steps: Names of its steps, as JSON.
        count: How many there are.
        state: Of the step, or the worst of several; empty where nothing was launched.
        remark: What is told beside the state.
        said: All of it in words, for those who do not see it.
        address: Where it leads; empty if nowhere.
    """

    name: str
    title: str
    label: str
    steps: str
    count: int
    state: str
    remark: str
    said: str
    address: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Edge:
    """One line.

    Attributes:
        source: Place of the node that is needed.
        target: Place of the node that needs it.
        path: As SVG writes it.
    """

    source: int
    target: int
    path: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph to be drawn.

    Attributes:
        steps: Number of all steps.
        missing: Why there is none, in words; empty where there is one.
        asks: It is drawn only for those who ask for it, since it is large.
        execution: Id of the execution whose tasks it shows live; empty where there is none.
        own_page: Address of the page that shows nothing else.
    """

    steps: int
    missing: str = ""
    asks: bool = False
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    width: int = 0
    height: int = 0
    box_width: int = WIDTH
    box_height: int = HEIGHT
    execution: str = ""
    own_page: str = ""

    def shown(self, *, folded: bool = True, draws: bool = False) -> str:
        """Return the address of its own page, with each step or drawn however large it is."""
        asked = asking(self.own_page, folded="" if folded else "no", draw="yes" if draws else "")
        return f"{asked}#graph"

    @property
    def is_large(self) -> bool:
        """Whether it does without what is slow to paint, and is drawn part by part."""
        return len(self.nodes) > _LARGE

    @property
    def has_folds(self) -> bool:
        """Whether a box holds several steps."""
        return any(node.count > 1 for node in self.nodes)


_MISSING: Final[Mapping[Missing, str]] = {
    Missing.UNKNOWN: "Which step waits for which is not known here.",
    Missing.TOO_LARGE: "There are too many steps for a picture.",
}


def workflow_picture(graph: Graph, own_page: str, *, draw: bool = False) -> Picture:
    """Make the picture of a workflow: its boxes lead nowhere, but for those of several steps.

    Args:
        graph: The graph.
        own_page: Address of the page that shows nothing else; empty where there is none.
        draw: Whether it is drawn however large it is.
    """
    return _picture(graph, lambda _: "", own_page, draw=draw)


def execution_picture(
    graph: Graph, execution_id: str, *, leads_to: Address | None = None, draw: bool = False
) -> Picture:
    """Make the picture of what was launched.

    Args:
        graph: The graph.
        execution_id: Id of the execution.
        leads_to: Where the box of a step leads; None for its log.
        draw: Whether it is drawn however large it is.
    """
    here = f"/ui/executions/{quote(execution_id, safe='')}"

    def log_of(step: str) -> str:
        return f"{here}/log?task={quote(step, safe='')}"

    return _picture(graph, leads_to or log_of, f"{here}/graph", draw=draw, execution=execution_id)


def _picture(
    graph: Graph, leads_to: Address, own_page: str, *, draw: bool, execution: str = ""
) -> Picture:
    number, layout = len(graph.steps), graph.layout
    tasks = {task.name: task for task in graph.tasks}
    if layout is None:
        words = _MISSING[graph.missing or Missing.UNKNOWN]
        return Picture(number, words, execution=execution, own_page=own_page)
    if not draw and (len(layout.boxes) > ASKED_FROM or len(layout.lines) > 2 * ASKED_FROM):
        return Picture(number, asks=True, execution=execution, own_page=own_page)
    return Picture(
        steps=number,
        nodes=_nodes(graph, layout, tasks, leads_to, own_page),
        edges=tuple(Edge(line.source, line.target, _path(line)) for line in layout.lines),
        width=layout.width,
        height=layout.height,
        execution=execution,
        own_page=own_page,
    )


def _nodes(
    graph: Graph,
    layout: Layout,
    tasks: Mapping[str, Task],
    leads_to: Address,
    own_page: str,
) -> tuple[Node, ...]:
    nodes = []
    for box in layout.boxes:
        held = [graph.steps[place] for place in box.steps]
        names = [step.name for step in held]
        found = [tasks.get(name) or Task(name, TaskStatus.PENDING) for name in names if tasks]
        if len(held) == 1:
            title = held[0].title or (tasks[names[0]].title if names[0] in tasks else None)
            shown = title or names[0]
            if number := graph.elements.get(names[0]):
                shown = f"{shown} \N{MULTIPLICATION SIGN}{number}"
            remark = remark_of(found[0]) if found else ""
            address = leads_to(names[0])
        else:
            shown = f"{len(held)} steps"
            remark = _counted(found)
            address = f"{asking(own_page, open=names[0])}#graph" if own_page else ""
        state = str(worst_of([task.status for task in found])) if found else ""
        nodes.append(
            Node(
                name=names[0] if len(held) == 1 else "",
                title=shown,
                label=shortened(shown),
                steps=json.dumps(names, ensure_ascii=False),
                count=len(held),
                state=state,
                remark=remark,
                said=_said(shown, state, remark, opens=len(held) > 1 and bool(address)),
                address=address,
                x=box.x,
                y=box.y,
            )
        )
    return tuple(nodes)


def remark_of(task: Task) -> str:
    """Return what is told beside the state of a task, such as ``exit 2``."""
    if task.status is TaskStatus.FAILED and task.exit_code is not None:
        return f"exit {task.exit_code}"
    if task.status is TaskStatus.RUNNING and task.attempts > 1:
        return f"attempt {task.attempts}"
    return ""


def shortened(text: str) -> str:
    """Shorten a name in its middle: what is alike in many begins alike."""
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN - _KEPT_END - 1]}\N{HORIZONTAL ELLIPSIS}{text[-_KEPT_END:]}"


def _counted(tasks: Sequence[Task]) -> str:
    """Return how many of several tasks have the worst of their states, such as ``3 of 200``."""
    if not tasks:
        return ""
    statuses = [task.status for task in tasks]
    return f"{statuses.count(worst_of(statuses))} of {len(tasks)}"


def _said(shown: str, state: str, remark: str, *, opens: bool) -> str:
    word = _words.STATUSES[state].text.lower() if state else ""
    parts = [shown, word, remark, "show each" if opens else ""]
    return ", ".join(part for part in parts if part)


def _path(line: Line) -> str:
    """Write a line: level through layers, and between them a curve that stays between them."""
    (x, y), *_ = line.points
    parts = [f"M{x} {y}"]
    for (left, above), (right, below) in pairwise(line.points):
        middle = (left + right) // 2
        parts.append(
            f"H{right}" if above == below else f"C{middle} {above} {middle} {below} {right} {below}"
        )
    return "".join(parts)
