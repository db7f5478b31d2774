"""What runs before and after the request of a step: scripts, variables, waits, assertions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

from app.domain import JSON
from app.load.conditions import compare
from app.load.definition import (
    Assertion,
    Extraction,
    Operator,
    Processor,
    RunScript,
    SetVariable,
    Subject,
    Wait,
)
from app.load.exchange import Answer
from app.load.faults import EXECUTION, PARSING, VALIDATION, StepFailed
from app.load.jsonpath import ABSENT, find, parse_path
from app.load.run import Run
from app.load.templates import compile_text, compile_value
from app.load.variables import body_of, headers_of, text_of


class Reply:
    """An answer as processors look at it; what is costly is made when one does."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    @cached_property
    def body(self) -> str:
        """The body as text."""
        return body_of(self.answer)

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The header fields by their names in lower case."""
        return headers_of(self.answer)

    @cached_property
    def json(self) -> JSON:
        """The body as JSON.

        Raises:
            StepFailed: It is none.
        """
        try:
            return json.loads(self.answer.body, parse_constant=_refuse)
        except (ValueError, RecursionError) as exc:
            raise StepFailed(PARSING, "the answer is not JSON") from exc

    @cached_property
    def cookies(self) -> Mapping[str, str]:
        """The cookies that it sets; source: https://www.rfc-editor.org/rfc/rfc6265#section-4.1."""
        cookies = {}
        for name, value in self.answer.headers:
            if name.lower() == b"set-cookie":
                key, _, content = value.decode("latin-1").partition(";")[0].partition("=")
                cookies[key.strip()] = content.strip()
        return cookies


def _refuse(constant: str) -> JSON:
    raise ValueError(f"{constant} is not JSON")


Process = Callable[[Run, Reply | None], None]


def compile_processor(processor: Processor) -> Process:
    """Prepare a processor.

    Returns:
        What runs it, with the answer where there is one; it raises StepFailed.
    """
    return _COMPILERS[type(processor)](processor)


def _compile_script(processor: RunScript) -> Process:
    def process(run: Run, reply: Reply | None) -> None:
        run.script(processor.script, reply.answer if reply else None)

    return process


def _compile_setting(processor: SetVariable) -> Process:
    evaluate = compile_value(processor.value)
    return lambda run, _: run.scope.set(processor.variable, evaluate(run.scope))


def _compile_wait(processor: Wait) -> Process:
    return lambda run, _: run.wait(processor.duration_us)


def _compile_assertion(processor: Assertion) -> Process:
    pick = _picker(processor.subject, processor.expression)
    expected = compile_text(processor.expected)
    holds = _OPERATORS[processor.operator]
    subject = f"{processor.subject} {processor.expression}".strip()
    message = (
        f"assertion '{processor.id}' does not hold: "
        f"{subject} {processor.operator} {processor.expected}"[:300]
    )

    def process(run: Run, reply: Reply | None) -> None:
        value = ABSENT if reply is None else pick(reply)
        if not holds(value, expected if isinstance(expected, str) else expected(run.scope)):
            raise StepFailed(VALIDATION, message)

    return process


def _compile_extraction(processor: Extraction) -> Process:
    pick = _picker(processor.subject, processor.expression)

    def process(run: Run, reply: Reply | None) -> None:
        value = ABSENT if reply is None else pick(reply)
        if value is ABSENT:
            raise StepFailed(
                EXECUTION, f"there is no {processor.subject} {processor.expression} to extract"
            )
        run.scope.set(processor.variable, value)

    return process


_COMPILERS: Final[Mapping[type, Callable[[Any], Process]]] = {
    RunScript: _compile_script,
    SetVariable: _compile_setting,
    Wait: _compile_wait,
    Assertion: _compile_assertion,
    Extraction: _compile_extraction,
}


def _picker(subject: Subject, expression: str) -> Callable[[Reply], Any]:
    """Return what takes a part out of a reply; ABSENT if it has none."""
    if subject is Subject.JSON:
        path = parse_path(expression)
        return lambda reply: find(reply.json, path)
    name = expression.strip()
    return {
        Subject.STATUS: lambda reply: reply.answer.status,
        Subject.BODY: lambda reply: reply.body,
        Subject.TIME: lambda reply: reply.answer.microseconds / 1000,
        Subject.HEADER: lambda reply: reply.headers.get(name.lower(), ABSENT),
        Subject.COOKIE: lambda reply: reply.cookies.get(name, ABSENT),
    }[subject]


def _compared(comparison: str) -> Callable[[Any, str], bool]:
    return lambda value, expected: value is not ABSENT and compare(value, comparison, expected)


def _contains(value: Any, expected: str) -> bool:
    return value is not ABSENT and expected in text_of(value)


_OPERATORS: Final[Mapping[Operator, Callable[[Any, str], bool]]] = {
    Operator.EQ: _compared("=="),
    Operator.NE: lambda value, expected: value is ABSENT or compare(value, "!=", expected),
    Operator.CONTAINS: _contains,
    Operator.NOT_CONTAINS: lambda value, expected: not _contains(value, expected),
    Operator.GT: _compared(">"),
    Operator.LT: _compared("<"),
    Operator.GTE: _compared(">="),
    Operator.LTE: _compared("<="),
}
