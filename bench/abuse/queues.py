"""Queues that all users share."""

from __future__ import annotations

from bench.abuse._attacker import Attacker, Case, one_script, statuses


def _define_short(attacker: Attacker) -> None:
    attacker.define(one_script("short", "true"))


def _launches(attacker: Attacker) -> str:
    seen: list[int] = []

    def act() -> None:
        seen.extend(attacker.launch("short")[0] for _ in range(250))

    attacker.together(8, act)
    attacker.rest()
    return statuses(seen)


def _wrong_logins(attacker: Attacker) -> str:
    seen: list[int] = []

    def act() -> None:
        while attacker.goes_on:
            number = len(seen)
            name = "ada" if number % 2 else f"nobody-{number}"
            seen.append(attacker.call("GET", "/workflows", user=name, password=f"{number}")[0])

    attacker.together(100, act)
    return statuses(seen)


def _large_keys(attacker: Attacker) -> str:
    seen: list[int] = []

    def act() -> None:
        seen.append(attacker.call("POST", "/ssh_keys", {"algorithm": "rsa-4096"})[0])

    attacker.together(15, act)
    return statuses(seen)


CASES = (
    Case("2,000 launches of one user", _launches, _define_short),
    Case("wrong logins, a hundred at a time", _wrong_logins),
    Case("15 keys of rsa-4096", _large_keys),
)
