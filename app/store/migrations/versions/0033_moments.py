"""Moments of launches and of slaves that do not change when a clock is set."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("asked_up_ms", sa.BigInteger()))
    op.add_column("executions", sa.Column("asked_boot_id", sa.String(64)))
    op.add_column("slaves", sa.Column("seen", sa.Text()))
    op.add_column("slaves", sa.Column("offer_ends", sa.Text()))


def downgrade() -> None:
    op.drop_column("slaves", "offer_ends")
    op.drop_column("slaves", "seen")
    op.drop_column("executions", "asked_boot_id")
    op.drop_column("executions", "asked_up_ms")
