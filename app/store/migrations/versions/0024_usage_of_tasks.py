"""What tasks take of their machines."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_COLUMNS = {
    "cpu_seconds": sa.Float,
    "cpu_percent": sa.Float,
    "memory_bytes": sa.BigInteger,
    "memory_peak_bytes": sa.BigInteger,
}


def upgrade() -> None:
    for name, kind in _COLUMNS.items():
        op.add_column("tasks", sa.Column(name, kind()))


def downgrade() -> None:
    for name in reversed(_COLUMNS):
        op.drop_column("tasks", name)
