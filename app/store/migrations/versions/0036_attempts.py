"""Attempts of tasks that are over, and since when the last one could have begun."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("ready_at", sa.BigInteger()))
    op.create_table(
        "task_attempts",
        sa.Column("execution", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("task", sa.String(length=255), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("ready_at", sa.BigInteger()),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("node", sa.String(length=255)),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("execution", "task", "number"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("task_attempts")
    op.drop_column("tasks", "ready_at")
