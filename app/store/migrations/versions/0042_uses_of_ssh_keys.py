"""What is known of SSH keys beside what they are, and which one has taken the place of which."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ssh_keys", sa.Column("public_key", sa.Text()))
    op.add_column("ssh_keys", sa.Column("last_used_at", sa.BigInteger()))
    op.add_column("ssh_keys", sa.Column("last_succeeded_at", sa.BigInteger()))
    op.add_column("ssh_keys", sa.Column("replaces", sa.String(64)))
    op.create_table(
        "ssh_key_successors",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("successor", sa.String(64), nullable=False, index=True),
        sa.Column("is_removed", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("ssh_key_successors")
    for column in ("replaces", "last_succeeded_at", "last_used_at", "public_key"):
        op.drop_column("ssh_keys", column)
