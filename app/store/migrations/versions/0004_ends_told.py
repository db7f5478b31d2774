"""Who was told that a log has ended."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ends_told",
        sa.Column("execution", sa.BigInteger(), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("execution", "client"),
    )
    op.create_index("ix_ends_told_expires_at", "ends_told", ["expires_at"])


def downgrade() -> None:
    op.drop_table("ends_told")
