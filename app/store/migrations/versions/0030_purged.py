"""What is left of executions that were purged, and what of them is still to be removed."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_NAME = sa.String(length=160).with_variant(sa.String(length=160, collation="C"), "postgresql")


def upgrade() -> None:
    for column in ("log_purged_at", "files_purged_at"):
        op.add_column("executions", sa.Column(column, sa.BigInteger(), nullable=True))
    for name, columns in (
        ("ended", ["finished_at"]),
        ("log_purged_at", ["log_purged_at", "finished_at"]),
        ("files_purged_at", ["files_purged_at", "finished_at"]),
    ):
        op.create_index(
            f"ix_executions_{name}",
            "executions",
            columns,
            sqlite_where=sa.text("log_complete = 1"),
            postgresql_where=sa.text("log_complete = true"),
        )
    op.create_table(
        "tombstones",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("upstream_id", sa.String(length=100), nullable=True),
        sa.Column("orchestrator", sa.String(length=64), nullable=False),
        sa.Column("workflow_id", sa.String(length=512), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("purged_at", sa.BigInteger(), nullable=False),
        sa.Column("purged_by", sa.String(length=100), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_tombstones_id", "tombstones", ["id"], unique=True)
    op.create_index("ix_tombstones_name", "tombstones", ["name"], unique=True)
    op.create_index("ix_tombstones_upstream_id", "tombstones", ["upstream_id"])
    op.create_index("ix_tombstones_changed", "tombstones", ["changed"])
    op.create_table(
        "removals",
        sa.Column("execution", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("execution_id", sa.String(length=64), nullable=False),
        sa.Column("orchestrator", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=255), nullable=True),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("execution", "kind"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_removals_kind", "removals", ["kind", "execution"])
    op.create_table(
        "chores",
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=False),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "disk_usage",
        sa.Column("place", sa.String(length=255), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("is_partial", sa.Boolean(), nullable=False),
        sa.Column("measured_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("place", "what"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("disk_usage", "chores", "removals", "tombstones"):
        op.drop_table(table)
    for name in ("files_purged_at", "log_purged_at", "ended"):
        op.drop_index(f"ix_executions_{name}", "executions")
    for column in ("files_purged_at", "log_purged_at"):
        op.drop_column("executions", column)
