"""Tests of each operation of an OpenAPI document, whose cases are made when they are run.

Schemathesis itself makes those that it does not draw, most of them, when tests are collected: that
takes seconds, in each worker, and each of them runs a part of the tests only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from schemathesis import Case
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.python._constants.orchestrator import make_constants_value_source


@dataclass(frozen=True, eq=False)
class Operation:
    """One method at one address.

    Attributes:
        described: The operation as Schemathesis has read it.
        feedback: Makes what cases of one schema share.
    """

    described: Any
    feedback: Callable[[], FeedbackSources]

    def __str__(self) -> str:
        return str(self.described.label)

    def throw(self, send: Callable[[Case], None], how: settings) -> None:
        """Make cases, and send them."""

        def test(case: Case) -> None:
            send(case)

        build_operation_test(
            config=self.described.schema.config, operation=self.described, test_func=test,
            given_kwargs={}, feedback=self.feedback(), explicit_settings=how,
        )()  # fmt: skip


def feedback_of(schema: Any) -> Callable[[], FeedbackSources]:
    """Return what makes what cases of one schema share, once."""
    return functools.cache(
        lambda: FeedbackSources(constants_value_source=make_constants_value_source(schema))
    )


def each_operation(schema: Any) -> pytest.MarkDecorator:
    """Make a test for each operation of a schema, which it gets as ``operation``."""
    feedback = feedback_of(schema)
    found = [Operation(each.ok(), feedback) for each in schema.get_all_operations()]
    assert found
    return pytest.mark.parametrize("operation", found, ids=str)
