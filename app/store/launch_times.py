"""How long a launch may be under way: then whoever asked for it was killed.

That is measured by the time since the machine was started, as long as those who launch and those
who take launches over are on one machine, and else by the clock; see :mod:`app.clock`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, String, bindparam, case

from app.clock import boot_id, uptime
from app.store.execution_rows import now
from app.store.schema import executions

LAUNCH_SECONDS: Final = 90.0
"""A launch whose web process was killed is taken up when no live one can still be at it."""
LOCAL_LAUNCH_SECONDS: Final = 5.0
"""The same for orchestrators of our own, whose launches take no time."""


def asked() -> dict[str, Any]:
    """Return the columns that say when a launch was written down: now."""
    return {"asked_up_ms": round(uptime() * 1000), "asked_boot_id": boot_id()}


def is_cut_short(name: str) -> ColumnElement[bool]:
    """Return the condition for launches that nobody can still be asking for.

    Args:
        name: Of this condition, among those of the statement; see :func:`times`.
    """
    column = executions.c
    here = column.asked_boot_id == bindparam(f"{name}_boot", type_=String())
    before = bindparam(f"{name}_before", type_=column.created_at.type)
    return case(
        (here, column.asked_up_ms < bindparam(f"{name}_up_ms", type_=BigInteger())),
        else_=column.created_at < before,
    )


def times(name: str, seconds: float) -> Mapping[str, Any]:
    """Return the parameters of :func:`is_cut_short`.

    Args:
        name: As it was called there.
        seconds: How long a launch may be under way.
    """
    return {
        f"{name}_boot": boot_id(),
        f"{name}_up_ms": round((uptime() - seconds) * 1000),
        f"{name}_before": now() - timedelta(seconds=seconds),
    }
