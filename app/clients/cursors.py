"""Versions of the cursors that adapters keep of executions."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain import JSON
from app.errors import UpstreamError


def version_of(cursor: Mapping[str, JSON], known: int) -> int:
    """Return the version of a cursor; one from before there were versions has 1.

    Args:
        cursor: The cursor.
        known: The latest version that the adapter can read.

    Raises:
        UpstreamError: It is later than that.
    """
    version = int(cursor.get("version", 1))
    if version > known:
        raise UpstreamError(
            "A later version of the service drove this execution; only one like it can go on.",
            detail=f"cursor of version {version}, known is {known}",
        )
    return version
