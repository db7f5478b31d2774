"""Searches: filters, pages, caps, and their quirks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .replies import Refused, Reply, internal_error, ok

MOST_PER_PAGE = 1000
WINDOW = 10_000
LOG_FILTERS = ("deploymentId", "deploymentPaaSId", "level", "type", "timestamp", "rawtimestamp",
               "workflowId", "executionId", "taskId", "nodeId", "instanceId", "interfaceName",
               "operationName")  # fmt: skip


def bounds(body: Mapping[str, Any], most: int = MOST_PER_PAGE, code: int = 500) -> tuple[int, int]:
    """Read ``from`` and ``size``: the size is cut down silently, the window is an error."""
    start, size = body.get("from"), body.get("size")
    start = 0 if start is None else int(start)
    size = min(50 if size is None else int(size), most)
    if start < 0 or size < 0 or start + size > WINDOW:
        raise Refused(internal_error("Result window is too large", code))
    return start, size


def page(
    items: Sequence[Any],
    start: int,
    size: int,
    *,
    kind: str,
    counts_itself: bool = False,
    to: int | None = None,
) -> Reply:
    """Return a page; unless the endpoint counts for itself, an empty one has a total of 0."""
    shown = items[start : start + size]
    total = len(items) if shown or counts_itself else 0
    return ok({
        "types": [kind],
        "data": shown,
        "queryDuration": 3,
        "totalResults": total,
        "from": start,
        "to": start + len(shown) - 1 if to is None else to,
        "facets": {},
    })  # fmt: skip


def matches(item: Mapping[str, Any], filters: Mapping[str, Any], known: Iterable[str]) -> bool:
    """Apply filters: OR within a key, AND between keys; unknown keys let everything through."""
    for key in known:
        if key not in filters:
            continue
        wanted = _wanted(filters[key])
        if item.get(key) not in wanted:
            return False
    return True


def tags_match(tags: Mapping[str, str], filters: Mapping[str, Any]) -> bool:
    """Apply the filters on tags; name and value must fit within one tag."""
    if "tags.name" not in filters and "tags.value" not in filters:
        return True
    names = _wanted(filters["tags.name"]) if "tags.name" in filters else None
    values = _wanted(filters["tags.value"]) if "tags.value" in filters else None
    if not tags:
        return names == [None] or values == [None]
    return any(
        (names is None or name in names) and (values is None or value in values)
        for name, value in tags.items()
    )


def _wanted(values: Any) -> list[Any]:
    if not values:
        raise Refused(internal_error("an empty list of values"))
    return list(values)
