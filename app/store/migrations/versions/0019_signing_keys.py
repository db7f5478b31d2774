"""Keys that sign the service's own tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(length=32), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=12)),
        sa.Column("ciphertext", sa.LargeBinary()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("good_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.execute("INSERT INTO counters (name, value) VALUES ('signing_keys', 0)")


def downgrade() -> None:
    op.drop_table("signing_keys")
    op.execute("DELETE FROM counters WHERE name = 'signing_keys'")
