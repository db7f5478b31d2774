"""What the tests of the pages for operators share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_kit import PASSWORDS, Service, basic
from werkzeug.test import TestResponse

HOSTILE = '<img/src="x"/onerror=alert(1)>&amp;'
"""What would run in a page that does not escape it."""


def ask(service: Service, name: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
    """Send what a browser does: a form where there are data, else ask for a page."""
    method = "GET" if data is None else "POST"
    headers = basic(name, PASSWORDS[name])
    answer: TestResponse = service.client.open(path, method=method, data=data, headers=headers)
    return answer


def assert_led(answer: Any, path: str) -> None:
    """Make sure that a form was done, and leads on."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"] == path


def escaped(answer: Any) -> bool:
    """Whether nothing hostile is told as it was given."""
    return "<img" not in answer.text and "&lt;img" in answer.text
