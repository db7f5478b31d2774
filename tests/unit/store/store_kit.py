"""What the tests of the store share, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from app.domain import DrivenExecution, Execution, ExecutionStatus, Level, NewLogEntry, Observation
from app.store.database import Database
from app.store.driving import DrivenExecutions
from app.store.executions import Executions
from app.store.journal import Journal
from app.store.launches import Intent, Launches
from app.store.steering import SteeredExecutions

T = TypeVar("T")

OWNER = "conductor-1"
NODE = "node-1"
LONG = 3600.0


def entries(levels: Iterable[Level], first: int = 0) -> list[NewLogEntry]:
    """Make entries whose content tells their place."""
    return [
        NewLogEntry(level, 1_666_269_149_774 + i, f"line {i}", "task")
        for i, level in enumerate(levels, start=first)
    ]


def together(number: int, work: Callable[[int], T]) -> list[T]:
    """Call a function from so many threads at the same moment; return the results."""
    start = threading.Barrier(number)

    def run(index: int) -> T:
        start.wait()
        return work(index)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def let_through(number: int, work: Callable[[int], object], refusal: type[Exception]) -> list[int]:
    """Call a function as :func:`together` does; return the numbers of those not refused."""

    def is_let(index: int) -> bool:
        try:
            work(index)
        except refusal:
            return False
        return True

    return [index for index, is_through in enumerate(together(number, is_let)) if is_through]


@dataclass
class StoreKit:
    """A store, and short ways to bring it into a state."""

    database: Database
    executions: Executions = field(init=False)
    launches: Launches = field(init=False)
    steered: SteeredExecutions = field(init=False)
    driving: DrivenExecutions = field(init=False)
    journal: Journal = field(init=False)
    ids: Any = field(default_factory=lambda: (str(uuid.UUID(int=i)) for i in itertools.count(1)))

    def __post_init__(self) -> None:
        self.executions = Executions(self.database)
        self.launches = Launches(self.database)
        self.steered = SteeredExecutions(self.database)
        self.driving = DrivenExecutions(self.database)
        self.journal = Journal(self.database)

    def intent(self, **more: Any) -> Intent:
        values: dict[str, Any] = {
            "orchestrator": "local", "workflow_id": "flow", "workflow_name": "Flow",
            "owner": "ada", "inputs": {"n": 1}, "steps": ["first", "second"],
        }  # fmt: skip
        return Intent(**{"execution_id": next(self.ids), **values, **more})

    def create(self, **more: Any) -> Execution:
        """Write a launch down that no orchestrator has accepted yet."""
        return self.launches.create(self.intent(**more))[0]

    def launched(self, **more: Any) -> DrivenExecution:
        """Write a launch down that its orchestrator accepted."""
        execution = self.create(**more)
        self.launches.launched(execution, {"job": 1})
        return self.driving.get(execution.id)

    def claim(
        self,
        owner: str = OWNER,
        node: str = NODE,
        lease: float = LONG,
        bound: Sequence[str] = (),
        limit: int = 1000,
    ) -> list[str]:
        """Return the ids of what a conductor can take over."""
        return [e.id for e in self.driving.claim(owner, node, lease, bound, limit)]

    def held(self, **more: Any) -> DrivenExecution:
        """Write down an execution that a conductor drives."""
        execution = self.launched(**more)
        assert execution.id in self.claim()
        return execution

    def see(
        self,
        execution: DrivenExecution,
        status: ExecutionStatus = ExecutionStatus.RUNNING,
        **more: Any,
    ) -> DrivenExecution:
        """Store an observation."""
        return self.driving.record(
            execution, OWNER, Observation(status, **{"cursor": None, **more})
        )

    def append(self, execution: DrivenExecution, new: Sequence[NewLogEntry]) -> DrivenExecution:
        """Store an observation of nothing but log entries."""
        return self.see(execution, entries=tuple(new))


@pytest.fixture
def kit(database: Database) -> StoreKit:
    return StoreKit(database)
