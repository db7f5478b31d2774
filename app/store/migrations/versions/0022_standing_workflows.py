"""Workflows that are a definition and a run in one."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "standing_workflows",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("workflow_id", sa.String(length=100), nullable=False),
        sa.Column("orchestrator", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("working_dir", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("execution", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_standing_workflows_name", "standing_workflows", ["name"], unique=True)
    op.create_index("ix_standing_workflows_workflow_id", "standing_workflows", ["workflow_id"])
    op.create_index("ix_standing_workflows_owner", "standing_workflows", ["owner", "number"])
    op.create_table(
        "standing_tasks",
        sa.Column("workflow", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("workflow", "position"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_standing_tasks_name", "standing_tasks", ["workflow", "name"], unique=True)


def downgrade() -> None:
    op.drop_table("standing_tasks")
    op.drop_table("standing_workflows")
