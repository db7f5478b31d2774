"""What web processes counted within the last hours, and how much conductors ask of upstreams."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "figures",
        sa.Column("minute", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("process", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("streams", sa.Integer(), nullable=False),
        sa.Column("followers", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("delivery_lag", sa.Float()),
        sa.Column("loop_lag", sa.Float(), nullable=False),
        sa.Column("queue", sa.BigInteger()),
        sa.PrimaryKeyConstraint("minute", "process"),
        sqlite_with_rowid=False,
    )
    op.add_column("conductors", sa.Column("polls", sa.Text()))


def downgrade() -> None:
    op.drop_column("conductors", "polls")
    op.drop_table("figures")
