"""What tasks may take together on each machine."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nodes", sa.Column("processors", sa.Integer()))
    op.add_column("nodes", sa.Column("memory_bytes", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("nodes", "memory_bytes")
    op.drop_column("nodes", "processors")
