from datetime import timedelta

import pytest
from sqlalchemy import select

from app.domain import ExecutionStatus
from app.store import compiled, retention
from app.store.compiled import CompiledDefinitions
from app.store.definitions import DefinitionSnapshots
from app.store.execution_rows import now
from app.store.retention import UnusedDefinitions
from app.store.schema import definitions
from app.store.uploads import Upload, UploadedDefinitions


class Clock:
    """The moment, which a test moves on."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def __call__(self):
        return now() + self.moved

    def pass_days(self, days: float) -> None:
        self.moved += timedelta(days=days)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(retention, "now", made)
    return made


@pytest.fixture
def snapshots(database):
    return DefinitionSnapshots(database)


@pytest.fixture
def unused(database):
    return UnusedDefinitions(database)


def kept(kit):
    with kit.database.read() as connection:
        return set(connection.execute(select(definitions.c.digest)).scalars())


def launch(kit, digest, **more):
    execution = kit.create(reference={"definition": digest}, **more)
    kit.claim()
    return kit.driving.get(execution.id)


def compile_(kit, key, digest):
    CompiledDefinitions(kit.database).keep(key, {"id": key, "digest": digest}, "{}")


def upload(kit, workflow_id, digest):
    made = Upload(workflow_id, "key", {"digest": digest}, "ada", now())
    UploadedDefinitions(kit.database).put(made, "id: x", None)


def end(kit, execution):
    return kit.see(execution, ExecutionStatus.SUCCESS, log_complete=True)


def test_what_nothing_needs_is_removed_when_that_is_so_for_a_day(kit, snapshots, unused, clock):
    digest = snapshots.keep({"steps": 1})
    for hours in (0, 12, 11):
        clock.pass_days(hours / 24)
        assert (unused.prune(), kept(kit)) == (0, {digest})
    clock.pass_days(1 / 12)
    assert (unused.prune(), kept(kit)) == (1, set())
    assert unused.prune() == 0


USES = {
    "an execution": launch,
    "what was checked": lambda kit, digest: compile_(kit, "key", digest),
    "an upload": lambda kit, digest: upload(kit, "flow", digest),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_something_needs_stays_however_long(kit, snapshots, unused, clock, use):
    digest, other = snapshots.keep({"steps": 1}), snapshots.keep({"steps": 2})
    use(kit, digest)
    for _ in range(3):
        unused.prune()
        clock.pass_days(40)
    assert kept(kit) == {digest}
    assert snapshots.get(digest) == {"steps": 1}
    assert other not in kept(kit)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_is_needed_again_meanwhile_stays(kit, snapshots, unused, clock, use):
    digest = snapshots.keep({"steps": 1})
    unused.prune()
    clock.pass_days(2)
    use(kit, digest)
    assert (unused.prune(), kept(kit)) == (0, {digest})


def test_what_is_kept_anew_meanwhile_begins_its_day_again(kit, snapshots, unused, clock):
    digest = snapshots.keep({"steps": 1})
    unused.prune()
    clock.pass_days(2)
    assert snapshots.keep({"steps": 1}) == digest
    assert (unused.prune(), kept(kit)) == (0, {digest})
    clock.pass_days(2)
    assert unused.prune() == 1


@pytest.mark.parametrize("anew", [True, False], ids=["kept anew", "launched"])
def test_what_is_needed_while_it_is_about_to_be_removed_stays(
    kit, unused, clock, monkeypatch, anew
):
    """Between the look at what is needed and the removal."""
    snapshots = DefinitionSnapshots(kit.database)
    digest = snapshots.keep({"steps": 1})
    unused.prune()
    clock.pass_days(2)
    mark = unused._mark

    def use_before_it_is_removed(digests, moment):
        _ = snapshots.keep({"steps": 1}) if anew else launch(kit, digest)
        mark(digests, moment)

    monkeypatch.setattr(unused, "_mark", use_before_it_is_removed)
    assert (unused.prune(), kept(kit)) == (0, {digest})


def test_an_execution_needs_its_own_until_its_log_is_complete(kit, snapshots, unused, clock):
    digest = snapshots.keep({"steps": 1})
    first, second = launch(kit, digest), launch(kit, digest)
    end(kit, first)
    second = kit.see(second, ExecutionStatus.SUCCESS)
    for _ in range(3):
        assert unused.prune() == 0
        clock.pass_days(2)
    end(kit, second)
    assert unused.prune() == 0
    clock.pass_days(2)
    assert (unused.prune(), kept(kit)) == (1, set())
    assert kit.executions.get(first.id).status is ExecutionStatus.SUCCESS


def test_what_was_checked_a_month_ago_and_is_not_offered_any_more_needs_none(
    kit, snapshots, unused, clock, monkeypatch
):
    digest, offered = snapshots.keep({"steps": 1}), snapshots.keep({"steps": 2})
    compile_(kit, "replaced", digest)
    compile_(kit, "key", offered)
    upload(kit, "flow", offered)
    monkeypatch.setattr(compiled, "now", clock)
    clock.pass_days(29)
    assert (unused.prune(), kept(kit)) == (0, {digest, offered})
    clock.pass_days(2)
    assert unused.prune() == 0
    clock.pass_days(2)
    assert (unused.prune(), kept(kit)) == (1, {offered})


def test_many_are_removed_in_portions_and_references_of_others_are_in_nobodys_way(
    kit, snapshots, unused, clock, monkeypatch
):
    monkeypatch.setattr(retention, "_AT_ONCE", 3)
    digests = {snapshots.keep({"steps": n}) for n in range(10)}
    needed = sorted(digests)[4]
    launch(kit, needed)
    for reference in ({"job": 1}, [1], "text", 7, {"definition": 7}):
        kit.create(reference=reference)
    assert unused.prune() == 0
    clock.pass_days(2)
    assert (unused.prune(), kept(kit)) == (9, {needed})
