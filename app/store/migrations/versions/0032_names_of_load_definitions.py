"""Definitions of virtual users by their name: each launch looks for its workflow there, too."""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_INDEX = "ix_load_definitions_name"


def upgrade() -> None:
    op.create_index(_INDEX, "load_definitions", ["name"])


def downgrade() -> None:
    op.drop_index(_INDEX, "load_definitions")
