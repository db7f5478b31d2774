"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conductors",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("beat_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "definitions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "executions",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("orchestrator", sa.String(length=64), nullable=False),
        sa.Column("workflow_id", sa.String(length=512), nullable=False),
        sa.Column("workflow_name", sa.String(length=512), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("desired", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("progress", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("n_debug", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("n_info", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("n_warn", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("n_error", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("b_debug", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("b_info", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("b_warn", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("b_error", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("log_complete", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("followed_until", sa.BigInteger(), nullable=True),
        sa.Column("changed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("wanted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("node", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_executions_active",
        "executions",
        ["number"],
        sqlite_where=sa.text("log_complete = 0"),
        postgresql_where=sa.text("log_complete = false"),
    )
    op.create_index("ix_executions_changed", "executions", ["changed"])
    op.create_index("ix_executions_owner", "executions", ["owner", "number"])
    op.create_index("ix_executions_wanted", "executions", ["wanted"])

    op.create_table(
        "launch_keys",
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("execution_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key"),
    )
    op.create_index("ix_launch_keys_execution_id", "launch_keys", ["execution_id"])

    op.create_table(
        "log_checkpoints",
        sa.Column("execution", sa.BigInteger(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("n_debug", sa.BigInteger(), nullable=False),
        sa.Column("n_info", sa.BigInteger(), nullable=False),
        sa.Column("n_warn", sa.BigInteger(), nullable=False),
        sa.Column("n_error", sa.BigInteger(), nullable=False),
        sa.Column("b_debug", sa.BigInteger(), nullable=False),
        sa.Column("b_info", sa.BigInteger(), nullable=False),
        sa.Column("b_warn", sa.BigInteger(), nullable=False),
        sa.Column("b_error", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("execution", "block"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_entries",
        sa.Column("execution", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("task", sa.String(length=255), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("upstream_id", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("execution", "sequence"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_log_entries_level", "log_entries", ["execution", "level", "sequence"])
    op.create_index(
        "ix_log_entries_upstream_id",
        "log_entries",
        ["execution", "upstream_id"],
        unique=True,
        sqlite_where=sa.text("upstream_id IS NOT NULL"),
        postgresql_where=sa.text("upstream_id IS NOT NULL"),
    )

    op.create_table(
        "ssh_key_secrets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=12), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "tickets",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "ssh_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("algorithm", sa.String(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_ssh_keys_owner", "ssh_keys", ["owner"])

    op.create_table(
        "tasks",
        sa.Column("execution", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("node", sa.String(length=255), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("execution", "name"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in (
        "tickets", "tasks", "ssh_keys", "ssh_key_secrets", "log_entries", "log_checkpoints",
        "launch_keys", "executions", "definitions", "conductors",
    ):  # fmt: skip
        op.drop_table(table)
