"""Runs of single tasks, and executions that go on from others."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "tasks", sa.Column("run", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column("tasks", sa.Column("continued_from", sa.String(length=64), nullable=True))
    op.add_column("executions", sa.Column("continues", sa.String(length=64), nullable=True))
    op.create_index("ix_executions_continues", "executions", ["continues"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_executions_continues", "executions")
    op.drop_column("executions", "continues")
    op.drop_column("tasks", "continued_from")
    op.drop_column("tasks", "run")
