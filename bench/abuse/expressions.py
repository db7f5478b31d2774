"""Expressions of a definition over values that a plain user gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.abuse._attacker import Attacker, Case, one_script, statuses


def _defined(expression: str, inputs: Mapping[str, Any]) -> Callable[[Attacker], None]:
    def prepare(attacker: Attacker) -> None:
        definition = one_script("poison", "true", inputs=dict(inputs))
        definition["outputs"] = {"value": "${{ " + expression + " }}"}
        attacker.define(definition)

    return prepare


def _launched(inputs: Mapping[str, Any]) -> Callable[[Attacker], str]:
    def attack(attacker: Attacker) -> str:
        seen: list[int] = []
        ends: list[str] = []
        while attacker.goes_on:
            status, location = attacker.launch("poison", inputs)
            seen.append(status)
            if location:
                ended = attacker.call("GET", f"{location}?wait=5s")[1]
                ends.append("FAILED" if b'"FAILED"' in ended else "not failed")
        return f"{statuses(seen)}; {', '.join(sorted(set(ends)))}"

    return attack


_NUMBERS = {"v": {"type": "number"}, "digits": {"type": "integer"}}
_TEXT = {"v": {"type": "string"}, "w": {"type": "string"}}
_LIST = {"v": {"type": "array"}}

CASES = (
    Case(
        "an expression that rounds to 3e12 digits",
        _launched({"v": 1.5, "digits": 3_000_000_000_000}),
        _defined("inputs.v | round(inputs.digits, 'ceil')", _NUMBERS),
    ),
    Case(
        "an expression that makes 10 GB of 120 KB",
        _launched({"v": "x" * 60_000, "w": "y" * 60_000}),
        _defined("inputs.v | replace('x', inputs.w) | replace('y', inputs.w)", _TEXT),
    ),
    Case(
        "an expression that joins lists to 10 GB",
        _launched({"v": ["x" * 300] * 300}),
        _defined("inputs.v | join(inputs.v | join(inputs.v | join))", _LIST),
    ),
    Case(
        "an output that is no number",
        _launched({"v": 1.5, "digits": 1}),
        _defined("1e999", _NUMBERS),
    ),
)
