"""What tasks wait for."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("waits_for", sa.Text()))


def downgrade() -> None:
    op.drop_column("tasks", "waits_for")
