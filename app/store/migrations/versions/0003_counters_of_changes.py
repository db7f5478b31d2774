"""Counters of changes that never fall."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO counters (name, value)"
        " SELECT 'changed', coalesce(max(changed), 0) FROM executions"
        " UNION ALL SELECT 'wanted', coalesce(max(wanted), 0) FROM executions"
    )


def downgrade() -> None:
    op.drop_table("counters")
