"""What users ask for that a conductor carries out."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(512), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("result", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("error_code", sa.String(64)),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("holder", sa.String(100)),
        sa.Column("held_until", sa.BigInteger()),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("changed", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("wanted", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.create_index("ix_operations_owner", "operations", ["owner", "state"])
    op.create_index("ix_operations_state", "operations", ["state", "number"])
    op.create_index("ix_operations_changed", "operations", ["changed"])
    op.create_index("ix_operations_wanted", "operations", ["wanted"])


def downgrade() -> None:
    op.drop_table("operations")
