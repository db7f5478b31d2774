"""Placements on clusters, and turns in asking their schedulers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import update

from app.store.clusters import Clusters
from app.store.database import Database
from app.store.execution_rows import now
from app.store.placements import Placement, Placements
from app.store.scheduler_turns import SchedulerTurns
from app.store.schema import scheduler_turns


def placed(execution: str, root: str = "/home/ada/slipway") -> Placement:
    return Placement(execution, "hpcada", "ada", root)


def test_what_was_noted_first_holds(database: Database) -> None:
    placements = Placements(database, "hpc")
    assert placements.add(placed("e1")) == placed("e1")
    assert placements.add(placed("e1", "/scratch")) == placed("e1")
    assert placements.of(["e1", "e2"]) == {"e1": placed("e1")}


def test_orchestrators_have_their_own(database: Database) -> None:
    Placements(database, "hpc").add(placed("e1"))
    other = Placements(database, "other")
    assert other.of(["e1"]) == {}
    other.remove("e1")
    assert Placements(database, "hpc").of(["e1"]) == {"e1": placed("e1")}
    Placements(database, "hpc").remove("e1")
    Placements(database, "hpc").remove("e1")
    assert Placements(database, "hpc").of(["e1"]) == {}


def test_very_many_are_read(database: Database) -> None:
    placements = Placements(database, "hpc")
    ids = [f"e{number}" for number in range(1100)]
    for each in (ids[0], ids[600], ids[-1]):
        placements.add(placed(each))
    assert set(placements.of(ids)) == {ids[0], ids[600], ids[-1]}


def test_one_of_all_has_the_turn(database: Database) -> None:
    turns = [SchedulerTurns(database, "hpc", 3600.0) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda each: each.take(), turns))
    assert sorted(taken) == [False, False, False, True]
    assert SchedulerTurns(database, "other", 3600.0).take()


def test_turns_come_again(database: Database) -> None:
    turns = SchedulerTurns(database, "hpc", 0.0)
    assert [turns.take() for _ in range(3)] == [True] * 3


def test_a_clock_that_was_set_back_holds_nobody_up(database: Database) -> None:
    turns = SchedulerTurns(database, "hpc", 1.0)
    assert turns.take()
    later = update(scheduler_turns).values(next_at=now() + timedelta(days=1))
    database.write(lambda connection: connection.execute(later))
    assert turns.take()


def test_what_a_cluster_has_is_what_was_noted_last(database: Database) -> None:
    clusters = Clusters(database)
    assert clusters.get("hpc") is None
    clusters.note("hpc", [{"name": "main"}])
    clusters.note("other", [])
    clusters.note("hpc", [{"name": "gpu"}])
    noted = clusters.get("hpc")
    assert noted is not None
    assert noted.partitions == [{"name": "gpu"}]
    assert abs(now() - noted.noted_at) < timedelta(hours=1)
