"""The names that executions have beside their ids, such as ``analyze-code-20231209-143022``.

A name is the id of the workflow and the second, in UTC, at which the execution started. A number
follows where several would have the same name: ``-2`` for the second, ``-3`` for the third. The AWF
API knows executions by these names alone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

NAME_LENGTH = 160
"""Most characters of a name."""
NAME_PATTERN: Final = r"[A-Za-z0-9._-]*-([0-9]{8})-([0-9]{6})(-[0-9]+)?"
ID_PATTERN: Final = r"[A-Za-z0-9_-]{1,64}"
"""What ids have as a whole, those of upstreams too; what has both forms is a name."""
NAME_START: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{NAME_LENGTH}}}")
"""How a name or an id can begin."""

_WORKFLOW_LENGTH = 100
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]")
_NAME = re.compile(NAME_PATTERN)
_NO_SEPARATORS = str.maketrans({"-": None, ":": None, "T": "-"})


def stem_of(workflow_id: str, started_at: datetime) -> str:
    """Return the name of an execution, without the number that may have to follow.

    Args:
        workflow_id: Of any length; what has no place in a name becomes ``-``.
        started_at: When it started, with a time zone.
    """
    second = started_at.astimezone(UTC).isoformat(timespec="seconds")[:19]
    workflow = _FOREIGN.sub("-", workflow_id[:_WORKFLOW_LENGTH])
    return f"{workflow}-{second.translate(_NO_SEPARATORS)}"


def is_name(text: str) -> bool:
    """Return whether a text has the form of a name, whether or not there is such an execution."""
    return len(text) <= NAME_LENGTH and _NAME.fullmatch(text) is not None


def start_of(name: str) -> str:
    """Return the second that a name tells, such as ``2023-12-09T14:30:22Z``.

    Raises:
        ValueError: It is no name.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no name of an execution")
    day, time = found[1], found[2]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z"
