"""A cursor for each task, so that a look at an execution writes those that changed only."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What stands in the cursors of executions moves over with the next look at each of them.
    op.add_column("tasks", sa.Column("cursor", sa.Text(), nullable=True))


def downgrade() -> None:
    _move_back(op.get_bind())
    op.drop_column("tasks", "cursor")


def _move_back(connection: sa.Connection) -> None:
    """Put the cursors of tasks where the program before looks for them."""
    open_ones = connection.execute(
        sa.text("SELECT number, cursor FROM executions WHERE NOT log_complete AND cursor LIKE '{%'")
    )
    for number, cursor in open_ones.all():
        rows = connection.execute(
            sa.text("SELECT name, cursor FROM tasks WHERE execution = :number AND cursor <> ''"),
            {"number": number},
        )
        tasks = {name: json.loads(kept) for name, kept in rows}
        if tasks:
            whole = json.dumps({**json.loads(cursor), "tasks": tasks}, separators=(",", ":"))
            connection.execute(
                sa.text("UPDATE executions SET cursor = :cursor WHERE number = :number"),
                {"cursor": whole, "number": number},
            )
