"""Expressions in definitions: ``${{ inputs.n }}``, written in Jinja2's expression language.

Only what stands between ``${{`` and ``}}`` reaches Jinja2, so any other text survives unchanged,
and a value that was put in is never evaluated again. An expression knows:

- ``inputs.<name>``,
- ``steps.<id>.outputs.<key>``, ``steps.<id>.status`` and ``steps.<id>.exit_code``,
- ``execution.id``,

with ``['a-b']`` in place of ``.name`` where a name is no word. It may compute, compare, choose and
filter, but not call: methods and attributes of Python's objects do not exist here. Braces within
it (of a mapping) may be one level deep.

Source: https://jinja.palletsprojects.com/en/stable/templates/#expressions (checked on 3.1.6).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.domain import JSON
from app.errors import InvalidRequest

OPENING: Final = "${{"

_STEP_KEYS: Final = ("outputs", "status", "exit_code")
_ROOTS: Final = "inputs.<name>, steps.<id>.<...> and execution.id"

_PIECE: Final = r"""[^'"{}]|'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_EXPRESSION: Final = re.compile(rf"\$\{{\{{((?:{_PIECE}|\{{(?:{_PIECE})*+\}})*+)\}}\}}", re.DOTALL)
# Python's compiler gives up at 200 nested parentheses, of which a level here makes three at most.
_MAX_DEPTH: Final = 50
_TOO_LONG: Final = "is too long"

_MAX_QUOTED: Final = 200
_FILTERS: Final = (
    "abs", "capitalize", "count", "d", "default", "first", "float", "int", "join", "last", "length",
    "list", "lower", "max", "min", "replace", "round", "sort", "sum", "title", "trim", "upper",
    "urlencode",
)  # fmt: skip
_FAILURES: Final = (
    TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip


def to_text(value: JSON) -> str:
    """Write a value as text, as templates and environment variables hold it.

    Returns:
        ``true`` or ``false``; nothing for None; JSON of lists and objects; a string as it is.
    """
    if value is None:
        return ""
    return _to_json(value) if isinstance(value, bool | list | dict) else str(value)


def check(
    template: str,
    *,
    inputs: Container[str],
    steps: Container[str],
    ended: Callable[[str], bool] = lambda _: True,
) -> list[str]:
    """Find what is wrong with a template before any value is known.

    Args:
        template: Text with expressions in it.
        inputs: Names of the workflow's inputs.
        steps: Identifiers of its steps.
        ended: Whether a step has surely ended when the template is rendered.

    Returns:
        The faults, in words for the author; none if the template can be rendered.
    """
    texts, sources = _split(template)
    faults = [f"has a '{OPENING}' that is never closed" for text in texts if OPENING in text]
    for source in sources:
        try:
            tree = _parse(source)
            found = [*_refused(tree), *_unknown(tree, inputs, steps, ended)]
        except TemplateSyntaxError as exc:
            found = [f"is no expression: {exc.message}"]
        except (RecursionError, ValueError):  # its parentheses, or the digits of an integer
            found = [_TOO_LONG]
        faults += [f"{_quoted(source)}: {fault}" for fault in dict.fromkeys(found)]
    return faults


def render(template: str, context: Mapping[str, JSON]) -> str:
    """Put values into a template.

    Args:
        template: A text that :func:`check` has found no fault in.
        context: ``inputs``, ``steps`` and ``execution``, each by name.

    Raises:
        InvalidRequest: A value is missing or does not suit the expression, which is named.
    """
    texts, sources = _split(template)
    values = [to_text(_value(source, context)) for source in sources]
    following = zip(values, texts[1:], strict=True)
    return texts[0] + "".join(value + text for value, text in following)


def evaluate(value: JSON, context: Mapping[str, JSON]) -> JSON:
    """Put values into all strings of a JSON value; names of objects stay as they are.

    A string that is exactly one expression gives its value with its type, any other its text.

    Raises:
        InvalidRequest: As :func:`render`.
    """
    if isinstance(value, str):
        texts, sources = _split(value)
        return _value(sources[0], context) if texts == ("", "") else render(value, context)
    if isinstance(value, list):
        return [evaluate(item, context) for item in value]
    if isinstance(value, Mapping):
        return {name: evaluate(item, context) for name, item in value.items()}
    return value


def _to_json(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2 without what can reach beyond the values, or take much more memory than they do."""

    intercepted_binops = frozenset({"*", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined)
        self.globals.clear()
        self.filters = {name: FILTERS[name] for name in _FILTERS}
        self.filters |= {"string": to_text, "tojson": _to_json}

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        try:
            return obj[argument]
        except (LookupError, TypeError):
            return self.undefined(f"there is no '{str(argument)[:_MAX_QUOTED]}'")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        # 'x' * 10**9 and '%999999999d' % 1 are small texts that make big ones.
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(f"'{operator}' takes numbers only")
        return super().call_binop(context, operator, left, right)


_ENVIRONMENT: Final = _Environment()


@lru_cache(maxsize=4096)
def _split(template: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take a template apart: the texts around the expressions, and these, without delimiters."""
    parts = _EXPRESSION.split(template)
    return tuple(parts[::2]), tuple(parts[1::2])


@lru_cache(maxsize=4096)
def _compile(source: str) -> TemplateExpression:
    return _ENVIRONMENT.compile_expression(source, undefined_to_none=False)


def _value(source: str, context: Mapping[str, JSON]) -> JSON:
    try:
        value = _compile(source)(**context)
        # What Jinja2 computes is made plain: a tuple becomes a list, and an undefined value,
        # wherever it stands, raises what is wrong with it when it is written as text.
        return json.loads(json.dumps(value, default=str, allow_nan=False))
    except _FAILURES as exc:
        reason = exc.message if isinstance(exc, TemplateError) else exc
        raise InvalidRequest(f"{_quoted(source)} cannot be evaluated: {reason}") from exc


def _parse(source: str) -> nodes.Expr:
    """Parse just as ``compile_expression`` does, which does not hand out the tree."""
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
    elif isinstance(node, nodes.Filter) and node.name not in _ENVIRONMENT.filters:
        yield f"there is no filter '{node.name}'"
    elif isinstance(node, nodes.Test) and node.name not in _ENVIRONMENT.tests:
        yield f"there is no test '{node.name}'"
    for child in node.iter_child_nodes():
        yield from _refused(child, depth + 1)


def _unknown(
    tree: nodes.Expr, inputs: Container[str], steps: Container[str], ended: Callable[[str], bool]
) -> Iterator[str]:
    """Find the references that lead nowhere."""
    for reference in _references(tree):
        match reference:
            case ("inputs", str(name), *_):
                if name not in inputs:
                    yield f"there is no input '{name}'"
            case ("steps", str(step), *keys):
                if step not in steps:
                    yield f"there is no step '{step}'"
                elif not ended(step):
                    yield f"step '{step}' is not among those that this one needs"
                if keys and keys[0] not in {*_STEP_KEYS, None}:
                    yield f"a step has {', '.join(_STEP_KEYS)}, and no '{keys[0]}'"
            case ("execution", "id"):
                pass
            case (name, *_):
                yield f"refers to '{name}', and may to {_ROOTS} only"


def _references(node: nodes.Node) -> Iterator[tuple[JSON, ...]]:
    """Give the names that are read, with their keys; None stands for a key that is computed."""
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
