"""Purging: what has ended is removed for good, in two steps, and leaves a tombstone."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select, update
from store_kit import NODE, entries

from app.domain import DesiredState, ExecutionFilter, ExecutionStatus, Level
from app.errors import Conflict, KeyOfPurged, Purged
from app.store import purging as purging_module
from app.store.changes import open_feed
from app.store.chores import Chores
from app.store.disk import DiskUsage
from app.store.execution_rows import now
from app.store.launches import UsedKey
from app.store.purging import AT_ONCE, ENTRIES_AT_ONCE, Purging, What
from app.store.schema import (
    ends_told,
    execution_labels,
    executions,
    load_metrics,
    load_runs,
    log_checkpoints,
    log_entries,
    removals,
    spent_names,
    standing_workflows,
    tasks,
    tombstones,
)
from app.trees import Size

SOON = timedelta(minutes=1)
KEY = UsedKey("ada", "key-1", "digest")


@pytest.fixture
def purging(database):
    return Purging(database, {"local": True})


def run(kit, number=1, **more):
    """Write down executions that have ended, with two entries and two tasks each."""
    return [over(kit, 2, **more) for _ in range(number)]


def over(kit, lines, **more):
    execution = kit.append(kit.held(**more), entries([Level.INFO] * lines))
    return kit.see(execution, ExecutionStatus.SUCCESS, log_complete=True)


def count(kit, table, *conditions):
    with kit.database.read() as connection:
        found = select(func.count()).select_from(table).where(*conditions)
        return connection.execute(found).scalar_one()


def purge_all(purging, what=What.EXECUTIONS, before=None):
    total = 0
    while number := purging.purge_old(what, before or now() + SOON, "retention"):
        total += number
    return total


def remove_all(purging):
    while purging.remove_some():
        pass


def test_what_was_purged_is_gone_at_once_and_its_rows_follow(kit, purging):
    (execution,) = run(kit, used=KEY, name="night 4", labels={"grid": "fine"})
    purging.purge(execution.number, "ada")
    with pytest.raises(Purged, match="by ada"):
        kit.executions.get(execution.id)
    assert kit.executions.known_upstream_as(execution.id) == []
    assert (count(kit, tasks), count(kit, log_entries)) == (2, 2)
    remove_all(purging)
    assert kit.executions.find(ExecutionFilter(labels=(("grid", "fine"),))) == ([], 0)
    gone = tasks, execution_labels, log_entries, log_checkpoints, ends_told, load_runs, load_metrics
    for table in gone:
        assert count(kit, table) == 0, table.name
    assert [r.execution_id for r in purging.files_left([NODE], 0, 10)] == [execution.id]


def test_a_tombstone_tells_whose_it_was_and_is_found_by_each_name(kit, purging):
    execution = kit.held()
    kit.launches.launched(execution, {"job": 2}, "upstream-7")
    kit.see(kit.driving.get(execution.id), ExecutionStatus.FAILED, log_complete=True)
    purging.purge(execution.number, "ops")
    for reference in (execution.id, execution.awf_name, "upstream-7"):
        (found,) = kit.executions.purged_as(reference)
        assert (found.id, found.owner, found.purged_by) == (execution.id, "ada", "ops")
        assert found.workflow_id == "flow"
    assert kit.executions.purged_as("another") == []


def test_neither_a_name_nor_a_key_is_used_again(kit, purging):
    (execution,) = run(kit, used=KEY)
    purging.purge(execution.number, "ada")
    for launch in (lambda: kit.create(used=KEY), lambda: kit.launches.launched_with(KEY)):
        with pytest.raises(KeyOfPurged, match="launch with another"):
            launch()
    other = UsedKey("ada", "key-1", "another request")
    with pytest.raises(Conflict, match="another request"):
        kit.launches.launched_with(other)
    assert count(kit, spent_names, spent_names.c.name == execution.awf_name) == 1
    names = {kit.create().awf_name for _ in range(3)}
    assert len(names) == 3
    assert execution.awf_name not in names


@pytest.mark.parametrize(
    "status", [s for s in ExecutionStatus if not s.final], ids=lambda s: str(s).lower()
)
def test_nothing_unfinished_is_touched(kit, purging, status):
    execution = kit.see(kit.held(), status)
    for what in What:
        assert purging.count(what, now() + SOON) == 0
        assert purge_all(purging, what) == 0
    with pytest.raises(Conflict, match="has not ended") as refused:
        purging.purge(execution.number, "ada")
    soon = 1 if status is ExecutionStatus.CANCELLING else None  # others may run for days
    assert refused.value.retry_after_seconds == soon
    assert kit.executions.get(execution.id).log_purged_at is None


def test_what_has_ended_and_whose_log_still_comes_is_unfinished(kit, purging):
    execution = kit.see(kit.held(), ExecutionStatus.SUCCESS)
    assert purge_all(purging) == 0
    with pytest.raises(Conflict, match="has not ended") as refused:
        purging.purge(execution.number, "ada")
    assert refused.value.retry_after_seconds == 1


def test_what_is_being_cancelled_can_be_purged_soon(kit, purging):
    execution = kit.held()
    kit.steered.desire(kit.executions.get(execution.id), DesiredState.CANCEL)
    with pytest.raises(Conflict, match="has not ended") as refused:
        purging.purge(execution.number, "ada")
    assert refused.value.retry_after_seconds == 1


def test_the_age_counts_from_the_end(kit, purging):
    moment = now()
    old, young, unsaid = kit.held(), kit.held(), kit.held()
    for execution, end in ((old, timedelta(days=2)), (young, timedelta(hours=1)), (unsaid, None)):
        kit.see(
            execution, ExecutionStatus.SUCCESS, log_complete=True,
            finished_at=end and moment - end,
        )  # fmt: skip
    assert purge_all(purging, before=moment - timedelta(days=1)) == 1
    with pytest.raises(Purged):
        kit.executions.get(old.id)
    assert purge_all(purging, before=moment - timedelta(minutes=30)) == 1
    assert kit.executions.get(unsaid.id).status is ExecutionStatus.SUCCESS
    assert purge_all(purging) == 1


def test_what_another_one_goes_on_from_is_kept_as_long_as_that(kit, purging):
    from test_continued import going_on  # noqa: PLC0415

    (first,) = run(kit)
    second = kit.create(**_fields(going_on(kit, first)))
    with pytest.raises(Conflict, match=f"goes on in the execution '{second.id}'"):
        purging.purge(first.number, "ada")
    assert [purge_all(purging, what) for what in (What.EXECUTIONS, What.FILES)] == [0, 0]
    assert second.id in kit.claim()
    kit.see(kit.driving.get(second.id), ExecutionStatus.SUCCESS, log_complete=True)
    assert purging.purge_old(What.FILES, now() + SOON, "retention") == 1
    assert [r.execution_id for r in purging.files_left([NODE], 0, 9)] == [second.id]
    assert purge_all(purging, What.FILES) == 1
    assert purging.purge_old(What.EXECUTIONS, now() + SOON, "retention") == 1
    assert purge_all(purging) == 1


def _fields(intent):
    return {name: getattr(intent, name) for name in intent.__slots__}


def test_nothing_goes_on_from_what_has_no_files_any_more(kit, purging):
    from test_continued import going_on  # noqa: PLC0415

    (first,) = run(kit)
    assert purge_all(purging, What.FILES) == 1
    with pytest.raises(Conflict, match="files of the execution were purged"):
        kit.create(**_fields(going_on(kit, first)))


def test_a_log_goes_and_its_execution_stays(kit, purging):
    (execution,) = run(kit)
    assert purge_all(purging, What.LOGS) == 1
    remove_all(purging)
    found = kit.executions.get(execution.id)
    assert found.log_purged_at is not None
    assert found.log_total == 2  # an index never changes its meaning
    assert (count(kit, log_entries), count(kit, tasks)) == (0, 2)
    assert purging.count(What.LOGS, now() + SOON) == 0


def test_a_long_log_goes_in_pieces_and_no_piece_is_lost_on_the_way(kit, purging):
    long = over(kit, 2 * ENTRIES_AT_ONCE + 3)
    (other,) = run(kit)
    purging.purge(long.number, "ada")
    left = []
    while purging.remove_some():
        left.append(count(kit, log_entries, log_entries.c.execution == long.number))
        # Each piece may be the last one of a process: another one goes on.
        purging = Purging(kit.database, {"local": True})
    assert left == [ENTRIES_AT_ONCE + 3, 3, 0]
    assert count(kit, log_checkpoints, log_checkpoints.c.execution == long.number) == 0
    assert count(kit, log_entries, log_entries.c.execution == other.number) == 2
    assert count(kit, removals, removals.c.kind != What.FILES) == 0


def test_no_transaction_has_many_executions(kit, purging):
    run(kit, AT_ONCE + 3)
    assert purging.count(What.EXECUTIONS, now() + SOON) == AT_ONCE + 3
    numbers = [purging.purge_old(What.EXECUTIONS, now() + SOON, "retention") for _ in range(3)]
    assert numbers == [AT_ONCE, 3, 0]
    assert count(kit, tombstones) == AT_ONCE + 3
    assert count(kit, executions) == 0


@pytest.mark.parametrize("what", What)
def test_what_is_purged_is_found_by_its_number(kit, purging, what):
    run(kit, 3)
    engine, used = kit.database.engine(), []

    def note(_connection, _cursor, statement, parameters, *_more):
        used.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    assert purge_all(purging, what) == 3
    remove_all(purging)
    event.remove(engine, "before_cursor_execute", note)
    first = "SET LOCAL enable_seqscan = off"
    assert kit.database.is_sqlite or used.count((first, {})) >= 2
    by_number = [
        (statement, parameters)
        for statement, parameters in used
        if " IN (" in statement and not re.match("UPDATE counters|SELECT removals", statement)
    ]
    assert len(by_number) > 1
    for statement, parameters in by_number:
        plan = plan_of(kit, first, statement, parameters)
        assert "SCAN executions" not in plan
        assert "Seq Scan" not in plan or "standing_workflows" in plan
        assert "ix_removals_kind" not in plan


def plan_of(kit, first, statement, parameters):
    explain = "EXPLAIN QUERY PLAN" if kit.database.is_sqlite else "EXPLAIN"
    with kit.database.engine().connect() as connection:
        if not kit.database.is_sqlite:
            connection.exec_driver_sql(first)
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
        return "\n".join(str(row[-1]) for row in rows)


def test_what_ended_first_goes_first(kit, purging, monkeypatch):
    monkeypatch.setattr(purging_module, "AT_ONCE", 1)
    ended = run(kit, 3)
    for execution, minutes in zip(ended, (1, 3, 2), strict=True):
        mine = update(executions).where(executions.c.number == execution.number)
        earlier = mine.values(finished_at=now() - timedelta(minutes=minutes))
        kit.database.write(lambda c, earlier=earlier: c.execute(earlier))
    left = []
    while purging.purge_old(What.EXECUTIONS, now(), "retention"):
        left.append(count(kit, executions, executions.c.id.in_([e.id for e in ended])))
        assert kit.executions.purged_as(ended[(1, 2, 0)[len(left) - 1]].id)
    assert left == [2, 1, 0]


def test_files_go_where_they_are(kit, purging):
    (ours,) = run(kit)
    elsewhere = kit.held(orchestrator="upstream")
    kit.see(elsewhere, ExecutionStatus.SUCCESS, log_complete=True)
    assert purge_all(purging, What.FILES) == 2
    assert purging.files_left(["another-node"], 0, 9) == []
    (removal,) = purging.files_left([NODE, "its other name"], 0, 9)
    assert (removal.execution_id, removal.orchestrator) == (ours.id, "local")
    assert purging.files_left([NODE], removal.execution, 9) == []
    purging.files_removed(removal)
    assert purging.files_left([NODE], 0, 9) == []


def test_files_of_what_stayed_on_a_machine_are_removed_there(kit):
    purging = Purging(kit.database, {"cluster": False})
    stayed = kit.held(orchestrator="cluster")
    went = kit.held(orchestrator="cluster")
    for execution, stays in ((stayed, True), (went, False)):
        kit.see(execution, ExecutionStatus.SUCCESS, log_complete=True, stays=stays)
    assert purge_all(purging, What.FILES) == 2
    assert [r.execution_id for r in purging.files_left(["another"], 0, 9)] == [went.id]
    assert [r.execution_id for r in purging.files_left([NODE], 0, 9)] == [stayed.id, went.id]


def test_a_workflow_that_stands_has_no_current_execution_then(kit, purging):
    (execution,) = run(kit)
    values = {
        "name": "n", "workflow_id": "flow", "orchestrator": "local", "owner": "ada",
        "working_dir": "/", "version": 4, "execution": execution.number, "created_at": now(),
    }  # fmt: skip
    kit.database.write(lambda c: c.execute(standing_workflows.insert().values(values)))
    purging.purge(execution.number, "ada")
    with kit.database.read() as connection:
        columns = standing_workflows.c.execution, standing_workflows.c.version
        assert connection.execute(select(*columns)).one() == (None, 5)


def test_readers_of_all_processes_hear_of_it(kit, purging, database):
    (execution,) = run(kit)
    heard = []
    feed = open_feed(database, "changed", heard.append)
    try:
        purging.purge(execution.number, "ada")
        assert feed.prove()
        assert {id_ for ids in heard for id_ in ids} == {execution.id}
    finally:
        feed.close()


def test_purging_twice_is_as_good_as_once(kit, purging):
    (execution,) = run(kit)
    purging.purge(execution.number, "ada")
    purging.purge(execution.number, "bob")
    (found,) = kit.executions.purged_as(execution.id)
    assert found.purged_by == "ada"


def test_a_chore_is_one_process_s_until_it_leaves_it_or_is_silent(database):
    one, two = Chores(database, "one"), Chores(database, "two")
    assert one.take("purge", 3600)
    assert one.take("purge", 3600)
    assert not two.take("purge", 3600)
    assert not two.take("purge", 3600)  # nor is it taken for its own from then on
    assert two.take("another", 3600)
    one.leave("purge")
    assert two.take("purge", -1)  # as long as it is not renewed
    assert one.take("purge", 3600)


def test_the_database_knows_what_it_takes_up(kit, database, purging):
    usage = DiskUsage(database)
    over(kit, 100)
    before = usage.measure_database(60)
    assert before["database"].bytes_ > 0
    assert before["logs"].whole
    purge_all(purging, What.LOGS, now() + SOON)
    assert usage.measure_database(60)["logs"].bytes_ == 0 < before["logs"].bytes_
    assert usage.measure_database(-1)["logs"].whole is False
    usage.put(NODE, {"work_folders": Size(5, whole=False)})
    usage.put(NODE, {"work_folders": Size(7)})
    (found,) = usage.all()
    assert (found.place, found.what, found.size_bytes, found.is_partial) == (
        NODE, "work_folders", 7, False,
    )  # fmt: skip
