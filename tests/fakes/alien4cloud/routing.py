"""The table of endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from .replies import Reply

Handler = Callable[..., Reply]


@dataclass(frozen=True)
class Route:
    """An endpoint, with the name under which faults and counters know it."""

    name: str
    method: str
    pattern: re.Pattern[str]
    handler: Handler


ROUTES: list[Route] = []


def route(method: str, path: str, name: str) -> Callable[[Handler], Handler]:
    """Add an endpoint below ``/rest/latest``; ``{id}`` is a segment, given to the handler."""

    def add(handler: Handler) -> Handler:
        pattern = re.compile(re.escape(path).replace(r"\{id\}", "([^/]+)"))
        ROUTES.append(Route(name, method, pattern, handler))
        return handler

    return add


def find(method: str, path: str) -> tuple[Route, list[str]] | None:
    """Find the endpoint of a request."""
    for candidate in ROUTES:
        match = candidate.pattern.fullmatch(path)
        if match and candidate.method == method:
            return candidate, [unquote(part) for part in match.groups()]
    return None


def mapped(path: str) -> bool:
    """Return whether any method has this path."""
    return any(r.pattern.fullmatch(path) for r in ROUTES)


__all__: list[Any] = ["ROUTES", "Route", "find", "mapped", "route"]
