"""Names of tasks for people, and where a command wrote a line of the log."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("title", sa.String(length=255)))
    op.add_column(
        "log_entries",
        sa.Column("stream", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
    )


def downgrade() -> None:
    op.drop_column("log_entries", "stream")
    op.drop_column("tasks", "title")
