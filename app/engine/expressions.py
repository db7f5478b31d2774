"""Expressions in definitions: ``${{ inputs.n }}``, written in Jinja2's expression language.

Only what stands between ``${{`` and ``}}`` reaches Jinja2, so any other text survives unchanged,
and a value that was put in is never evaluated again. An expression knows:

- ``inputs.<name>``,
- ``steps.<id>.outputs.<key>``, ``steps.<id>.status`` and ``steps.<id>.exit_code``,
- ``execution.id``,
- what a caller adds, such as the element for which a task runs,

with ``['a-b']`` in place of ``.name`` where a name is no word. It may compute, compare, choose and
filter, but not call: methods and attributes of Python's objects do not exist here. Braces within
it (of a mapping) may be one level deep.

Source: https://jinja.palletsprojects.com/en/stable/templates/#expressions (checked on 3.1.6).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, TemplateError, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from app.domain import JSON
from app.engine.evaluation.budget import Budget
from app.engine.evaluation.evaluator import Evaluator
from app.engine.evaluation.filters import FILTERS, TESTS
from app.engine.evaluation.values import finite, readable, storable
from app.errors import InvalidRequest, SlipwayError
from app.values import to_json, to_text

OPENING: Final = "${{"

MAX_LENGTH: Final = 4096
"""Longest expression, in characters."""

_STEP_KEYS: Final = ("outputs", "status", "exit_code")
_ROOTS: Final = "inputs.<name>, steps.<id>.<...> and execution.id"

_PIECE: Final = r"""[^'"{}]|'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_EXPRESSION: Final = re.compile(rf"\$\{{\{{((?:{_PIECE}|\{{(?:{_PIECE})*+\}})*+)\}}\}}", re.DOTALL)
_REFERENCE: Final = re.compile(r"\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)\s*", re.ASCII)
_ENVIRONMENT: Final = Environment(autoescape=False)  # noqa: S701 - it parses, and renders nothing
# The evaluator, and the checks here, go one call deeper with each level.
_MAX_DEPTH: Final = 50
_TOO_LONG: Final = "is too long"
_MAX_KEPT: Final = 200
_MAX_QUOTED: Final = 200


def check(
    template: str,
    *,
    inputs: Container[str],
    steps: Container[str],
    ended: Callable[[str], bool] = lambda _: True,
    beside: Collection[str] = (),
) -> list[str]:
    """Find what is wrong with a template before any value is known.

    Args:
        template: Text with expressions in it.
        inputs: Names of the workflow's inputs.
        steps: Identifiers of its steps.
        ended: Whether a step has surely ended when the template is rendered.
        beside: What else it may refer to, by name.

    Returns:
        The faults, in words for the author; none if the template can be rendered.
    """
    split = _split(template)
    faults = [] if split.closed else [f"has a '{OPENING}' that is never closed"]
    for source in split.sources:
        found = _faults(source, _Known(inputs, steps, ended, beside))
        faults += [f"{_quoted(source)}: {fault}" for fault in dict.fromkeys(found)]
    return faults


@dataclass(frozen=True, slots=True)
class _Known:
    """What a template may refer to; see :func:`check`."""

    inputs: Container[str]
    steps: Container[str]
    ended: Callable[[str], bool]
    beside: Collection[str]


def _faults(source: str, known: _Known) -> list[str]:
    if len(source) > MAX_LENGTH:
        return [f"{_TOO_LONG}, it may have {MAX_LENGTH:,} characters"]
    try:
        tree = _tree(source)
        return [*_refused(tree), *_unknown(tree, known)]
    except TemplateSyntaxError as exc:
        return [f"is no expression: {exc.message}"]
    except (RecursionError, ValueError):  # its parentheses, or the digits of an integer
        return [_TOO_LONG]


def length(template: str) -> int:
    """Return how many characters of a text are expressions that are more than a reference."""
    sources = _split(template).sources
    return sum(len(source) for source in sources if not _REFERENCE.fullmatch(source))


def input_named(template: str) -> str | None:
    """Return the input that a text refers to which is that reference alone; None of any other."""
    if not is_whole(template):
        return None
    try:
        tree = _tree(_split(template).sources[0])
    except (TemplateSyntaxError, RecursionError, ValueError):
        return None
    if isinstance(tree, nodes.Getattr | nodes.Getitem):
        match list(_references(tree)):
            case [("inputs", str(name))]:
                return name
    return None


def is_whole(template: str) -> bool:
    """Return whether a text is exactly one expression, and so keeps the type of its value."""
    return _split(template).texts == ("", "")


def texts(template: str) -> tuple[str, ...]:
    """Return what stands around the expressions of a text."""
    return _split(template).texts


def render(template: str, context: Mapping[str, JSON], budget: Budget | None = None) -> str:
    """Put values into a template.

    Args:
        template: A text that :func:`check` has found no fault in.
        context: ``inputs``, ``steps`` and ``execution``, each by name.
        budget: What this and other evaluations together may take.

    Raises:
        InvalidRequest: A value is missing or does not suit the expression, which is named, or the
            budget does not suffice.
    """
    return _render(_split(template), Evaluator(context, budget or Budget()))


def evaluate(value: JSON, context: Mapping[str, JSON], budget: Budget | None = None) -> JSON:
    """Put values into all strings of a JSON value; names of objects stay as they are.

    A string that is exactly one expression gives its value with its type, any other its text.

    Raises:
        InvalidRequest: As :func:`render`.
    """
    return _evaluate(value, Evaluator(context, budget or Budget()))


def _render(template: _Template, evaluator: Evaluator) -> str:
    parts = [template.texts[0]]
    for source, following in zip(template.sources, template.texts[1:], strict=True):
        text = to_text(_value(source, evaluator))
        parts += [text, following]
    return "".join(parts)


def _evaluate(value: JSON, evaluator: Evaluator) -> JSON:
    if isinstance(value, str):
        template = _split(value)
        if template.texts == ("", ""):
            return _value(template.sources[0], evaluator)
        return _render(template, evaluator)
    if isinstance(value, list):
        return [_evaluate(item, evaluator) for item in value]
    if isinstance(value, Mapping):
        return {name: _evaluate(item, evaluator) for name, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class _Template:
    """A text taken apart.

    Attributes:
        texts: What stands around the expressions: one more than there are of them.
        sources: The expressions, without their delimiters.
        closed: Whether every expression ends; behind one that does not, all is text.
    """

    texts: tuple[str, ...]
    sources: tuple[str, ...]
    closed: bool


def _split(template: str) -> _Template:
    """Take a template apart, in time that grows as its length does."""
    texts, sources = [], []
    position = 0
    while (opening := template.find(OPENING, position)) >= 0:
        match = _EXPRESSION.match(template, opening)
        if match is None:
            break
        texts.append(template[position:opening])
        sources.append(match[1])
        position = match.end()
    texts.append(template[position:])
    return _Template(tuple(texts), tuple(sources), closed=opening < 0)


def _value(source: str, evaluator: Evaluator) -> JSON:
    try:
        return _to_plain_json(evaluator.value(_tree(source)), evaluator.budget)
    except (SlipwayError, OSError):  # the outputs of a step cannot be read
        raise
    except Exception as exc:
        raise InvalidRequest(f"{_quoted(source)} cannot be evaluated: {_reason(exc)}") from exc


def _to_plain_json(value: Any, budget: Budget) -> JSON:
    """Make plain what was computed: a tuple becomes a list, and every name a text."""
    budget.measure(value, _check_part)
    if value is None or isinstance(value, str | int | float):
        return value
    # An undefined value, wherever it stands, raises what is wrong with it as it is written.
    return json.loads(to_json(value))


def _check_part(part: Any) -> None:
    if isinstance(part, str):
        storable(part)
    elif isinstance(part, float):
        finite(part)


def _reason(exc: Exception) -> str:
    if isinstance(exc, MemoryError):
        return "it needs more memory than there is"
    if isinstance(exc, RecursionError):
        return "its values are nested too deep"
    # Some of Python's errors hold a number of the system's before their text.
    reason = exc.message if isinstance(exc, TemplateError) else "".join(map(str, exc.args[-1:]))
    text = str(reason)
    return readable(text[:_MAX_QUOTED]) + ("..." if len(text) > _MAX_QUOTED else "")


def _tree(source: str) -> nodes.Expr:
    """Parse an expression; the trees of short ones, which most are, are kept."""
    return _short_tree(source) if len(source) <= _MAX_KEPT else _parse(source)


@lru_cache(maxsize=1024)
def _short_tree(source: str) -> nodes.Expr:
    return _parse(source)


def _parse(source: str) -> nodes.Expr:
    """Parse just as ``compile_expression`` does, which does not hand out the tree."""
    reference = _REFERENCE.fullmatch(source)
    if reference:  # what most expressions are, and a hundred times as fast
        root, *keys = reference[1].split(".")
        tree: nodes.Expr = nodes.Name(root, "load")
        for key in keys:
            tree = nodes.Getattr(tree, key, "load")
        return tree
    parser = Parser(_ENVIRONMENT, source, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        raise TemplateSyntaxError(f"unexpected '{parser.stream.current}'", lineno=1)
    return tree


def _refused(node: nodes.Node, depth: int = 0) -> Iterator[str]:
    """Find what the language has and expressions here have not."""
    if depth > _MAX_DEPTH:
        yield _TOO_LONG
        return
    if isinstance(node, nodes.Call):
        yield "must not call anything; filters are written as in 'inputs.name | upper'"
    elif isinstance(node, nodes.Pow):
        yield "must not use '**'"
    elif isinstance(node, nodes.Filter | nodes.Test) and (node.dyn_args or node.dyn_kwargs):
        yield "must not unpack arguments"
    elif isinstance(node, nodes.Filter) and node.name not in FILTERS:
        yield f"there is no filter '{node.name}'"
    elif isinstance(node, nodes.Test) and node.name not in TESTS:
        yield f"there is no test '{node.name}'"
    for child in node.iter_child_nodes():
        yield from _refused(child, depth + 1)


def _unknown(tree: nodes.Expr, known: _Known) -> Iterator[str]:
    """Find the references that lead nowhere."""
    for reference in _references(tree):
        match reference:
            case ("inputs", str(name), *_):
                if name not in known.inputs:
                    yield f"there is no input '{name}'"
            case ("steps", str(step), *keys):
                if step not in known.steps:
                    yield f"there is no step '{step}'"
                elif not known.ended(step):
                    yield f"step '{step}' is not among those that this one needs"
                if keys and keys[0] not in {*_STEP_KEYS, None}:
                    yield f"a step has {', '.join(_STEP_KEYS)}, and no '{keys[0]}'"
            case ("execution", "id"):
                pass
            case (name, *_) if name not in known.beside:
                roots = ", ".join([_ROOTS, *known.beside])
                yield f"refers to '{name}', and may to {roots} only"


def _references(node: nodes.Node) -> Iterator[tuple[JSON, ...]]:
    """Return the names that are read, with their keys; None stands for a key that is computed."""
    keys: list[JSON] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            keys.append(node.attr)
        else:
            keys.append(node.arg.value if isinstance(node.arg, nodes.Const) else None)
            yield from _references(node.arg)
        node = node.node
    if isinstance(node, nodes.Name):
        yield (node.name, *reversed(keys))
    else:
        for child in node.iter_child_nodes():
            yield from _references(child)


def _quoted(source: str) -> str:
    """Show an expression as its author wrote it, if that is not too long."""
    text = source.strip()
    return f"{OPENING} {text[:_MAX_QUOTED]}{'...' if len(text) > _MAX_QUOTED else ''} }}}}"
