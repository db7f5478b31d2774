r"""Conditions: comparisons with AND, OR and NOT.

::

    condition  = conjunction *( "OR" conjunction )
    conjunction = negation *( "AND" negation )
    negation   = *"NOT" comparison
    comparison = operand [ ( "==" / "===" / "!=" / "!==" / "<=" / ">=" / "<" / ">" ) operand ]
    operand    = "(" condition ")" / "${" name "}" / name / number / text / "true" / "false"

Words in any case. Texts stand in ``'`` or ``"``, with ``\\`` in front of what would end them, and
may have ``${name}`` in them. Numbers, and texts that read as numbers, compare as numbers; whatever
else as text. A name that nothing has is an error.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.domain import JSON
from app.load.faults import EXECUTION, StepFailed
from app.load.templates import compile_text, names
from app.load.variables import MISSING, Reference, Scope, text_of

MAX_LENGTH: Final = 4096
"""Longest condition, in characters."""

_MAX_DEPTH: Final = 40
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<comparison>===|!==|==|!=|<=|>=|<|>)
      | (?P<bracket>[()])
      | \$\{\s*(?P<reference>[^${}\s](?:[^${}]{0,254}[^${}\s])?)\s*\}
      | (?P<number>-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?)(?![\w.])
      | '(?P<single>(?:[^'\\]|\\.)*+)'
      | "(?P<double>(?:[^"\\]|\\.)*+)"
      | (?P<name>[^\W\d][\w-]*+(?:\.[\w-]++)*+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_WORDS: Final = frozenset({"and", "or", "not", "true", "false"})
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "===": operator.eq,
    "!=": operator.ne,
    "!==": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FALSE: Final = frozenset({"", "false"})

Evaluate = Callable[[Scope], JSON]
Check = Callable[[Scope], bool]
Token = tuple[str, str]


def compile_condition(source: str) -> Check:
    """Prepare a condition.

    Returns:
        What says whether it holds; it raises StepFailed where a name stands for nothing.

    Raises:
        ValueError: It is none. The text says why, to its author.
    """
    parser = _Parser(_tokens(source))
    evaluate = parser.condition()
    parser.end()
    return lambda scope: holds(evaluate(scope))


def references(source: str) -> list[str]:
    """List the names that a valid condition refers to."""
    found: list[str] = []
    for kind, text in _tokens(source):
        if kind == "text":
            found += names(text)
        elif kind == "reference":
            found.append(text)
    return found


def holds(value: JSON) -> bool:
    """Return what a value by itself means: false, 0, nothing, and texts that say so are false."""
    if isinstance(value, bool):
        return value
    if (number := as_number(value)) is not None:
        return number != 0
    return text_of(value).lower() not in _FALSE


def compare(left: JSON, comparison: str, right: JSON) -> bool:
    """Compare two values: as numbers where both read as one, else as texts.

    Args:
        left: The one.
        comparison: ``==``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        right: The other.
    """
    function = _COMPARISONS[comparison]
    one, other = as_number(left), as_number(right)
    if one is not None and other is not None:
        return function(one, other)
    return function(text_of(left), text_of(right))


def as_number(value: JSON) -> int | float | None:
    """Return the number that a value is, or reads as; None if it does not."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    return float(value) if {".", "e", "E"} & set(value) else int(value)


def _tokens(source: str) -> list[Token]:
    if len(source) > MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    tokens: list[Token] = []
    position, end = 0, len(source.rstrip())
    while position < end:
        match = _TOKEN.match(source, position)
        if match is None:
            rest = source[position:].lstrip()
            raise ValueError(f"is no condition at '{rest[:20]}'{_hint(rest)}")
        tokens.append(_token(match))
        position = match.end()
    if not tokens:
        raise ValueError("must be a condition, such as ${login.status_code} == 200")
    return tokens


def _hint(rest: str) -> str:
    if rest.startswith(("&", "|", "!")):
        return "; write AND, OR, NOT"
    return "; there is no arithmetic" if rest[:1] in {*"+-*/%"} else ""


def _token(match: re.Match[str]) -> Token:
    kind = str(match.lastgroup)
    text = match[kind]
    if kind in {"single", "double"}:
        return "text", _ESCAPE.sub(r"\1", text)
    if kind == "name":
        word = text.lower()
        return ("word", word) if word in _WORDS else ("reference", text)
    return kind, text


class _Parser:
    """Reads tokens, deeper by one call with each bracket."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._position = 0
        self._depth = 0

    def condition(self) -> Evaluate:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"must have brackets at most {_MAX_DEPTH} deep")
        parts = [self._conjunction()]
        while self._takes("word", "or"):
            parts.append(self._conjunction())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else lambda s: any(holds(part(s)) for part in parts)

    def end(self) -> None:
        kind, text = self._tokens[self._position]
        if kind != "end":
            raise ValueError(f"is no condition at '{text[:20]}', where AND, OR or its end can be")

    def _conjunction(self) -> Evaluate:
        parts = [self._negation()]
        while self._takes("word", "and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else lambda s: all(holds(part(s)) for part in parts)

    def _negation(self) -> Evaluate:
        times = 0
        while self._takes("word", "not"):
            times += 1
        inner = self._comparison()
        if not times:
            return inner
        wanted = times % 2 == 0
        return lambda scope: holds(inner(scope)) == wanted

    def _comparison(self) -> Evaluate:
        left = self._operand()
        kind, comparison = self._tokens[self._position]
        if kind != "comparison":
            return left
        self._position += 1
        right = self._operand()
        return lambda scope: compare(left(scope), comparison, right(scope))

    def _operand(self) -> Evaluate:
        kind, text = self._tokens[self._position]
        self._position += 1
        if kind == "bracket" and text == "(":
            inner = self.condition()
            if not self._takes("bracket", ")"):
                raise ValueError("has a bracket that is never closed")
            return inner
        if kind == "reference":
            return _known(Reference(text))
        if kind == "text":
            return _text(text)
        return self._constant(kind, text)

    def _constant(self, kind: str, text: str) -> Evaluate:
        value: JSON
        if kind == "number":
            value = as_number(text)
        elif kind == "word" and text in {"true", "false"}:
            value = text == "true"
        else:
            where = f"'{text[:20]}'" if text else "its end"
            raise ValueError(f"is no condition at {where}, where a value must be")
        return lambda _: value

    def _takes(self, kind: str, text: str) -> bool:
        if self._tokens[self._position] != (kind, text):
            return False
        self._position += 1
        return True


def _known(reference: Reference) -> Evaluate:
    def evaluate(scope: Scope) -> JSON:
        value = scope.find(reference)
        if value is MISSING:
            raise StepFailed(EXECUTION, f"there is no variable '{reference.name[:100]}'")
        return value

    return evaluate


def _text(text: str) -> Evaluate:
    rendered = compile_text(text)
    if not callable(rendered):
        return lambda _: text
    each = [_known(Reference(name)) for name in names(text)]

    def evaluate(scope: Scope) -> JSON:
        for known in each:
            known(scope)
        return rendered(scope)

    return evaluate
