"""What a launch costs on SQLite, in statements and commits: a clock would tell of the load."""

from datetime import timedelta

import pytest
from sqlalchemy import event
from store_kit import LONG, NODE, OWNER

from app.domain import ExecutionStatus, Level, NewLogEntry, Observation, Task, TaskStatus
from app.store.execution_rows import now
from app.store.launches import Intent, UsedKey

LINE = (NewLogEntry(Level.INFO, 1_666_269_149_774, "said", "only"),)


class Spent:
    """The statements that were run, and the commits, since it was asked last."""

    def __init__(self, database):
        self._statements, self._commits = [], []
        for engine in (database.engine(), database._reader):
            event.listen(engine, "before_cursor_execute", self._note)
        event.listen(database.engine(), "commit", self._commits.append)

    def _note(self, _connection, _cursor, statement, *_):
        self._statements.append(statement)

    def __call__(self):
        spent = len(self._statements), len(self._commits)
        self._statements.clear(), self._commits.clear()
        return spent


@pytest.fixture
def spent(database):
    return Spent(database)


def an_intent(**more):
    return Intent(
        "one", "engine", "nothing", "Nothing", "ada", {}, steps=["only"], reference={"id": "one"},
        **more,
    )  # fmt: skip


def seen(status, task, **more):
    return Observation(
        status=status,
        cursor={},
        tasks=(task,),
        task_cursors={"only": {"attempt": 1}},
        entries=LINE,
        progress=0.0,
        **more,
    )


def test_a_launch_of_one_command_takes_four_commits_and_few_statements(kit, spent):
    kit.launches.create(an_intent())
    # The numbers of its changes, its row and that of its task.
    assert spent() == (3, 1)
    (execution,) = kit.driving.claim(OWNER, NODE, LONG, ["engine"], 10)
    assert spent() == (2, 1)
    begun = Task("only", TaskStatus.RUNNING, started_at=now())
    execution = kit.driving.record(execution, OWNER, seen(ExecutionStatus.RUNNING, begun))
    # Its row, its line, a checkpoint, its task, the number of the change, its row again.
    assert spent() == (6, 1)
    ended = Task("only", TaskStatus.SUCCESS, started_at=now(), finished_at=now() + timedelta(0, 1))
    more = {"outputs": {}, "log_complete": True, "finished_at": now()}
    kit.driving.record(execution, OWNER, seen(ExecutionStatus.SUCCESS, ended, **more))
    assert spent() == (5, 1)


def test_only_a_key_and_a_bound_of_open_executions_cost_more(kit, spent):
    kit.launches.create(an_intent(used=UsedKey("ada", "again", ""), most_open=5))
    assert spent() == (5, 1)
