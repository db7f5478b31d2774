"""Definitions that are costly to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bench.abuse._attacker import Attacker, Case, one_script, statuses
from bench.abuse._users import DEVELOPER


def _uploaded(definition: Callable[[], Any]) -> Callable[[Attacker], str]:
    def attack(attacker: Attacker) -> str:
        seen: list[int] = []
        listed: list[int] = []
        largest = 0
        content = definition()
        body = content if isinstance(content, bytes) else json.dumps(content)
        type_ = "application/yaml" if isinstance(content, bytes) else "application/json"
        while attacker.goes_on:
            status, answer, _ = attacker.call(
                "PUT", "/workflows/big", body, user=DEVELOPER, headers={"Content-Type": type_}
            )
            seen.append(status)
            largest = max(largest, len(answer))
            listed.append(attacker.call("GET", "/workflows")[0])
        return (
            f"PUT {statuses(seen)}; GET /workflows {statuses(listed)}; "
            f"an answer has {largest:,} bytes at most"
        )

    return attack


def _chain(steps: int, id_: str = "big") -> dict[str, Any]:
    config = {"command": "true"}
    return {
        "id": id_,
        "steps": [
            {
                "id": f"s{i}",
                "type": "command",
                "config": config,
                "needs": [f"s{i - 1}"] if i else [],
            }
            for i in range(steps)
        ],
    }


def _chain_in_yaml() -> bytes:
    lines = ["id: big", "steps:"]
    for i in range(3_000):
        needs = f", needs: [s{i - 1}]" if i else ""
        lines.append(f"  - {{id: s{i}, type: command, config: {{command: 'true'}}{needs}}}")
    return "\n".join(lines).encode()


def _unknown_keys() -> dict[str, Any]:
    return one_script("big", "true") | {f"unknown-{i}": i for i in range(60_000)}


def _long_expression() -> dict[str, Any]:
    return one_script("big", "true") | {"outputs": {"v": "${{ " + "1 + " * 50_000 + "1 }}"}}


def _nested() -> bytes:
    return b"id: big\nsteps: " + b"[" * 100_000


def _large_ones(attacker: Attacker) -> None:
    for number in range(5):
        attacker.define(_chain(2_500, f"large-{number}"))


def _listed(attacker: Attacker) -> str:
    seen: list[int] = []
    while attacker.goes_on:
        seen.append(attacker.call("GET", "/workflows")[0])
        seen.extend(attacker.call("GET", f"/workflows/large-{number}")[0] for number in range(5))
    return statuses(seen)


def _launched(attacker: Attacker) -> str:
    seen: list[int] = []
    while attacker.goes_on:
        seen.append(attacker.launch("large-0")[0])
    return statuses(seen)


CASES = (
    Case("definitions of 3,000 chained steps, in JSON", _uploaded(lambda: _chain(3_000))),
    Case("definitions of 3,000 chained steps, in YAML", _uploaded(_chain_in_yaml)),
    Case("five large definitions after a restart", _listed, _large_ones),
    Case("launches of 2,500 steps, one after the other", _launched, _large_ones),
    Case("definitions of 60,000 unknown keys", _uploaded(_unknown_keys)),
    Case("an expression of 200 KB", _uploaded(_long_expression)),
    Case("a definition of 100,000 brackets", _uploaded(_nested)),
)
