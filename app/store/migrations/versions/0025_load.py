"""Slaves, and what they do for executions of virtual users."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("assigned", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    op.add_column("executions", column)
    op.create_index("ix_executions_assigned", "executions", ["assigned"])
    op.execute("INSERT INTO counters (name, value) VALUES ('assigned', 0)")
    ours = sa.text("upstream_id LIKE 'exec-%'")
    op.create_index(
        "ix_executions_exec_id",
        "executions",
        ["upstream_id"],
        unique=True,
        sqlite_where=ours,
        postgresql_where=ours,
    )
    op.create_table(
        "slaves",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("address", sa.String(length=255), nullable=False),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("cpu_cores", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.BigInteger(), nullable=False),
        sa.Column("max_vus", sa.Integer(), nullable=False),
        sa.Column("incarnation", sa.String(length=64), nullable=False),
        sa.Column("connection", sa.String(length=64)),
        sa.Column("draining", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("load", sa.Float(), nullable=False, server_default=sa.text("0")),
        sa.Column("active_tasks", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("offered_until", sa.BigInteger()),
        sa.Column("called_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "load_runs",
        sa.Column("execution", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("scaled", sa.Integer()),
        sa.Column("state", sa.Text()),
        sa.PrimaryKeyConstraint("execution"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "load_tasks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("execution", sa.BigInteger(), nullable=False),
        sa.Column("execution_id", sa.String(length=64), nullable=False),
        sa.Column("slave", sa.String(length=100), nullable=False),
        sa.Column("incarnation", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("desired", sa.Text(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_load_tasks_execution", "load_tasks", ["execution"])
    op.create_index("ix_load_tasks_slave", "load_tasks", ["slave"])
    op.create_table(
        "load_reports",
        sa.Column("task", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("report", sa.Text()),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "load_metrics",
        sa.Column("execution", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("execution"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "load_definitions",
        sa.Column("workflow_id", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("submitted_by", sa.String(length=100), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workflow_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_load_definitions_submitted_by", "load_definitions", ["submitted_by"])


def downgrade() -> None:
    op.drop_table("load_definitions")
    op.drop_index("ix_executions_exec_id", "executions")
    for table in ("load_metrics", "load_reports", "load_tasks", "load_runs", "slaves"):
        op.drop_table(table)
    op.execute("DELETE FROM counters WHERE name = 'assigned'")
    op.drop_index("ix_executions_assigned", "executions")
    op.drop_column("executions", "assigned")
