"""Which processes conductors are: their numbers are given again, in containers at each start."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("conductors", sa.Column("boot_id", sa.String(length=64)))
    op.add_column("conductors", sa.Column("start_ticks", sa.String(length=32)))


def downgrade() -> None:
    op.drop_column("conductors", "start_ticks")
    op.drop_column("conductors", "boot_id")
