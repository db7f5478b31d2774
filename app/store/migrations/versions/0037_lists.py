"""What lists tell of each workflow and each execution is found by an index."""

from alembic import op
from sqlalchemy import text

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_TOLD = "status IN ('RUNNING', 'PAUSED', 'FAILED')"


def upgrade() -> None:
    op.create_index(
        "ix_executions_owner_workflow",
        "executions",
        ["owner", "workflow_id", "orchestrator", "number"],
    )
    op.create_index(
        "ix_tasks_told",
        "tasks",
        ["execution", "status", "position"],
        sqlite_where=text(_TOLD),
        postgresql_where=text(_TOLD),
    )


def downgrade() -> None:
    op.drop_index("ix_tasks_told", "tasks")
    op.drop_index("ix_executions_owner_workflow", "executions")
