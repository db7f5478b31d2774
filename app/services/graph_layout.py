"""Where the boxes of a graph stand, and how the lines between them run.

Layers by the longest path stand from left to right. Within each, eight sweeps put boxes near what
they are joined to, and the order with the fewest crossings is kept. A line that passes a layer has
a place of its own there, so it crosses no box. Lines from one box, or to one, share such places:
so there are no more of them than boxes times layers, however many lines there are.

It is pure, the same for the same graph, and bounded before anything is computed.
"""

from __future__ import annotations

import json
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from app.services.graph_folding import FOLDED_FROM, folds_of, in_order, layers_of

WIDTH: Final = 184
HEIGHT: Final = 44
"""Of a box, in pixels of a picture at its full size."""
BESIDE: Final = 64
"""Between layers."""
BELOW: Final = 16
"""Between boxes of one layer; a line keeps half of that from the next."""
MARGIN: Final = 12

MOST_BOXES: Final = 1000
MOST_LINES: Final = 4000
MOST_POINTS: Final = 30_000
"""Of all lines together."""
MOST_BENDS: Final = 10_000
"""Places of lines in layers that they pass."""
MOST_PASSES: Final = 200_000
"""The same, counted for each line that has it."""

_SWEEPS: Final = 8
_SETTLINGS: Final = 6

TOO_LARGE: Final = "too_large"


@dataclass(frozen=True, slots=True)
class Box:
    """One step, or several that are drawn as one.

    Attributes:
        steps: Their places among the steps.
        x: Of its left side.
        y: Of its upper side.
    """

    steps: tuple[int, ...]
    layer: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Line:
    """What joins two boxes.

    Attributes:
        source: Place of the box that is needed, among the boxes.
        target: Place of the one that needs it.
        points: Where it runs, from the right side of the one to the left side of the other. Between
            layers it goes up or down, through a layer level.
    """

    source: int
    target: int
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A graph as it is drawn.

    Attributes:
        boxes: By layer, and within one from top to bottom.
        lines: By source, then by target.
        width: Of the whole, in pixels.
        height: The same.
    """

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: int
    height: int


class TooLarge(Exception):
    """The graph has more boxes or lines than can be drawn."""


def laid_out(work: bytes) -> bytes:
    """Lay a graph out in a worker process.

    Args:
        work: JSON: what each step needs, by places; the steps whose boxes are opened; and whether
            there are boxes of several steps at all.

    Returns:
        What :func:`parsed` takes.
    """
    needs, opened, folded = json.loads(work)
    try:
        made = lay_out(needs, opened, folded=folded)
    except TooLarge:
        return json.dumps(TOO_LARGE).encode()
    boxes = [[box.steps, box.layer, box.x, box.y] for box in made.boxes]
    lines = [[line.source, line.target, line.points] for line in made.lines]
    return json.dumps([boxes, lines, made.width, made.height], separators=(",", ":")).encode()


def parsed(reply: bytes) -> Layout | None:
    """Read what :func:`laid_out` gave; None for a graph that is too large."""
    read = json.loads(reply)
    if read == TOO_LARGE:
        return None
    boxes, lines, width, height = read
    return Layout(
        tuple(Box(tuple(steps), layer, x, y) for steps, layer, x, y in boxes),
        tuple(Line(s, t, tuple((x, y) for x, y in points)) for s, t, points in lines),
        width,
        height,
    )


def lay_out(
    needs: Sequence[Sequence[int]], opened: Iterable[int] = (), *, folded: bool = True
) -> Layout:
    """Lay a graph out.

    Args:
        needs: The steps that each step waits for, by their places.
        opened: Steps whose box is drawn as its steps.
        folded: Whether steps of a large graph are drawn as one where they need the same.

    Raises:
        TooLarge: It cannot be drawn in the time that there is for it.
    """
    order, kept = in_order(needs)
    layers = layers_of(kept, order)
    if folded and len(kept) >= FOLDED_FROM:
        groups = folds_of(kept, layers, frozenset(opened))
    else:
        # Sorting keeps those of one layer in their order.
        groups = [[step] for step in sorted(range(len(kept)), key=layers.__getitem__)]
    if len(groups) > MOST_BOXES:
        raise TooLarge
    box_of = {step: box for box, steps in enumerate(groups) for step in steps}
    joined = {(box_of[need], box_of[step]) for step, needed in enumerate(kept) for need in needed}
    if len(joined) > MOST_LINES:
        raise TooLarge
    drawing = _Drawing([layers[steps[0]] for steps in groups], sorted(joined))
    return drawing.layout(groups)


class _Drawing:
    """Boxes and bends, which both have a place in their layer.

    Args:
        layers: Layer of each box.
        joined: Which boxes are joined.
    """

    def __init__(self, layers: Sequence[int], joined: Sequence[tuple[int, int]]) -> None:
        self._boxes = len(layers)
        self._layer = list(layers)
        self._joined = joined
        self._paths = self._route()
        self._before: list[list[int]] = [[] for _ in self._layer]
        self._behind: list[list[int]] = [[] for _ in self._layer]
        for a, b in sorted({pair for path in self._paths for pair in pairwise(path)}):
            self._behind[a].append(b)
            self._before[b].append(a)
        self._rows: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
        for item, layer in enumerate(self._layer):
            self._rows[layer].append(item)

    def _route(self) -> list[list[int]]:
        """Return the items of each line: its two boxes, and a bend in each layer between them."""
        leaving, reaching = [0] * self._boxes, [0] * self._boxes
        for source, target in self._joined:
            if self._layer[target] - self._layer[source] > 1:
                leaving[source] += 1
                reaching[target] += 1
        bends: dict[tuple[int, int], int] = {}
        passes = sum(self._layer[target] - self._layer[source] for source, target in self._joined)
        if passes > MOST_PASSES:
            raise TooLarge
        paths = []
        for source, target in self._joined:
            # The end that has more long lines has one way for all of them.
            way = source if leaving[source] >= reaching[target] else ~target
            path = [source]
            for layer in range(self._layer[source] + 1, self._layer[target]):
                if (way, layer) not in bends:
                    bends[way, layer] = len(self._layer)
                    self._layer.append(layer)
                    if len(bends) > MOST_BENDS:
                        raise TooLarge
                path.append(bends[way, layer])
            paths.append([*path, target])
        return paths

    def layout(self, groups: Sequence[Sequence[int]]) -> Layout:
        """Order the rows, settle all items, and return boxes and lines.

        Args:
            groups: The steps of each box.
        """
        self._order()
        heights = self._settle()
        lowest = min(map(self._top, heights, range(len(heights))), default=0)
        y = [height - lowest + MARGIN for height in heights]
        shown = [item for row in self._rows for item in row if item < self._boxes]
        place = {item: number for number, item in enumerate(shown)}
        boxes = tuple(
            Box(tuple(groups[i]), self._layer[i], self._x(i), y[i] - HEIGHT // 2) for i in shown
        )
        lines = sorted(
            (place[path[0]], place[path[-1]], self._points(path, y)) for path in self._paths
        )
        if sum(len(points) for _, _, points in lines) > MOST_POINTS:
            raise TooLarge
        width = len(self._rows) * (WIDTH + BESIDE) - BESIDE + 2 * MARGIN if shown else 2 * MARGIN
        bottoms = (at + (HEIGHT // 2 if i < self._boxes else 0) for i, at in enumerate(y))
        height = max(bottoms, default=MARGIN) + MARGIN
        return Layout(boxes, tuple(Line(*line) for line in lines), width, height)

    def _x(self, item: int) -> int:
        return MARGIN + self._layer[item] * (WIDTH + BESIDE)

    def _top(self, height: int, item: int) -> int:
        return height - (HEIGHT // 2 if item < self._boxes else 0)

    def _points(self, path: Sequence[int], y: Sequence[int]) -> tuple[tuple[int, int], ...]:
        points = [(self._x(path[0]) + WIDTH, y[path[0]])]
        for bend in path[1:-1]:
            points += [(self._x(bend), y[bend]), (self._x(bend) + WIDTH, y[bend])]
        points.append((self._x(path[-1]), y[path[-1]]))
        between = zip(points, points[1:], points[2:], strict=False)
        turns = [here for (_, a), here, (_, b) in between if not a == here[1] == b]
        return (points[0], *turns, points[-1])

    def _order(self) -> None:
        """Sweep to and fro, and keep the order with the fewest crossings."""
        best, fewest = self._rows, self._crossings(self._rows)
        if not fewest:
            return
        rows = [list(row) for row in self._rows]
        place = [0.0] * len(self._layer)
        for row in rows:
            _number(row, place)
        for sweep in range(_SWEEPS):
            forth = sweep % 2 == 0
            joints = self._before if forth else self._behind
            for row in rows if forth else reversed(rows):
                row.sort(key={i: _mean(joints[i], place, place[i]) for i in row}.__getitem__)
                _number(row, place)
            if forth:  # each second order is looked at: counting takes as long as sweeping
                continue
            found = self._crossings(rows)
            if found < fewest:
                best, fewest = [list(row) for row in rows], found
            if not fewest:
                break
        self._rows = best

    def _crossings(self, rows: Sequence[Sequence[int]]) -> int:
        """Count the pairs of lines that cross between two layers."""
        place = [0.0] * len(self._layer)
        for row in rows:
            _number(row, place)
        count = 0
        for row in rows:
            seen: list[float] = []
            for item in row:
                # In this order lines that end at, or begin in, the same item are none that cross.
                for end in sorted([place[other] for other in self._behind[item]]):
                    count += len(seen) - bisect_right(seen, end)
                    insort(seen, end)
        return count

    def _settle(self) -> list[int]:
        """Put each item as near to the middle of what it is joined to as the others let it."""
        offsets = [0.0] * len(self._layer)
        for row in self._rows:
            at = 0.0
            for i, item in enumerate(row):
                if i:
                    at += self._apart(row[i - 1], item)
                offsets[item] = at
        y = [0.0] * len(self._layer)
        for row in self._rows:
            middle = offsets[row[-1]] / 2
            for item in row:
                y[item] = offsets[item] - middle
        before, behind = self._pulls(self._before), self._pulls(self._behind)
        for number in range(_SETTLINGS):
            forth = number % 2 == 0
            joints = before if forth else behind
            for row in self._rows if forth else reversed(self._rows):
                wanted = [_mean(joints[i], y, y[i]) - offsets[i] for i in row]
                for item, level in zip(row, _rising(wanted), strict=True):
                    y[item] = level + offsets[item]
        return [round(height) for height in y]

    def _pulls(self, joints: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        """Return what each item is to be level with: its own kind, where it is joined to that.

        Else a chain beside a long line would be drawn a bit lower with each of its boxes.
        """
        most = self._boxes
        own = ([j for j in to if (j < most) == (i < most)] for i, to in enumerate(joints))
        return [alike or to for alike, to in zip(own, joints, strict=True)]

    def _apart(self, above: int, below: int) -> int:
        """Return how far two neighbours are apart, from middle to middle."""
        boxes = (above < self._boxes) + (below < self._boxes)
        return boxes * (HEIGHT // 2) + (BELOW if boxes else BELOW // 2)


def _number(row: Sequence[int], place: list[float]) -> None:
    for number, item in enumerate(row):
        place[item] = float(number)


def _mean(items: Sequence[int], places: Sequence[float], otherwise: float) -> float:
    if not items:
        return otherwise
    if len(items) == 1:
        return places[items[0]]
    return sum([places[item] for item in items]) / len(items)


def _rising(wanted: Sequence[float]) -> list[float]:
    """Return the numbers nearest to some, by least squares, of which none is below the last."""
    blocks: list[tuple[float, int]] = []
    for value in wanted:
        total, count = value, 1
        while blocks and blocks[-1][0] * count >= total * blocks[-1][1]:
            before, many = blocks.pop()
            total, count = total + before, count + many
        blocks.append((total, count))
    return [total / count for total, count in blocks for _ in range(count)]
