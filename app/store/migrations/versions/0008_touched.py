"""Changes that wake nobody, which whoever keeps what was read must hear of all the same."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("touched", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    op.add_column("executions", column)
    op.create_index("ix_executions_touched", "executions", ["touched"])
    op.execute("INSERT INTO counters (name, value) VALUES ('touched', 0), ('withdrawn', 0)")


def downgrade() -> None:
    op.execute("DELETE FROM counters WHERE name IN ('touched', 'withdrawn')")
    op.drop_index("ix_executions_touched", "executions")
    op.drop_column("executions", "touched")
