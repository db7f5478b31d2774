"""Executions by what people call them, and the other ways to find some among many."""

from datetime import timedelta

import pytest
from alembic import command
from sqlalchemy import event, func, select, text, update

from app.domain import ExecutionFilter, ExecutionStatus
from app.store import migrate
from app.store.execution_rows import now
from app.store.schema import execution_labels, executions

ADA = frozenset({"ada"})
BOTH = frozenset({"ada", "bob"})
MOMENT = now()
OLD_ONES = (
    "INSERT INTO executions (id, awf_name, orchestrator, workflow_id, workflow_name, owner, inputs,"
    " status, desired, created_at, as_of, finished_at) SELECT md5(CAST(n AS text)), 'other-' || n,"
    " '', 'other', 'Other', 'eve', '{}', 'SUCCESS', 'RUN', n, n, n"
    " FROM generate_series(1, 5000) AS n"
)
THEIR_LABELS = (
    "INSERT INTO execution_labels (execution, key, value, owner)"
    " SELECT number, 'team', 'blue', owner FROM executions WHERE owner = 'eve'"
)
AMONG_OTHERS = OLD_ONES, THEIR_LABELS, "ANALYZE executions, execution_labels"
"""Thousands of executions that no filter wants: PostgreSQL reads a small table whole."""


def found(kit, **wanted):
    """The names of what a filter lets through, newest first."""
    some, total = kit.executions.find(ExecutionFilter(**wanted))
    assert len(some) == total
    return [execution.name for execution in some]


def at(kit, execution, **columns):
    """Let moments of an execution be others."""
    mine = update(executions).where(executions.c.id == execution.id)
    kit.database.write(lambda c: c.execute(mine.values(**columns)))


class TestCalled:
    def test_a_name_and_labels_are_kept_as_they_were_given(self, kit):
        labels = {"grid": "fine", "team/site": "Zürich \N{SNOWMAN}", "empty": ""}
        made = kit.create(name="night 4", labels=labels)
        assert (made.name, made.labels) == ("night 4", labels)
        assert kit.executions.get(made.id) == made
        (listed,), _ = kit.executions.find(ExecutionFilter())
        assert (listed.name, listed.labels) == ("night 4", labels)

    def test_without_any_there_is_none(self, kit):
        made = kit.create()
        assert (made.name, made.labels) == (None, {})
        assert rows(kit) == 0

    def test_what_was_withdrawn_leaves_no_label(self, kit):
        kit.launches.withdraw(kit.create(labels={"grid": "fine"}))
        assert rows(kit) == 0

    def test_they_are_no_burden_for_who_drives_it(self, kit):
        execution = kit.held(labels={"grid": "fine"})
        assert kit.see(execution).labels == {"grid": "fine"}
        assert kit.executions.get(execution.id).labels == {"grid": "fine"}

    def test_what_was_launched_before_there_were_any_has_none(self, kit):
        before = kit.launched()
        kit.database.write(lambda c: command.downgrade(migrate.alembic_config(c), "0033"))
        migrate.upgrade(kit.database)
        after = kit.executions.get(before.id)
        assert (after.name, after.labels) == (None, {})
        assert found(kit, name="night 4") == []
        kit.create(name="night 4", labels={"a": "b"})
        assert found(kit, labels=(("a", "b"),)) == ["night 4"]


class TestFound:
    @pytest.fixture
    def called(self, kit):
        for owner, name, labels in (
            ("ada", "a", {"grid": "fine", "run": "1"}),
            ("bob", "b", {"grid": "fine"}),
            ("ada", "c", {"grid": "coarse", "run": "1"}),
            ("ada", "d", {"gri": "fine"}),
            ("ada", "d", {}),
        ):
            kit.create(owner=owner, name=name, labels=labels)

    @pytest.mark.parametrize(
        ("labels", "names"),
        [
            ((("grid", "fine"),), "ba"),
            ((("grid", None),), "cba"),
            ((("grid", "fine"), ("run", "1")), "a"),
            ((("run", None), ("grid", "coarse")), "c"),
            ((("grid", "fine"), ("grid", "coarse")), ""),
            ((("grid", ""),), ""),
            ((("nothing", None),), ""),
        ],
    )
    @pytest.mark.parametrize("owners", [None, ADA, BOTH], ids=["all", "ada", "both"])
    def test_by_labels_of_which_all_must_fit(self, kit, called, labels, names, owners):
        mine = [name for name in names if owners != ADA or name != "b"]
        assert found(kit, labels=labels, owners=owners) == mine

    def test_by_name(self, kit, called):
        assert found(kit, name="d") == ["d", "d"]
        assert found(kit, name="b", owners=ADA) == found(kit, name="D") == []

    def test_pages_keep_to_the_filter(self, kit):
        for number in range(7):
            kit.create(name=str(number), labels={"even": str(number % 2 == 0)})
        wanted = ExecutionFilter(labels=(("even", "True"),))
        pages = [kit.executions.find(wanted, offset, 2) for offset in (0, 2, 4)]
        assert [total for _, total in pages] == [4, 4, 4]
        assert [[each.name for each in some] for some, _ in pages] == [["6", "4"], ["2", "0"], []]

    def test_by_what_it_is_called_or_how_that_begins(self, kit):
        kit.create(execution_id="e5b2077c", name="night 4")
        kit.create(execution_id="f", name="e5")
        kit.create(execution_id="night-4", name="other")
        assert found(kit, called="e5") == ["e5", "night 4"]
        assert found(kit, called="night 4") == ["night 4"]
        assert found(kit, called="night-4") == ["other"]
        assert found(kit, called="ü\x01%") == []

    def test_by_how_an_id_or_a_name_begins(self, kit):
        ids = ["e5b2077c-1", "e5b2077c-2", "e5c", "E5b", "exec-abc", "f"]
        for id_ in ids:
            kit.create(execution_id=id_, name=id_, workflow_id=f"w{id_[:2]}")
        kit.create(execution_id="x", name="load", upstream_id="exec-abcd", workflow_id="vus")
        kit.create(execution_id="y", name="theirs", upstream_id="executed", workflow_id="e5b.9")
        assert found(kit, prefix="e5b2") == ["e5b2077c-2", "e5b2077c-1"]
        assert found(kit, prefix="e5b2077c-1") == ["e5b2077c-1"]
        assert found(kit, prefix="e5") == ["theirs", "e5c", "e5b2077c-2", "e5b2077c-1"]
        assert found(kit, prefix="exec-abc") == ["load", "exec-abc"]
        assert found(kit, prefix="execu") == []
        assert found(kit, prefix="we5-20") == ["e5c", "e5b2077c-2", "e5b2077c-1"]
        assert found(kit, prefix="vus-2") == ["load"]
        assert found(kit, prefix="z") == found(kit, prefix="e5b2", owners=frozenset({"bob"})) == []

    @pytest.mark.parametrize("prefix", ["_", "%", "e_", "-", "z", "~", "Z"])
    def test_no_character_of_a_beginning_stands_for_another(self, kit, prefix):
        kit.create(execution_id="e5b", workflow_id="W")
        assert found(kit, prefix=prefix) == []

    def test_by_when_they_were_launched(self, kit):
        for hours in (1, 2, 3):
            at(kit, kit.create(name=str(hours)), created_at=MOMENT - timedelta(hours=hours))
        assert found(kit, created_since=MOMENT - timedelta(hours=2)) == ["2", "1"]
        assert found(kit, created_since=MOMENT) == []
        assert found(kit, created_since=MOMENT - timedelta(days=1), owners=ADA) == ["3", "2", "1"]

    def test_those_that_have_not_ended_and_those_that_ended_lately(self, kit):
        hour = timedelta(hours=1)
        old = MOMENT - 100 * hour
        for name, created_at, finished_at, status in (
            ("runs for long", old, None, ExecutionStatus.RUNNING),
            ("unknown", old, None, ExecutionStatus.UNKNOWN),
            ("ended lately", old, MOMENT - hour, ExecutionStatus.FAILED),
            ("ended long ago", old, MOMENT - 50 * hour, ExecutionStatus.FAILED),
            ("nobody knows when", MOMENT - 2 * hour, None, ExecutionStatus.SUCCESS),
            ("nobody knows when, long ago", old, None, ExecutionStatus.SUCCESS),
            ("bob's", MOMENT - hour, None, ExecutionStatus.RUNNING),
        ):
            execution = kit.create(name=name, owner="bob" if "bob" in name else "ada")
            at(kit, execution, created_at=created_at, finished_at=finished_at, status=status)
        since = MOMENT - 24 * hour
        mine = ["nobody knows when", "ended lately", "unknown", "runs for long"]
        assert found(kit, active_since=since) == ["bob's", *mine]
        assert found(kit, active_since=since, owners=ADA) == mine
        failed = frozenset({ExecutionStatus.FAILED})
        assert found(kit, active_since=since, states=failed) == ["ended lately"]


# Each way to ask, for everybody's and for one's own.
WANTED = {
    "name": {"name": "night"},
    "label": {"labels": (("grid", "fine"),)},
    "key": {"labels": (("grid", None),)},
    "labels": {"labels": (("grid", "fine"), ("run", None))},
    "prefix": {"prefix": "e5b2"},
    "called": {"called": "e5b2"},
    "created": {"created_since": MOMENT - timedelta(days=1)},
    "active": {"active_since": MOMENT - timedelta(days=1)},
    "all": {
        "name": "night", "labels": (("grid", "fine"),), "prefix": "e5b2",
        "created_since": MOMENT - timedelta(days=1), "active_since": MOMENT - timedelta(days=1),
        "workflow": "flow", "states": frozenset({ExecutionStatus.RUNNING}),
    },
}  # fmt: skip


@pytest.fixture
def statements(kit):
    """The statements that are read with, and their parameters."""
    noted = []

    def note(_connection, _cursor, statement, parameters, *_more):
        noted.append((statement, parameters))

    reader = kit.database._reader
    event.listen(reader, "before_cursor_execute", note)
    yield noted
    event.remove(reader, "before_cursor_execute", note)


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
@pytest.mark.parametrize("owners", [None, ADA, BOTH], ids=["all", "ada", "both"])
def test_what_is_found_is_looked_up_in_an_index(kit, statements, wanted, owners):
    kit.create(execution_id="e5b2077c", name="night", labels={"grid": "fine", "run": "1"})
    kit.executions.find(ExecutionFilter(owners=owners, **wanted), 10, 100)
    explain = "EXPLAIN QUERY PLAN " if kit.database.is_sqlite else "EXPLAIN "
    with kit.database._writer.connect() as connection:
        for prepare in () if kit.database.is_sqlite else AMONG_OTHERS:
            connection.execute(text(prepare))
        for statement, parameters in statements[:2]:  # the count, and the numbers of the page
            rows = connection.exec_driver_sql(explain + statement, parameters)
            plan = "\n".join(str(row[-1]) for row in rows)
            for whole in ("Seq Scan on exec", "SCAN executions", "SCAN execution_labels"):
                assert whole not in plan, plan


def rows(kit):
    with kit.database.read() as connection:
        return connection.execute(select(func.count()).select_from(execution_labels)).scalar_one()
