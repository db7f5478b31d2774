"""Graphs of steps on the wire."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import TaskStatus
from app.resources.root.examples import TASK
from app.services.graph_layout import HEIGHT, WIDTH
from app.services.graphs import Graph, Missing, worst_of

_PIXELS: Final = {"minimum": 0, "description": "In pixels of the picture at its full size"}
_STATUSES: Final = validate.OneOf([str(status) for status in TaskStatus])


class GraphBoxSchema(ma.Schema):
    """One step of a graph, or several that are drawn as one."""

    steps = fields.List(
        fields.String(metadata={"example": TASK}),
        required=True,
        metadata={"minItems": 1, "description": "Names; of several, they need the same"},
    )
    status = fields.String(
        validate=_STATUSES,
        metadata={"description": "Of an execution: the worst of its tasks"},
    )
    statuses = fields.Dict(
        keys=fields.String(validate=_STATUSES),
        values=fields.Integer(metadata={"minimum": 1}),
        metadata={"description": "Of an execution: how many of its tasks have which"},
    )
    elements = fields.Integer(
        metadata={
            "minimum": 1,
            "description": "Of steps that run for each element of a list: how many these are",
        },
    )
    layer = fields.Integer(
        required=True,
        metadata={"minimum": 0, "description": "Its column, from the left"},
    )
    x = fields.Integer(required=True, metadata=_PIXELS)
    y = fields.Integer(required=True, metadata=_PIXELS)


class GraphLineSchema(ma.Schema):
    """What joins two boxes of a graph."""

    source = fields.Integer(
        required=True, metadata={"minimum": 0, "description": "Place among the boxes, from 0"}
    )
    target = fields.Integer(
        required=True, metadata={"minimum": 0, "description": "The box that needs the other"}
    )
    points = fields.List(
        fields.List(fields.Integer(), metadata={"minItems": 2, "maxItems": 2}),
        required=True,
        metadata={
            "minItems": 2,
            "description": "Where it runs, each an x and a y; it goes through no box",
        },
    )


class GraphSchema(ma.Schema):
    """A graph of steps, as it is drawn."""

    missing = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf([str(reason) for reason in Missing]),
        metadata={
            "description": "Why there is nothing to draw: it is not known which step waits for "
            "which, or there are too many; null where there is"
        },
    )
    steps = fields.Integer(
        required=True, metadata={"minimum": 0, "description": "Number of all steps"}
    )
    width = fields.Integer(required=True, metadata=_PIXELS)
    height = fields.Integer(required=True, metadata=_PIXELS)
    box_width = fields.Integer(required=True, metadata=_PIXELS)
    box_height = fields.Integer(required=True, metadata=_PIXELS)
    boxes = fields.List(fields.Nested(GraphBoxSchema), required=True)
    lines = fields.List(fields.Nested(GraphLineSchema), required=True)


def graph_json(graph: Graph) -> dict[str, Any]:
    """Write a graph."""
    layout = graph.layout
    names = [step.name for step in graph.steps]
    statuses = {task.name: task.status for task in graph.tasks}
    boxes = []
    for drawn in layout.boxes if layout else ():
        held = [names[step] for step in drawn.steps]
        told: dict[str, Any] = {"steps": held}
        if statuses:
            found = [statuses.get(name, TaskStatus.PENDING) for name in held]
            told |= {"status": worst_of(found), "statuses": dict(Counter(found))}
        if elements := sum(graph.elements.get(name, 0) for name in held):
            told["elements"] = elements
        boxes.append({**told, "layer": drawn.layer, "x": drawn.x, "y": drawn.y})
    lines = [
        {"source": line.source, "target": line.target, "points": line.points}
        for line in (layout.lines if layout else ())
    ]
    return {
        "missing": graph.missing,
        "steps": len(names),
        "width": layout.width if layout else 0,
        "height": layout.height if layout else 0,
        "box_width": WIDTH,
        "box_height": HEIGHT,
        "boxes": boxes,
        "lines": lines,
    }
