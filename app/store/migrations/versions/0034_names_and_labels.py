"""Names and labels of executions, and what lists find them by."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_EXEC = sa.text("upstream_id LIKE 'exec-%'")
_NAMED = sa.text("name IS NOT NULL")


def upgrade() -> None:
    op.add_column("executions", sa.Column("name", sa.String(length=200)))
    op.add_column("executions", sa.Column("labels", sa.Text()))
    op.create_table(
        "execution_labels",
        sa.Column("execution", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("key", sa.String(length=63), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("execution", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_execution_labels_key", "execution_labels", ["key", "value", "execution"])
    op.create_index(
        "ix_execution_labels_owner", "execution_labels", ["owner", "key", "value", "execution"]
    )
    op.create_index(
        "ix_executions_name",
        "executions",
        ["name", "owner", "number"],
        sqlite_where=_NAMED,
        postgresql_where=_NAMED,
    )
    for of, column in (("created", "created_at"), ("finished", "finished_at")):
        op.create_index(f"ix_executions_{of}", "executions", [column, "number"])
        op.create_index(f"ix_executions_owner_{of}", "executions", ["owner", column, "number"])
    op.create_index(
        "ix_executions_id_owner",
        "executions",
        ["id", "owner"],
        postgresql_ops={"id": "varchar_pattern_ops"},
    )
    op.create_index(
        "ix_executions_exec_id_owner",
        "executions",
        ["upstream_id", "owner"],
        postgresql_ops={"upstream_id": "varchar_pattern_ops"},
        sqlite_where=_EXEC,
        postgresql_where=_EXEC,
    )


def downgrade() -> None:
    for of in (
        "exec_id_owner", "id_owner", "owner_finished", "finished", "owner_created", "created",
        "name",
    ):  # fmt: skip
        op.drop_index(f"ix_executions_{of}", "executions")
    op.drop_table("execution_labels")
    op.drop_column("executions", "labels")
    op.drop_column("executions", "name")
