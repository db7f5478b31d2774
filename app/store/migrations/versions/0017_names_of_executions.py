"""Names of executions, beside their ids."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_ROWS = 1000
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]")
# Compared byte by byte, so that names that begin alike are a range of the index.
_NAME = sa.String(length=160).with_variant(sa.String(length=160, collation="C"), "postgresql")
_NUMBER_TWINS = """
    UPDATE executions SET awf_name = awf_name || '-' || CAST(twins.place AS VARCHAR(10))
    FROM (
        SELECT number, row_number() OVER (PARTITION BY awf_name ORDER BY number) AS place
        FROM executions
    ) AS twins
    WHERE twins.number = executions.number AND twins.place > 1
"""


def upgrade() -> None:
    op.create_table(
        "spent_names",
        sa.Column("name", _NAME, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.add_column(
        "executions", sa.Column("awf_name", _NAME, nullable=False, server_default=sa.text("''"))
    )
    connection = op.get_bind()
    _fill(connection)
    connection.execute(sa.text(_NUMBER_TWINS))
    op.create_index("ix_executions_awf_name", "executions", ["awf_name"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_executions_awf_name", "executions")
    op.drop_column("executions", "awf_name")
    op.drop_table("spent_names")


def _fill(connection: sa.Connection) -> None:
    """Give each execution the name of its workflow and second, which several may have for now."""
    executions = sa.table("executions", sa.column("number"), sa.column("awf_name"))
    name = (
        sa.update(executions)
        .where(executions.c.number == sa.bindparam("of_number"))
        .values(awf_name=sa.bindparam("name"))
    )
    for rows in _batches(connection):
        connection.execute(
            name,
            [
                {"of_number": number, "name": _name(workflow, moment)}
                for number, workflow, moment in rows
            ],
        )


def _batches(connection: sa.Connection) -> Iterator[list[tuple[int, str, int]]]:
    """Read number, workflow and start of executions.

    One that was launched here started as it was written down. One that was taken over has no owner,
    and started before.
    """
    table = sa.table("executions", *map(sa.column, ("number", "workflow_id", "owner")),
                     *map(sa.column, ("created_at", "started_at")))  # fmt: skip
    columns = table.c
    started = sa.case(
        (columns.owner == "", sa.func.coalesce(columns.started_at, columns.created_at)),
        else_=columns.created_at,
    )
    last = 0
    while True:
        found = connection.execute(
            sa.select(columns.number, columns.workflow_id, started)
            .where(columns.number > last)
            .order_by(columns.number)
            .limit(_ROWS)
        ).all()
        if not found:
            return
        yield [(number, workflow, moment) for number, workflow, moment in found]
        last = found[-1].number


def _name(workflow_id: str, started_at_ms: int) -> str:
    second = datetime.fromtimestamp(started_at_ms // 1000, UTC).strftime("%Y%m%d-%H%M%S")
    return f"{_FOREIGN.sub('-', workflow_id[:100])}-{second}"
