import json
import subprocess
import sys
from itertools import accumulate

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from app.domain import Level, NewLogEntry
from app.errors import ConfigError
from app.log_lines import log_line
from app.store import migrate
from app.store.database import Database
from app.store.journal import Totals
from app.store.load_definitions import LoadDefinitions
from app.store.schema import metadata
from app.store.uploads import UploadedDefinitions

UPGRADE = (
    "import sys; from app.store import migrate; from app.store.database import Database;"
    "migrate.upgrade(Database(sys.argv[1]))"
)


@pytest.fixture
def empty(database_url):
    made = Database(database_url)
    yield made
    made.dispose()


def table_names(database):
    return set(inspect(database.engine()).get_table_names())


def test_the_migrations_make_the_schema_that_the_program_uses(database):
    def differences(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        return compare_metadata(context, metadata)

    assert database.write(differences) == []


def test_an_empty_database_is_refused_until_it_is_upgraded(empty):
    with pytest.raises(ConfigError, match="slipway migrate"):
        migrate.check(empty)
    migrate.upgrade(empty)
    migrate.check(empty)


def test_the_number_of_the_last_file_is_the_revision_that_alembic_goes_to(database):
    with database.read() as connection:
        script = ScriptDirectory.from_config(migrate.alembic_config(connection))
    assert migrate.head() == script.get_current_head()


def run(database, *statements):
    def work(connection):
        for statement in statements:
            connection.execute(text(statement))

    database.write(work)


def test_tables_of_an_earlier_version_are_not_up_to_date(database):
    run(database, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(ConfigError, match="slipway migrate"):
        migrate.check(database)


ASKED = [migrate.upgrade, migrate.begin, migrate.check]


@pytest.mark.parametrize("ask", ASKED, ids=["upgrade", "begin", "check"])
@pytest.mark.parametrize(
    ("revision", "why"),
    [
        (
            "9999",
            r"newer version of Slipway \(it has revision 9999,.* up to \d+\).*restore the back",
        ),
        ("10000", "newer version.*10000"),
        ("1975ea83b712", "another program.*1975ea83b712"),
        ("0000", "another program.*0000"),
    ],
)
def test_tables_that_this_version_does_not_know_are_refused_and_stay(database, ask, revision, why):
    run(database, f"UPDATE alembic_version SET version_num = '{revision}'")
    with pytest.raises(ConfigError, match=why) as caught:
        ask(database)
    assert "slipway migrate" not in caught.value.message
    with database.read() as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
        assert found.all() == [revision]


@pytest.mark.parametrize("ask", ASKED, ids=["upgrade", "begin", "check"])
def test_tables_of_another_program_are_refused_and_stay(empty, ask):
    run(empty, "CREATE TABLE executions (a INTEGER)")
    with pytest.raises(ConfigError, match=r"another program.*'executions'"):
        ask(empty)
    assert table_names(empty) == {"executions"}


def test_a_schema_of_postgresql_may_hold_more(empty):
    run(empty, "CREATE TABLE aaa (a INTEGER)")
    if empty.is_sqlite:
        with pytest.raises(ConfigError, match=r"another program.*'aaa'"):
            migrate.upgrade(empty)
    else:
        migrate.upgrade(empty)
        migrate.check(empty)


def test_upgrading_twice_changes_nothing(database):
    before = table_names(database)
    migrate.upgrade(database)
    migrate.check(database)
    assert table_names(database) == before == {*metadata.tables, "alembic_version"}


def test_processes_that_upgrade_at_the_same_moment_do_not_disturb_each_other(empty, database_url):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADE, database_url], stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    migrate.check(empty)


def test_what_was_counted_before_there_was_a_counter_goes_on_from_there(kit):
    executions = [kit.held() for _ in range(3)]

    def back(connection):
        command.downgrade(migrate.alembic_config(connection), "0002")

    kit.database.write(back)
    highest = "UPDATE executions SET changed = 41, wanted = 40 WHERE id = :id"
    kit.database.write(lambda c: c.execute(text(highest), {"id": executions[1].id}))
    migrate.upgrade(kit.database)
    with kit.database.read() as connection:
        counted = connection.execute(text("SELECT name, value FROM counters ORDER BY name"))
        assert [tuple(row) for row in counted] == [
            ("api_keys", 0), ("assigned", 0), ("changed", 41), ("sessions", 0), ("signing_keys", 0),
            ("touched", 0), ("users", 0), ("wanted", 40), ("withdrawn", 0),
        ]  # fmt: skip


def test_the_way_back_leaves_no_table(database):
    def downgrade(connection):
        command.downgrade(migrate.alembic_config(connection), "base")

    database.write(downgrade)
    assert table_names(database) == {"alembic_version"}


def test_ids_of_the_upstream_are_found_in_what_was_kept_before(kit):
    executions = [kit.launched() for _ in range(3)]
    kept = {"application": "a", "environment": "e", "workflow": "w", "execution": "there"}
    references = [kept, {"job": 7}, {**kept, "more": 1}]
    for execution, reference in zip(executions, references, strict=True):
        kit.launches.launched(execution, reference)

    def back(connection):
        command.downgrade(migrate.alembic_config(connection), "0004")

    kit.database.write(back)
    migrate.upgrade(kit.database)
    found = [execution.id for execution in kit.executions.known_upstream_as("there")]
    assert found == [executions[0].id]


def test_cursors_of_tasks_go_back_to_where_the_program_before_looks_for_them(kit):
    cursors = {"first": {"status": "SUCCESS"}, "second": {"offset": 5}}
    execution = kit.see(kit.held(), cursor={"version": 2, "look": "x"}, task_cursors=cursors)
    other = kit.see(kit.held(), cursor=7)

    def back(connection):
        command.downgrade(migrate.alembic_config(connection), "0009")

    kit.database.write(back)
    assert "cursor" not in {c["name"] for c in inspect(kit.database.engine()).get_columns("tasks")}
    kept = text("SELECT cursor FROM executions WHERE number = :number")  # as it was then
    with kit.database.read() as connection:
        found = [
            json.loads(connection.execute(kept, {"number": each.number}).scalar_one())
            for each in (execution, other)
        ]
    assert (found[0]["tasks"], found[1]) == (cursors, 7)
    migrate.upgrade(kit.database)
    assert kit.driving.get(execution.id).cursor["tasks"] == cursors


def test_executions_from_before_there_were_names_get_some(kit):
    moment = 1_702_132_222_774  # 2023-12-09T14:30:22.774Z
    rows = [
        # Workflow, owner, written down, started, and the name.
        ("flow", "ada", moment, None, "flow-20231209-143022"),
        ("flow", "bob", moment + 200, moment + 90_000, "flow-20231209-143022-2"),
        ("flow", "ada", moment + 1000, None, "flow-20231209-143023"),
        ("flow", "", moment + 90_000, moment, "flow-20231209-143022-3"),
        ("a/b ü", "ada", moment, None, "a-b---20231209-143022"),
        ("a-b--", "ada", moment, None, "a-b---20231209-143022-2"),
        ("w" * 512, "ada", moment, None, f"{'w' * 100}-20231209-143022"),
        *[("many", "ada", moment, None, f"many-20231209-143022-{n + 1}") for n in range(2500)],
    ]
    rows[7] = ("many", "ada", moment, None, "many-20231209-143022")

    def back(connection):
        command.downgrade(migrate.alembic_config(connection), "0016")

    def add(connection):
        columns = inspect(connection).get_columns("executions")
        assert "awf_name" not in {column["name"] for column in columns}
        statement = text(
            "INSERT INTO executions (id, orchestrator, workflow_id, workflow_name, owner, inputs,"
            " status, desired, created_at, started_at, as_of) VALUES (:id, 'local', :workflow,"
            " 'Flow', :owner, '{}', 'SUCCESS', 'RUN', :created_at, :started_at, :created_at)"
        )
        names = ("workflow", "owner", "created_at", "started_at")
        values = [dict(zip(names, row[:4], strict=True)) for row in rows]
        connection.execute(statement, [{"id": f"e{n}", **row} for n, row in enumerate(values)])

    kit.database.write(back)
    kit.database.write(add)
    migrate.upgrade(kit.database)
    with kit.database.read() as connection:
        found = connection.execute(text("SELECT awf_name FROM executions ORDER BY number"))
        assert [name for (name,) in found] == [row[-1] for row in rows]
    assert kit.executions.id_named("flow-20231209-143022-3") == "e3"


def test_the_bytes_of_lines_are_those_that_are_written_now(kit):
    contents = ["INFO is not said twice", "it failed:\nforged", "plain", "a\rb", "\x1b[2Jx"] * 120
    written = [NewLogEntry(Level.INFO, 0, each, "task") for each in contents]
    execution = kit.append(kit.held(), written)
    other = kit.append(kit.held(), [NewLogEntry(Level.WARN, 0, "plain", "task")] * 300)

    def back(connection):
        command.downgrade(migrate.alembic_config(connection), "0027")
        before = "b_info = n_info * 40, b_warn = n_warn * 40"
        connection.execute(text(f"UPDATE log_checkpoints SET {before}"))
        connection.execute(
            text(f"UPDATE executions SET {before} WHERE id = :id"), {"id": execution.id}
        )

    kit.database.write(back)
    migrate.upgrade(kit.database)
    after = kit.driving.get(execution.id)
    assert after.log_bytes == execution.log_bytes
    ends = list(
        accumulate(len(log_line(0, Level.INFO, "task", each).encode()) for each in contents)
    )
    totals = Totals(after.log_counts, after.log_bytes)
    for place in (0, 255, 256, 511, 512, 599):
        found = kit.journal.find_byte(execution.number, totals, Level.INFO, ends[place])
        block = (place + 1) // 256 * 256
        assert found == (block, ends[block - 1] if block else 0)
    assert kit.driving.get(other.id).log_bytes == other.log_bytes


def test_what_was_uploaded_before_there_were_versions_is_the_first_of_each(database):
    def back(connection):
        command.downgrade(migrate.alembic_config(connection), "0030")

    database.write(back)
    run(
        database,
        "INSERT INTO uploaded_definitions (workflow_id, text, size_bytes, key, summary,"
        " uploaded_by, uploaded_at) VALUES ('w', 'id: w # why', 11, 'k', '{}', 'dev', 5)",
    )
    run(
        database,
        "INSERT INTO load_definitions (workflow_id, name, description, digest, size_bytes,"
        " submitted_by, submitted_at) VALUES ('v', 'V', '', 'd', 10, 'eve', 6)",
    )
    run(database, """INSERT INTO definitions (digest, document) VALUES ('d', '{"id":"v"}')""")
    migrate.upgrade(database)
    uploads, submitted = UploadedDefinitions(database), LoadDefinitions(database)
    upload, load = uploads.get("w"), submitted.get("v")
    assert (upload.owner, upload.version, uploads.text("w")) == ("dev", 1, "id: w # why")
    assert (load.owner, load.version) == ("eve", 1)
    kept = submitted.versions.get("v", 1)
    assert (kept.text, kept.media_type) == ('{"id":"v"}', "application/json")

    database.write(back)
    with database.read() as connection:
        assert connection.execute(text("SELECT text FROM uploaded_definitions")).scalar() == (
            "id: w # why"
        )
    migrate.upgrade(database)
