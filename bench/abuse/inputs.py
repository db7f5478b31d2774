"""Inputs that are costly to check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.abuse._attacker import Attacker, Case, one_script, statuses

_DEEP = 400
_INTEGERS = {"type": "array", "items": {"type": "integer"}}


def _defined(**inputs: Mapping[str, Any]) -> Callable[[Attacker], None]:
    return lambda attacker: _define(attacker, inputs)


def _define(attacker: Attacker, inputs: Mapping[str, Any]) -> None:
    attacker.define(one_script("picky", "true", inputs=inputs))


def _launched(value: Callable[[], Any]) -> Callable[[Attacker], str]:
    def attack(attacker: Attacker) -> str:
        seen: list[int] = []
        largest = 0
        body = {"inputs": {"v": value()}}
        while attacker.goes_on:
            status, answer, _ = attacker.call("POST", "/workflows/picky", body)
            seen.append(status)
            largest = max(largest, len(answer))
        return f"{statuses(seen)}; an answer has {largest:,} bytes at most"

    return attack


def _objects(number: int) -> list[dict[str, int]]:
    return [{"a": i, "b": i + 1} for i in range(number)]


def _enum(number: int) -> list[dict[str, int]]:
    return [{"a": i, "b": 0} for i in range(number)]


def _nested() -> Any:
    value: Any = 1
    for _ in range(_DEEP):
        value = [value, value] if _ % 100 == 0 else [value]
    return value


CASES = (
    Case(
        "uniqueItems over 2,000 objects",
        _launched(lambda: _objects(2_000)),
        _defined(v={"type": "array", "uniqueItems": True}),
    ),
    Case(
        "an enum of 3,000 objects, 3,000 times",
        _launched(lambda: [{"a": -1, "b": 0}] * 3_000),
        _defined(v={"type": "array", "items": {"enum": _enum(3_000)}}),
    ),
    Case("100,000 wrong items", _launched(lambda: ["x"] * 100_000), _defined(v=_INTEGERS)),
    Case(
        "a pattern that backtracks",
        _launched(lambda: "a" * 40 + "!"),
        _defined(v={"type": "string", "pattern": "^(a+)+$"}),
    ),
    Case("deeply nested values", _launched(_nested), _defined(v={"type": "array"})),
    Case(
        "an array of 150,000 numbers",
        _launched(lambda: list(range(150_000))),
        _defined(v=_INTEGERS),
    ),
)
