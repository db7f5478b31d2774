"""A client that answers as it is told, and a recorder that remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.load import iteration
from app.load.exchange import Answer, Request
from app.load.parsing import parse

URL = "http://h/"


def http(step_id: str = "s", **fields: Any) -> dict[str, Any]:
    config = {"url": URL} | fields.pop("config", {})
    return {"id": step_id, "type": "http", "config": config} | fields


def script(step_id: str, source: str, **fields: Any) -> dict[str, Any]:
    return {"id": step_id, "type": "script", "config": {"script": source}} | fields


class Target:
    """Gives answers in turn, the last one again and again; remembers what it was asked."""

    def __init__(self, *answers: Answer | BaseException | Callable[[Request], Answer]) -> None:
        self.answers = list(answers) or [Answer(200, 1000)]
        self.requests: list[Request] = []

    def send(self, request: Request) -> Answer:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Answer) else answer(request)

    @property
    def urls(self) -> list[str]:
        return [request.url for request in self.requests]

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]


class Counted:
    """Remembers what was counted, without times."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.requests: list[tuple[str, bool]] = []
        self.errors: list[tuple[str, str, str]] = []
        self.times: list[int] = []

    def step(self, step_id: str, outcome: str, microseconds: int) -> None:
        self.steps.append((step_id, outcome))
        self.times.append(microseconds)

    def request(self, step_id: str, microseconds: int, failed: bool) -> None:
        self.requests.append((step_id, failed))

    def error(self, code: str, message: str, step_id: str) -> None:
        self.errors.append((code, message, step_id))


class Ran:
    """One iteration of a document, over.

    Attributes:
        slept: The waits that it asked for, in seconds; none is waited for.
    """

    def __init__(self, *steps: dict[str, Any], target: Target | None = None, **fields: Any) -> None:
        self.target = target or Target()
        self.counted = Counted()
        self.slept: list[float] = []
        plan = iteration.compile(parse({"id": "w", "steps": list(steps)} | fields))
        try:
            self.succeeded = iteration.run_iteration(
                plan, self.target, self.counted, 3, 7, sleep=self.slept.append
            )
        finally:
            plan.close()

    @property
    def steps(self) -> list[tuple[str, str]]:
        return self.counted.steps

    @property
    def messages(self) -> list[str]:
        return [message for _, message, _ in self.counted.errors]
