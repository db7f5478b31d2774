"""The nodes of clusters, as their conductors were last told."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clusters", sa.Column("nodes", sa.Text()))


def downgrade() -> None:
    op.drop_column("clusters", "nodes")
