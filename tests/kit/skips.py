"""What was skipped, in three lines at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

_SHOWN = 4
"""How many reasons are told, the most frequent first."""
_LONGEST_REASON = 60


def summary(reasons: Iterable[str]) -> list[str]:
    """Sum up why tests were skipped: how many, why, and what to do; nothing where none was."""
    counted = Counter(reason.removeprefix("Skipped: ")[:_LONGEST_REASON] for reason in reasons)
    if not counted:
        return []
    told = [f"{number} x {reason}" for reason, number in counted.most_common(_SHOWN)]
    rest = len(counted) - len(told)
    return [
        f"{counted.total()} test(s) were skipped, for {len(counted)} reason(s): see pytest -rs.",
        "; ".join(told) + (f"; and {rest} more" if rest > 0 else ""),
        "Missing servers and programs are installed by .ci/install-servers (Debian).",
    ]


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why something was skipped."""
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
