"""Since when nothing needs a definition."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("definitions", sa.Column("unused_since", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("definitions", "unused_since")
