"""What must hold between the parts of a document that defines what virtual users do.

As :mod:`app.engine.checks` does, these look at a document of which nothing is certain: what has not
the right shape is the schema's to report, and is passed over here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from app.documents import Fault, Path
from app.domain import JSON
from app.load import literals, options
from app.load.conditions import compile_condition
from app.load.definition import StepType
from app.load.schema import BODY_TYPES, FORM_FIELDS, MAX_STEPS, check_path, check_url
from app.load.templates import names_within
from app.load.thresholds import ThresholdFault, parse_threshold

MAX_NESTING: Final = 10
"""Deepest nesting of conditions and loops."""

MAX_REFERENCES: Final = 10_000
"""Most references of a definition. A slave prepares them all, while other executions run on it."""

MAX_CONDITIONS_LENGTH: Final = 128 * 1024
"""Longest conditions of a definition, all together, in characters."""

Document = Mapping[str, JSON]

_OF_ONE_TYPE: Final = {
    "preProcessors": StepType.HTTP,
    "postProcessors": StepType.HTTP,
    "branches": StepType.CONDITION,
    "children": StepType.CONDITION,
    "loop": StepType.LOOP,
}
_NEEDS_CONFIG: Final = (StepType.HTTP, StepType.SCRIPT)
_LOOP_FIELDS: Final = {"for": "count", "foreach": "items", "while": "condition"}
_PARTS: Final = ("jsonpath", "header")


class Placed(NamedTuple):
    """A step, or a branch, of a document.

    Attributes:
        depth: How deep it is nested.
        after_condition: Whether the step in front of it, in the same list, is a condition.
    """

    path: Path
    content: Mapping[str, Any]
    depth: int
    after_condition: bool = False


def violations(document: Document) -> Iterator[Fault]:
    """Find what a schema cannot say."""
    steps = list(_steps(document.get("steps"), ("steps",)))
    if len(steps) > MAX_STEPS:
        yield Fault(("steps",), f"must be at most {MAX_STEPS} steps, nested ones included")
    yield from _length_faults(document, steps)
    top = _list(document.get("steps"))
    if top and all(_mapping(step).get("disabled") is True for step in top):
        yield Fault(("steps",), "must not all be disabled: there would be nothing to run")
    yield from _id_faults(steps)
    for step in steps:
        yield from _step_faults(step)
    for holder, path in [(document, ()), *((step.content, step.path) for step in steps)]:
        yield from _hook_faults(holder, path)
    yield from literals.violations(document)
    asked = _mapping(document.get("options"))
    yield from options.violations(asked, ("options",))
    yield from _threshold_faults(asked, {step.content.get("id") for step in steps})


def _steps(steps: JSON, path: Path, depth: int = 0) -> Iterator[Placed]:
    """Return the steps of a list and those within them, as deep as they may be."""
    after_condition = False
    for index, step in enumerate(_list(steps)):
        if not isinstance(step, dict):
            continue
        place = (*path, index)
        yield Placed(place, step, depth, after_condition)
        after_condition = step.get("type") == StepType.CONDITION
        if depth <= MAX_NESTING:
            yield from _inner_steps(step, place, depth + 1)


def _inner_steps(step: Mapping[str, Any], path: Path, depth: int) -> Iterator[Placed]:
    yield from _steps(step.get("children"), (*path, "children"), depth)
    yield from _steps(_mapping(step.get("loop")).get("steps"), (*path, "loop", "steps"), depth)
    for index, branch in enumerate(_list(step.get("branches"))):
        inner = _mapping(branch).get("steps")
        yield from _steps(inner, (*path, "branches", index, "steps"), depth)


def _length_faults(document: Document, steps: list[Placed]) -> Iterator[Fault]:
    references = names_within(dict(document))
    if next(islice(references, MAX_REFERENCES, None), None) is not None:
        yield Fault((), f"must have at most {MAX_REFERENCES:,} references such as ${{name}}")
    length = sum(len(text) for step in steps for text in _conditions(step.content))
    if length > MAX_CONDITIONS_LENGTH:
        yield Fault(("steps",), f"must have conditions of at most {MAX_CONDITIONS_LENGTH:,} "
                    "characters in all")  # fmt: skip


def _conditions(step: Mapping[str, Any]) -> Iterator[str]:
    loop = _mapping(step.get("loop"))
    holders = [_mapping(step.get("config")), *map(_mapping, _list(step.get("branches")))]
    found = [holder.get("expression") for holder in holders]
    found += [loop.get(f"{name}condition") for name in ("", "break_", "continue_")]
    return (text for text in found if isinstance(text, str))


def _id_faults(steps: list[Placed]) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, content, *_ in steps:
        name = content.get("id")
        if isinstance(name, str) and name in seen:
            yield Fault((*path, "id"), f"another step has the id '{name}'")
        elif isinstance(name, str):
            seen.add(name)


def _step_faults(step: Placed) -> Iterator[Fault]:
    path, content, depth, _ = step
    kind = content.get("type")
    if depth > MAX_NESTING:
        yield Fault(path, f"is nested more than {MAX_NESTING} levels deep")
    for field, only in _OF_ONE_TYPE.items():
        if field in content and kind != only:
            yield Fault((*path, field), f"is for steps of type {only}")
    if kind in _NEEDS_CONFIG and "config" not in content:
        yield Fault((*path, "config"), "is required")
    if kind == StepType.HTTP:
        yield from _http_faults(_mapping(content.get("config")), (*path, "config"))
        for field in ("preProcessors", "postProcessors"):
            for index, processor in enumerate(_list(content.get(field))):
                yield from _processor_faults(_mapping(processor), (*path, field, index))
        yield from _too_early(_list(content.get("preProcessors")), (*path, "preProcessors"))
    elif kind == StepType.CONDITION:
        yield from _branch_faults(step)
    elif kind == StepType.LOOP:
        yield from _loop_faults(content, path)


def _hook_faults(holder: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    for name in ("pre_hook", "post_hook"):
        hook = _mapping(holder.get(name))
        if hook.get("type") == StepType.HTTP:
            yield from _http_faults(_mapping(hook.get("config")), (*path, name, "config"))


def _http_faults(config: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    url, base = config.get("url"), config.get("domain_base_url")
    if isinstance(url, str) and (not base or url.lower().startswith(("http://", "https://"))):
        yield from _unless(check_url, url, (*path, "url"))
    if "params" in config and "query" in config:
        yield Fault((*path, "query"), "is another name of 'params', which is there as well")
    tls = _mapping(config.get("ssl"))
    if ("cert" in tls) != ("key" in tls):
        yield Fault((*path, "ssl"), "must have 'cert' and 'key' together")
    yield from _body_faults(_mapping(config.get("body")), (*path, "body"))


def _body_faults(body: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    kind = body.get("type")
    if kind not in BODY_TYPES:
        return
    wanted = FORM_FIELDS.get(kind, "raw")
    for field in ("raw", "formData", "urlencoded"):
        if field in body and field != wanted:
            yield Fault((*path, field), f"is not for bodies of type {kind}")
    raw = body.get("raw")
    if kind != "json" and raw is not None and not isinstance(raw, str):
        yield Fault((*path, "raw"), "must be a string")


def _processor_faults(processor: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    config, kind = _mapping(processor.get("config")), processor.get("type")
    if kind in {"js_script", "set_variable", "assertion", "extract_param"} and (
        "config" not in processor
    ):
        yield Fault((*path, "config"), "is required")
    elif kind == "assertion":
        yield from _assertion_faults(config, (*path, "config"))
    elif kind == "extract_param" and config.get("extractType") == "jsonpath":
        yield from _unless(check_path, config.get("expression"), (*path, "config", "expression"))


def _assertion_faults(config: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    kind, expression = config.get("assertType"), config.get("expression", "")
    if kind in _PARTS and not expression:
        yield Fault((*path, "expression"), f"is required for assertions of type {kind}")
    elif kind == "jsonpath":
        yield from _unless(check_path, expression, (*path, "expression"))
    elif expression and kind not in _PARTS:
        yield Fault((*path, "expression"), f"is not for assertions of type {kind}")
    if "expected" not in config:
        yield Fault((*path, "expected"), "is required")


def _too_early(processors: list[JSON], path: Path) -> Iterator[Fault]:
    for index, processor in enumerate(processors):
        kind = _mapping(processor).get("type")
        if kind in {"assertion", "extract_param"}:
            yield Fault((*path, index, "type"), f"{kind} needs an answer: use postProcessors")


def _branch_faults(step: Placed) -> Iterator[Fault]:
    path, content, *_ = step
    old, branches = _mapping(content.get("config")), _list(content.get("branches"))
    if ("branches" in content) == ("children" in content):
        yield Fault((*path, "branches"), "is required, or 'children' with config.expression")
        return
    if "children" in content:
        kind = old.get("type", "if")
        yield from _expression_faults(kind, old, (*path, "config"))
        if kind in {"else", "else_if"} and not step.after_condition:
            yield Fault((*path, "config", "type"), f"{kind} must stand behind another condition")
        return
    if old:
        yield Fault((*path, "config"), "is not for a condition with branches")
    ended = True
    for index, branch in enumerate(map(_mapping, branches)):
        kind, place = branch.get("kind"), (*path, "branches", index)
        yield from _expression_faults(kind, branch, place)
        if (kind == "if") != (index == 0) or (index and ended):
            yield Fault((*place, "kind"), "must be 'if' first, then 'else_if', and 'else' last")
        ended = kind == "else"


def _expression_faults(kind: JSON, holder: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    expression = holder.get("expression")
    if kind == "else":
        if expression:
            yield Fault((*path, "expression"), "is not for an 'else'")
    elif kind in {"if", "else_if"} and expression is None:
        yield Fault((*path, "expression"), "is required")
    else:
        yield from _unless(compile_condition, expression, (*path, "expression"))


def _loop_faults(content: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    loop = content.get("loop")
    if loop is None:
        yield Fault((*path, "loop"), "is required")
    wanted = _LOOP_FIELDS.get(_mapping(loop).get("mode", ""))
    if wanted and wanted not in _mapping(loop):
        yield Fault((*path, "loop", wanted), "is required")
    for mode, field in _LOOP_FIELDS.items():
        if wanted and field != wanted and field in _mapping(loop):
            yield Fault((*path, "loop", field), f"is for loops of mode {mode}")


def _threshold_faults(asked: Mapping[str, Any], ids: set[Any]) -> Iterator[Fault]:
    for index, threshold in enumerate(map(_mapping, _list(asked.get("thresholds")))):
        path: Path = ("options", "thresholds", index)
        metric, condition = threshold.get("metric"), threshold.get("condition")
        if not isinstance(metric, str) or not isinstance(condition, str):
            continue
        try:
            check = parse_threshold(metric, condition)
        except ThresholdFault as exc:
            yield Fault((*path, exc.field), str(exc))
        else:
            if check.step is not None and check.step not in ids:
                yield Fault((*path, "metric"), f"there is no step '{check.step}'")


def _unless(check: Any, value: JSON, path: Path) -> Iterator[Fault]:
    """Return what a check says of a text; what is none is the schema's to report."""
    if isinstance(value, str):
        try:
            check(value)
        except ValueError as exc:
            yield Fault(path, str(exc))


def _mapping(value: JSON) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
