"""Requests and replies, and the envelope that most of them wear."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .accounts import Account

STACK_TRACE = (
    "java.lang.NullPointerException: null\n"
    "\tat alien4cloud.deployment.WorkflowExecutionService.launch(Service.java:97)\n"
    "\tat java.lang.Thread.run(Thread.java:748)\n"
)


class Refused(Exception):
    """Ends the handling of a request with a reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Request:
    """An HTTP request, with the account that is logged in, if one is."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    account: Account | None
    session: str | None

    def json(self) -> dict[str, Any]:
        """Read the body; a missing or malformed one is an internal error (section 2)."""
        try:
            body = json.loads(self.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refused(internal_error("Required request body is missing or unreadable"))
        return body

    def number(self, name: str, default: int) -> int:
        """Read a number of the query."""
        return int(self.query.get(name, default))


def json_reply(status: int, body: Any, **options: Any) -> Reply:
    """Return JSON."""
    reply = Reply(status, json.dumps(body, **options).encode())
    reply.headers.append(("Content-Type", "application/json;charset=UTF-8"))
    return reply


def ok(data: Any = None) -> Reply:
    """Return data in the envelope."""
    return json_reply(200, {"data": data, "error": None})


def failed(status: int, code: int, message: str | None, data: Any = None) -> Reply:
    """Return an error in the envelope; the status may well be 200."""
    return json_reply(status, {"data": data, "error": {"code": code, "message": message}})


def not_found(message: str, status: int = 404) -> Reply:
    """Return that something does not exist."""
    return failed(status, 504, message)


def internal_error(message: str | None = None, code: int = 500) -> Reply:
    """Fail as Java does: with the stack trace as the data."""
    return failed(500, code, message, STACK_TRACE)


def spring_not_found(path: str) -> Reply:
    """Return Spring Boot's own 404, of a path that nothing is mapped to."""
    body = {"timestamp": 1666268000123, "status": 404, "error": "Not Found",
            "message": "No message available", "path": path}  # fmt: skip
    return json_reply(404, body)
