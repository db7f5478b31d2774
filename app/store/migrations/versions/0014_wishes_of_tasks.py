"""What users want of single tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_NONE = sa.text("0")


def upgrade() -> None:
    op.add_column(
        "executions", sa.Column("task_wishes", sa.Integer(), nullable=False, server_default=_NONE)
    )
    op.add_column("tasks", sa.Column("desired", sa.String(length=16), nullable=True))
    op.add_column(
        "tasks", sa.Column("generation", sa.Integer(), nullable=False, server_default=_NONE)
    )


def downgrade() -> None:
    op.drop_column("tasks", "generation")
    op.drop_column("tasks", "desired")
    op.drop_column("executions", "task_wishes")
