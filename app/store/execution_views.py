"""The views of executions: which columns each one selects, and what is made of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, bindparam, select

from app.domain import (
    DesiredState,
    DrivenExecution,
    Execution,
    ExecutionStatus,
    ExecutionSummary,
)
from app.errors import NotFound
from app.store.journal import COUNTERS, SIZES
from app.store.schema import executions

E = TypeVar("E", bound=ExecutionSummary)

_BY_LEVEL = {"log_counts": COUNTERS, "log_bytes": SIZES}
"""The fields that several columns make up."""
_MADE: Mapping[str, Callable[[Any], Any]] = {
    "status": ExecutionStatus,
    "desired": DesiredState,
    "outputs": lambda outputs: outputs or {},
    "labels": lambda labels: labels or {},
}
"""What makes the values of fields of those in the columns, where they are not the same."""


class View(Generic[E]):
    """One view of executions.

    Each field is read from the column of its name. What a view has no field for is not selected:
    inputs, outputs and cursors may be large.

    Args:
        kind: The dataclass.

    Attributes:
        columns: What a statement must select for it.
    """

    def __init__(self, kind: type[E]) -> None:
        self._kind = kind
        names = [field.name for field in fields(kind)]
        self._plain = [name for name in names if name not in _BY_LEVEL]
        self._values = attrgetter(*self._plain)
        self._by_level = {n: attrgetter(*c) for n, c in _BY_LEVEL.items() if n in names}
        self._made = {name: make for name, make in _MADE.items() if name in names}
        read = [column for name in names for column in _BY_LEVEL.get(name, (name,))]
        self.columns: Final = tuple(executions.c[name] for name in read)
        # Made once, since SQLAlchemy takes longer to make one than SQLite to run it.
        self._one = select(*self.columns).where(executions.c.id == bindparam("of_id"))

    def of(self, row: Any) -> E:
        """Return the execution of a row that has the columns."""
        values: dict[str, Any] = dict(zip(self._plain, self._values(row), strict=True))
        for name, get in self._by_level.items():
            values[name] = get(row)
        for name, make in self._made.items():
            values[name] = make(values[name])
        return self._kind(**values)

    def get(self, connection: Connection, execution_id: str) -> E:
        """Read one execution.

        Raises:
            NotFound: There is none with this id.
        """
        row = connection.execute(self._one, {"of_id": execution_id}).one_or_none()
        if row is None:
            raise NotFound("There is no such execution.")
        return self.of(row)


SUMMARY = View(ExecutionSummary)
WHOLE = View(Execution)
DRIVEN = View(DrivenExecution)
