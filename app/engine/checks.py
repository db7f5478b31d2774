"""What must hold between the parts of a definition, and its schema cannot say.

The checks look at a document of which nothing is certain, so that an author learns all faults at
once: what has not the right shape is the schema's to report, and is passed over here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final

from app import json_schema
from app.documents import strings
from app.domain import JSON
from app.engine import argument_space, expressions, foreach, graph, literals, resources
from app.engine.faults import Fault, Path
from app.engine.model import TEMPLATES, Preparation, StepType, StreamFile, input_variable
from app.engine.schema import INPUT_TYPES
from app.inputs import MAX_TEXT_BYTES
from app.values import to_text

Document = Mapping[str, JSON]

MAX_EXPRESSIONS_LENGTH: Final = 256 * 1024
"""Characters of all expressions of a definition that are more than a reference."""


def input_schema(words: Mapping[str, JSON]) -> dict[str, JSON]:
    """Take the JSON Schema of an input's value out of the words of its definition."""
    about = {"default", "description", "required", literals.WORD}
    return {"type": "string"} | {word: words[word] for word in words if word not in about}


def violations(document: Document) -> Iterator[Fault]:
    """Find the faults in inputs, files, graph and expressions of a definition's document."""
    yield from _input_faults(_mapping(document.get("inputs")))
    yield from _file_faults(_mapping(document.get("files")))
    yield from _step_faults(document)
    for index, step in _steps(document):
        yield from argument_space.violations(step, ("steps", index))
        asked = _mapping(step.get("resources"))
        yield from resources.violations(asked, ("steps", index, "resources"))
        for field in ("stage_in", "stage_out", *StreamFile, *Preparation):
            if field in step and step.get("type") == StepType.HTTP:
                yield Fault(("steps", index, str(field)), "is not for steps of type http")
    yield from foreach.violations(_steps(document), _mapping(document.get("inputs")))
    yield from _stream_faults(document)
    yield from _expression_faults(document)
    yield from literals.violations(document)


def _input_faults(inputs: Mapping[str, JSON]) -> Iterator[Fault]:
    names: dict[str, str] = {}
    for name, words in inputs.items():
        path = ("inputs", name)
        other = names.setdefault(input_variable(name), name)
        if other != name:
            variable = input_variable(name)
            yield Fault(path, f"has the same environment variable as '{other}': {variable}")
        if isinstance(words, dict):
            yield from _value_faults(words, path)


def _value_faults(words: Mapping[str, JSON], path: Path) -> Iterator[Fault]:
    value_type, schema = words.get("type", "string"), input_schema(words)
    del schema["type"]
    faults = list(json_schema.schema_violations(schema, path))
    yield from faults
    if faults or value_type not in INPUT_TYPES:
        return
    schema["type"] = value_type
    if "default" in words:
        yield from json_schema.violations(schema, words["default"], (*path, "default"))
        if len(to_text(words["default"]).encode()) > MAX_TEXT_BYTES:  # as of what is launched with
            longest = f"{MAX_TEXT_BYTES // 1024} KiB as text"
            yield Fault((*path, "default"), f"must not be longer than {longest}")
    for index, choice in enumerate(schema.pop("enum", ())):
        yield from json_schema.violations(schema, choice, (*path, "enum", index))


def _file_faults(files: Mapping[str, JSON]) -> Iterator[Fault]:
    for name in files:
        for parent in PurePosixPath(name).parents:
            if str(parent) in files:
                yield Fault(("files", name), f"lies below '{parent}', which is a file too")


def _step_faults(document: Document) -> Iterator[Fault]:
    places: dict[str, int] = {}
    for index, step in _steps(document):
        first = places.setdefault(step["id"], index)
        if first != index:
            yield Fault(("steps", index, "id"), f"is the id of steps[{first}] too")
    for index, step in _steps(document):
        for place, need in enumerate(_list(step.get("needs"))):
            path: Path = ("steps", index, "needs", place)
            if need == step["id"]:
                yield Fault(path, "a step cannot need itself")
            elif isinstance(need, str) and need not in places:
                yield Fault(path, f"there is no step '{need}'")
    cycle = graph.find_cycle(_needs(document))
    if cycle:
        path = ("steps", places[cycle[0]], "needs")
        yield Fault(path, f"the steps need each other: {' -> '.join(cycle)}")


def _stream_faults(document: Document) -> Iterator[Fault]:
    """Find files that two streams would take from each other; the two of a step may share one."""
    taken: dict[str, tuple[int, StreamFile]] = {}
    alike = foreach.SharedFiles()
    for index, step in _steps(document):
        for field in StreamFile:
            path = step.get(field)
            if not isinstance(path, str):
                continue
            if path not in taken:
                taken[path] = taken.get(alike.add(path), (index, field))
            place, other = taken[path]
            shared = place == index and StreamFile.CAPTURE not in (field, other)
            if (place, other) != (index, field) and not shared:
                text = f"is the file of steps[{place}].{other} too"
                yield Fault(("steps", index, str(field)), text)


def _expression_faults(document: Document) -> Iterator[Fault]:
    inputs, needs = _mapping(document.get("inputs")), _needs(document)
    check = partial(expressions.check, inputs=inputs, steps=needs)
    waiting = graph.Waiting(needs)
    length = 0
    for path, template, step, beside in _templates(document):
        length += expressions.length(template)
        if length > MAX_EXPRESSIONS_LENGTH:
            bound = f"{MAX_EXPRESSIONS_LENGTH:,} characters"
            yield Fault(path, f"the expressions of a definition may have {bound} together")
            return
        ended = partial(waiting.waits_for, step) if step else lambda _: True
        yield from (Fault(path, fault) for fault in check(template, ended=ended, beside=beside))


def _templates(document: Document) -> Iterator[tuple[Path, str, str, tuple[str, ...]]]:
    """Return the texts in which expressions are evaluated, with their paths and steps.

    Beside these stands what else they may refer to.
    """
    for index, step in _steps(document):
        words = foreach.words(step)
        for path, template in _step_templates(step, ("steps", index)):
            yield path, template, step["id"], words
        for path, template in strings(step.get("foreach"), ("steps", index, "foreach")):
            yield path, template, step["id"], ()
    for path, template in _output_templates(_mapping(document.get("outputs"))):
        yield path, template, "", ()


def _step_templates(step: Mapping[str, JSON], path: Path) -> Iterator[tuple[Path, str]]:
    """Return the texts of a step in which expressions are evaluated, with their paths."""
    yield from strings(_mapping(step.get("env")), (*path, "env"))
    config = _mapping(step.get("config"))
    for field in TEMPLATES.get(str(step.get("type")), ()):
        yield from strings(config.get(field), (*path, "config", field))


def _output_templates(outputs: Mapping[str, JSON]) -> Iterator[tuple[Path, str]]:
    for name, output in outputs.items():
        if isinstance(output, dict):
            yield from strings(output.get("value"), ("outputs", name, "value"))
        else:
            yield from strings(output, ("outputs", name))


def _needs(document: Document) -> graph.Needs:
    """The graph as far as it is sound: known steps, none of which needs itself."""
    steps: dict[str, list[JSON]] = {}
    for _, step in _steps(document):
        steps.setdefault(step["id"], _list(step.get("needs")))
    return {
        name: [need for need in needs if isinstance(need, str) and need in steps and need != name]
        for name, needs in steps.items()
    }


def _steps(document: Document) -> list[tuple[int, dict[str, Any]]]:
    """The steps that have a name, with their places."""
    return [
        (index, step)
        for index, step in enumerate(_list(document.get("steps")))
        if isinstance(step, dict) and isinstance(step.get("id"), str)
    ]


def _mapping(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, dict) else {}


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
