import pytest
from alembic import command
from sqlalchemy import Text, cast, event, func, insert, literal, null, select, text, true

from app.domain import DesiredState, ExecutionFilter, ExecutionStatus
from app.errors import Conflict
from app.store import migrate
from app.store.execution_rows import now
from app.store.schema import executions

THERE = {"application": "a", "environment": "e", "workflow": "w", "execution": "x"}


class TestReferences:
    def test_one_of_its_own_is_no_other_executions(self, kit):
        first, second, elsewhere = kit.create(), kit.create(), kit.create(orchestrator="other")
        kit.launches.launched(first, THERE, own=True)
        with pytest.raises(Conflict, match="belongs to another execution"):
            kit.launches.launched(second, dict(reversed(THERE.items())), own=True)
        assert kit.executions.get(second.id) == second
        kit.launches.launched(elsewhere, THERE, own=True)
        assert kit.driving.get(elsewhere.id).reference == THERE

    def test_one_that_several_may_hold_is(self, kit):
        for _ in range(2):
            execution = kit.create()
            kit.launches.launched(execution, THERE)
            assert kit.driving.get(execution.id).reference == THERE

    def test_noting_it_twice_is_as_good_as_once(self, kit):
        execution = kit.create()
        for _ in range(2):
            kit.launches.launched(execution, THERE, "x", own=True)
        assert kit.executions.get(execution.id).upstream_id == "x"

    def test_what_is_settled_at_the_same_moment_does_not_get_it_either(self, kit, monkeypatch):
        execution, other = kit.create(), kit.create()
        kit.launches.doubt(execution, "who knows?")
        assert execution.id in kit.claim()
        siblings = kit.driving.siblings(execution)
        monkeypatch.setattr("app.store.driving._require_free", lambda *_: None)
        kit.launches.launched(other, THERE, own=True)  # after it was found to be free
        with pytest.raises(Conflict, match="belongs to another execution"):
            kit.driving.settle(execution, "conductor-1", THERE, siblings)
        assert kit.executions.get(execution.id).status is ExecutionStatus.UNKNOWN

    def test_whoever_adopts_it_gets_its_holder(self, kit):
        execution = kit.create()
        kit.launches.launched(execution, THERE, own=True)
        intent = kit.intent(execution_id="x")
        adopted = kit.launches.adopt(intent, THERE, ExecutionStatus.RUNNING, now())
        assert adopted.id == execution.id

    def test_and_so_with_one_that_was_stored_before_there_were_keys(self, kit):
        execution = kit.create()
        kit.launches.launched(execution, {"job": 7})
        intent = kit.intent(execution_id="x")
        adopted = kit.launches.adopt(intent, {"job": 7}, ExecutionStatus.RUNNING, now())
        assert adopted.id == execution.id

    def test_older_duplicates_stand_in_the_way_of_no_upgrade(self, kit):
        references = [THERE, {**THERE, "execution": "y"}, THERE, {"definition": "d"}]
        executions = [kit.create() for _ in range(5)]
        for execution, reference in zip(executions, references, strict=False):
            kit.launches.launched(execution, reference)
        kit.steered.desire(executions[2], DesiredState.CANCEL)

        def back(connection):
            command.downgrade(migrate.alembic_config(connection), "0011")

        kit.database.write(back)
        migrate.upgrade(kit.database)
        with kit.database.read() as connection:
            rows = connection.execute(
                text("SELECT reference_key IS NOT NULL FROM executions ORDER BY number")
            )
            assert [bool(row[0]) for row in rows] == [True, True, False, False, False]
        now_held = [kit.driving.get(execution.id).reference for execution in executions]
        assert now_held == [*references, None]
        with pytest.raises(Conflict):
            kit.launches.launched(executions[4], THERE, own=True)
        assert executions[2].id in kit.claim()  # what was under way goes on
        kit.see(kit.driving.get(executions[2].id))


# Every way to ask, alone and together.
def filters():
    states = frozenset({ExecutionStatus.RUNNING, ExecutionStatus.FAILED})
    for owners in (None, frozenset({"ada"}), frozenset({"ada", "bob"})):
        for workflow in (None, "flow", "Flow"):
            for chosen in (None, states):
                yield ExecutionFilter(owners=owners, workflow=workflow, states=chosen)


def named(wanted):
    states = "_".join(sorted(wanted.states or ()))
    owners = "_".join(sorted(wanted.owners or ())) or None
    return f"{owners}-{wanted.workflow}-{states}"


@pytest.mark.parametrize("wanted", list(filters()), ids=named)
def test_lists_give_what_they_are_asked_for(kit, wanted):
    made = []
    for number in range(24):
        owner, flow = "ada" if number % 2 else "bob", "flow" if number % 3 else "other"
        execution = kit.launched(owner=owner, workflow_id=flow, workflow_name=flow.title())
        if number % 4 == 0:
            kit.launches.doubt(execution, "why")
        made.append(kit.executions.get(execution.id))

    def fits(execution):
        return (
            (wanted.owners is None or execution.owner in wanted.owners)
            and wanted.workflow in (None, execution.workflow_id, execution.workflow_name)
            and (wanted.states is None or execution.status in wanted.states)
        )

    expected = [execution.id for execution in reversed(made) if fits(execution)]
    for offset, limit in ((0, None), (2, None), (0, 5), (3, 4), (100, 5)):
        found, total = kit.executions.find(wanted, offset, limit)
        assert total == len(expected)
        end = None if limit is None else offset + limit
        assert [execution.id for execution in found] == expected[offset:end]


@pytest.mark.parametrize("wanted", [f for f in filters() if f != ExecutionFilter()], ids=named)
def test_what_lists_skip_is_counted_in_an_index(kit, wanted):
    statements = []

    def note(_connection, _cursor, statement, parameters, *_more):
        statements.append((statement, parameters))

    kit.launched()
    event.listen(kit.database._reader, "before_cursor_execute", note)
    kit.executions.find(wanted, 10_000, 100)
    event.remove(kit.database._reader, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if kit.database.is_sqlite else "EXPLAIN "
    with kit.database._writer.connect() as connection:
        if not kit.database.is_sqlite:  # which reads a small table whole, or by any index
            connection.execute(among_others())
            connection.execute(text("ANALYZE executions"))
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, parameters in statements[:2]:  # the count, and the numbers of the page
            rows = connection.exec_driver_sql(explain + statement, parameters)
            plan = "\n".join(str(row[-1]) for row in rows)
            assert "Seq Scan" not in plan
            assert "SCAN executions" not in plan
            assert "ix_executions_" in plan


def among_others():
    """Write down thousands of executions that none of the filters wants, beside the only one."""
    others = func.generate_series(10_000, 13_000).table_valued("n").render_derived()
    number, name = others.c.n, cast(others.c.n, Text)
    values = {
        "number": number, "id": name, "awf_name": name,
        "owner": literal("eve"), "workflow_id": literal("other"), "workflow_name": literal("Other"),
        "status": literal(ExecutionStatus.SUCCESS.value), "reference_key": null(),
    }  # fmt: skip
    columns = executions.columns
    chosen = select(*(values.get(column.name, column) for column in columns))
    chosen = chosen.select_from(executions.join(others, true()))
    return insert(executions).from_select(columns.keys(), chosen)
