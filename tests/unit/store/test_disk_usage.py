"""What the store takes up on the disk."""

import pytest
from store_kit import entries

from app.domain import Level
from app.store import disk
from app.store.disk import DiskUsage
from app.store.execution_rows import now
from app.store.log_sizes import log_bytes_of
from app.store.schema import executions


@pytest.mark.parametrize("at_once", [1, 2, 4, 5])
def test_each_log_counts_once_however_many_are_looked_at_at_once(kit, monkeypatch, at_once):
    monkeypatch.setattr(disk, "_AT_ONCE", at_once)
    for number in range(5):
        kit.append(kit.held(), entries([Level.INFO] * (number + 1)))
    found = DiskUsage(kit.database).measure_database(60)["logs"]
    assert found.whole
    assert found.bytes_ == log_bytes_of(kit.database, "ada") > 0


def test_a_log_that_was_purged_counts_no_more(kit):
    for lines in (1, 2):
        execution = kit.append(kit.held(owner=f"user-{lines}"), entries([Level.INFO] * lines))
    purged = executions.update().where(executions.c.id == execution.id)
    kit.database.write(lambda c: c.execute(purged.values(log_purged_at=now())))
    found = DiskUsage(kit.database).measure_database(60)["logs"]
    assert found.bytes_ == log_bytes_of(kit.database, "user-1") > 0
