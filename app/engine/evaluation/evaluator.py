"""Walks the tree of an expression and gives its value.

The trees are Jinja2's, and so is what they mean; nothing is compiled, and nothing can be called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import Undefined, nodes

from app.engine.evaluation.budget import Budget
from app.engine.evaluation.filters import FILTERS, TESTS
from app.engine.evaluation.operators import BINARY, compare
from app.engine.evaluation.values import EvaluationError, get_item


class Evaluator:
    """Evaluates trees over one set of names.

    Attributes:
        names: The values that an expression may refer to.
        budget: What all evaluations together may take.
    """

    def __init__(self, names: Mapping[str, Any], budget: Budget) -> None:
        self.names = names
        self.budget = budget

    def value(self, node: nodes.Node) -> Any:
        """Evaluate a tree.

        Raises:
            EvaluationError: It takes more than the budget, or holds what expressions have not.
            Exception: Whatever Python, or Jinja2, raises about values that do not suit.
        """
        self.budget.spend()
        visit = _VISITS.get(type(node))
        if visit is None:
            raise EvaluationError(f"expressions have no {type(node).__name__}")
        return visit(self, node)

    def values(self, several: list[Any]) -> list[Any]:
        """Evaluate trees in their order."""
        return [self.value(node) for node in several]


def _slice_or_item(evaluator: Evaluator, node: Any) -> Any:
    container = evaluator.value(node.node)
    if not isinstance(node.arg, nodes.Slice):
        return get_item(container, evaluator.value(node.arg))
    bounds = (node.arg.start, node.arg.stop, node.arg.step)
    part = slice(*(None if bound is None else evaluator.value(bound) for bound in bounds))
    evaluator.budget.items(len(container))
    return container[part]


def _choice(evaluator: Evaluator, node: Any) -> Any:
    if evaluator.value(node.test):
        return evaluator.value(node.expr1)
    if node.expr2 is None:  # which is empty in a text, as in Jinja2, however strict that is
        return Undefined("its 'if' does not hold, and there is no 'else'")
    return evaluator.value(node.expr2)


def _apply(functions: Mapping[str, Callable[..., Any]]) -> Callable[[Evaluator, Any], Any]:
    def visit(evaluator: Evaluator, node: Any) -> Any:
        value = evaluator.value(node.node)
        args = evaluator.values(node.args)
        kwargs = {keyword.key: evaluator.value(keyword.value) for keyword in node.kwargs}
        return functions[node.name](evaluator.budget, value, *args, **kwargs)

    return visit


def _binary(evaluator: Evaluator, node: Any) -> Any:
    left, right = evaluator.values([node.left, node.right])
    return BINARY[node.operator](evaluator.budget, left, right)


def _concat(evaluator: Evaluator, node: Any) -> str:
    texts = [evaluator.budget.text(value) for value in evaluator.values(node.nodes)]
    evaluator.budget.characters(sum(map(len, texts)))
    return "".join(texts)


def _compare(evaluator: Evaluator, node: Any) -> bool:
    left = evaluator.value(node.expr)
    for operand in node.ops:
        right = evaluator.value(operand.expr)
        if not compare(evaluator.budget, operand.op, left, right):
            return False
        left = right
    return True


_VISITS: Final[Mapping[type[nodes.Node], Callable[[Evaluator, Any], Any]]] = {
    nodes.Const: lambda _, node: node.value,
    nodes.Name: lambda evaluator, node: get_item(evaluator.names, node.name),
    nodes.List: lambda evaluator, node: evaluator.values(node.items),
    nodes.Tuple: lambda evaluator, node: tuple(evaluator.values(node.items)),
    nodes.Dict: lambda evaluator, node: {
        evaluator.value(pair.key): evaluator.value(pair.value) for pair in node.items
    },
    nodes.Getattr: lambda evaluator, node: get_item(evaluator.value(node.node), node.attr),
    nodes.Getitem: _slice_or_item,
    nodes.CondExpr: _choice,
    nodes.Filter: _apply(FILTERS),
    nodes.Test: _apply(TESTS),
    nodes.Concat: _concat,
    nodes.Compare: _compare,
    nodes.And: lambda evaluator, node: evaluator.value(node.left) and evaluator.value(node.right),
    nodes.Or: lambda evaluator, node: evaluator.value(node.left) or evaluator.value(node.right),
    nodes.Not: lambda evaluator, node: not evaluator.value(node.node),
    nodes.Neg: lambda evaluator, node: -evaluator.value(node.node),
    nodes.Pos: lambda evaluator, node: +evaluator.value(node.node),
    **dict.fromkeys(
        (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod), _binary
    ),
}
