"""With which credential a ticket was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("identity", sa.Text(), nullable=False, server_default=sa.text("'{}'"))
    op.add_column("tickets", column)


def downgrade() -> None:
    op.drop_column("tickets", "identity")
