"""Steps that run once for each element of a list: what they must say, and what becomes of them.

Paths hold no expressions, so that whoever launches a workflow cannot choose them. The index of an
element is the exception: it is a number that we made, and without it all elements would have the
same files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from app.documents import strings
from app.domain import JSON
from app.elements import name_of
from app.engine import expressions
from app.engine.evaluation.budget import Budget
from app.engine.faults import Fault, Path
from app.engine.model import MAX_STEPS, Element, StepDefinition, StreamFile
from app.errors import InvalidRequest
from app.values import to_json

INDEX: Final = "index"
"""What expressions call the place of an element."""

PATHS: Final = ("working_dir", "stage_in", "stage_out", *StreamFile)
"""Fields of a step that may hold the index of an element."""

_OWN: Final = ("stage_out", *StreamFile)
"""Those whose files are written, so that two elements must not have the same."""
MAX_GATHERED_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of the outputs of all elements of a step together, where somebody refers to them."""

_WORDS: Final = ("max_parallel", "item")
_INDEX: Final = re.compile(r"\$\{\{\s*index\s*\}\}")
_SAME_FILE: Final = "must hold '${{ index }}', or all elements would write the same file"
_NUMBERS: Final = re.compile(r"((?:[0-9]|\$\{\{\s*index\s*\}\})+)")


def words(step: Mapping[str, JSON]) -> tuple[str, ...]:
    """Return what else the expressions of a step's document may refer to."""
    if "foreach" not in step:
        return ()
    item = step.get("item", "item")
    return (item, INDEX) if isinstance(item, str) else (INDEX,)


def holds_index(path: str) -> bool:
    """Return whether a path of a step holds the index of an element."""
    return _INDEX.search(path) is not None


def without_index(text: str) -> str:
    """Return a path of a step that runs for elements, with a number in the place of the index."""
    return _INDEX.sub("0", text)


def element_of(step: StepDefinition, index: int, value: JSON) -> StepDefinition:
    """Return what the task of one element of a step does.

    Args:
        step: The step.
        index: The place of the element.
        value: The element.
    """

    def placed(path: str) -> str:
        return _INDEX.sub(str(index), path)

    return replace(
        step,
        id=name_of(step.id, index),
        needs=(),
        working_dir=placed(step.working_dir),
        stage_in=tuple(map(placed, step.stage_in)),
        stage_out=tuple(map(placed, step.stage_out)),
        stdout=placed(step.stdout),
        stderr=placed(step.stderr),
        capture=placed(step.capture),
        foreach=None,
        element=Element(step.id, index, step.foreach.item if step.foreach else "", value),
    )


def values_of(
    step: StepDefinition, context: Mapping[str, Any], most: int, room: int = MAX_STEPS
) -> list[JSON]:
    """Return the elements for which a step runs.

    Args:
        step: The step.
        context: What expressions may refer to.
        most: Most elements that it may have.
        room: How many more tasks the execution may have.

    Raises:
        InvalidRequest: There is no such list, or it is too long.
    """
    over = step.foreach.over if step.foreach else None
    try:
        values = expressions.evaluate(over, context, Budget())
    except InvalidRequest as exc:
        raise InvalidRequest(f"foreach: {exc.message}") from exc
    if not isinstance(values, list):
        raise InvalidRequest(f"foreach: must be a list, and is {_kind(values)}")
    if len(values) > most:
        text = f"foreach: has {len(values):,} elements, and may have {most:,} (engine.max_foreach)"
        raise InvalidRequest(text)
    if len(values) > room:
        bound = f"an execution may have {MAX_STEPS:,} tasks with all elements"
        raise InvalidRequest(f"foreach: has {len(values):,} elements, and {bound}")
    return values


def gathered(step: str, outputs: Iterable[Mapping[str, JSON] | None]) -> Mapping[str, JSON]:
    """Make of the outputs of all elements those of their step: a list for each key.

    Args:
        step: The step.
        outputs: Those of each element, in order; None of one that did not succeed.

    Returns:
        For each key the values, null where an element has none. Of no elements all are empty.

    Raises:
        InvalidRequest: They are too large.
    """
    each: list[Mapping[str, JSON]] = []
    size = 0
    for found in outputs:
        size += len(to_json(found)) if found else 0
        if size > MAX_GATHERED_BYTES:
            bound = f"{MAX_GATHERED_BYTES:,} bytes"
            raise InvalidRequest(f"The outputs of step '{step}' together are larger than {bound}.")
        each.append(found or {})
    keys = dict.fromkeys(key for found in each for key in found)
    lists: dict[str, JSON] = {key: [found.get(key) for found in each] for key in keys}
    return lists if each else _NoElements()


class _NoElements(dict[str, JSON]):
    """The outputs of no elements: whatever is asked for is an empty list."""

    def __missing__(self, key: str) -> JSON:
        return []


def violations(
    steps: list[tuple[int, dict[str, Any]]], inputs: Mapping[str, JSON]
) -> Iterator[Fault]:
    """Find what is wrong with the lists of a document's steps, and with the paths beside them.

    Args:
        steps: The steps, with their places.
        inputs: The inputs, by name.
    """
    elements = 0
    for index, step in steps:
        path: Path = ("steps", index)
        if "foreach" not in step:
            alone = [word for word in _WORDS if word in step]
            yield from (Fault((*path, word), "is for steps with 'foreach'") for word in alone)
            continue
        over = step["foreach"]
        yield from _list_faults(over, (*path, "foreach"), inputs)
        elements += len(over) if isinstance(over, list) else 0
        for field in _OWN:
            for at, text in strings(step.get(field), (*path, str(field))):
                if not holds_index(text):
                    yield Fault(at, _SAME_FILE)
    if elements and (tasks := len(steps) + elements) > MAX_STEPS:
        text = f"an execution may have {MAX_STEPS:,} tasks with all elements, and has {tasks:,}"
        yield Fault(("steps",), text)


def _list_faults(over: JSON, path: Path, inputs: Mapping[str, JSON]) -> Iterator[Fault]:
    if not isinstance(over, str):
        return
    if not expressions.is_whole(over):
        yield Fault(path, "must be a list, or one expression '${{ ... }}' whose value is one")
        return
    words = inputs.get(expressions.input_named(over) or "")
    if isinstance(words, Mapping) and (kind := words.get("type", "string")) != "array":
        yield Fault(path, f"must be a list, and that input is of type {kind}: it must be array")


class SharedFiles:
    """Knows which paths may be those of the same file, for some indices."""

    def __init__(self) -> None:
        self._plain: dict[str, list[str]] = {}
        self._placed: dict[str, list[str]] = {}

    def add(self, path: str) -> str:
        """Note a path; return the first of those before that may be the same file, or itself."""
        shape, placed = _NUMBERS.sub("#", path), holds_index(path)
        others = [*self._placed.get(shape, ()), *(self._plain.get(shape, ()) if placed else ())]
        (self._placed if placed else self._plain).setdefault(shape, []).append(path)
        return next((other for other in others if _same_file(path, other)), path)


def _same_file(path: str, other: str) -> bool:
    parts, others = _NUMBERS.split(path), _NUMBERS.split(other)
    return len(parts) == len(others) and all(
        one == two or (place % 2 == 1 and (holds_index(one) or holds_index(two)))
        for place, (one, two) in enumerate(zip(parts, others, strict=True))
    )


def _kind(value: JSON) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a text"
    return "an object" if isinstance(value, Mapping) else f"{str(value).lower()}"
