"""Users in the store, beside those of the settings."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("password_hash", sa.String(length=255)),
        sa.Column("roles", sa.Text()),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("removed_at", sa.BigInteger()),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("username"),
    )
    op.execute("INSERT INTO counters (name, value) VALUES ('users', 0)")


def downgrade() -> None:
    op.drop_table("users")
    op.execute("DELETE FROM counters WHERE name = 'users'")
