"""Where executions have their folders on clusters, and turns in asking schedulers."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "placements",
        sa.Column("orchestrator", sa.String(64), primary_key=True),
        sa.Column("execution", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "scheduler_turns",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("scheduler_turns")
    op.drop_table("placements")
