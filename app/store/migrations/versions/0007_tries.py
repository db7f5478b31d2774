"""How often an execution was looked at in vain."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0"))
    op.add_column("executions", column)


def downgrade() -> None:
    op.drop_column("executions", "tries")
