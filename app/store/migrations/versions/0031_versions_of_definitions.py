"""Versions of definitions, who owns them, and which one an execution runs."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_COLUMNS = "kind, workflow_id, number, text, media_type, size_bytes, uploaded_by, uploaded_at"


def upgrade() -> None:
    op.create_table(
        "definition_versions",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("workflow_id", sa.String(length=100), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text()),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("uploaded_by", sa.String(length=100), nullable=False),
        sa.Column("uploaded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "workflow_id", "number"),
    )
    op.add_column("executions", sa.Column("workflow_version", sa.Integer()))
    for table, uploader in (
        ("uploaded_definitions", "uploaded_by"),
        ("load_definitions", "submitted_by"),
    ):
        op.add_column(
            table, sa.Column("owner", sa.String(length=100), nullable=False, server_default="")
        )
        op.add_column(
            table, sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1"))
        )
        op.execute(f"UPDATE {table} SET owner = {uploader}")  # noqa: S608  (constants)
    op.execute(
        f"INSERT INTO definition_versions ({_COLUMNS}) "  # noqa: S608  (constants)
        "SELECT 'engine', workflow_id, 1, text, "
        "CASE WHEN text LIKE '{%' THEN 'application/json' ELSE 'application/yaml' END, "
        "size_bytes, uploaded_by, uploaded_at FROM uploaded_definitions"
    )
    # Of submitted ones, what they say was kept, and not how.
    op.execute(
        f"INSERT INTO definition_versions ({_COLUMNS}) "  # noqa: S608  (constants)
        "SELECT 'load', l.workflow_id, 1, d.document, 'application/json', "
        "l.size_bytes, l.submitted_by, l.submitted_at "
        "FROM load_definitions AS l JOIN definitions AS d ON d.digest = l.digest"
    )
    op.drop_column("uploaded_definitions", "text")


def downgrade() -> None:
    op.add_column(
        "uploaded_definitions", sa.Column("text", sa.Text(), nullable=False, server_default="")
    )
    op.execute(
        "UPDATE uploaded_definitions SET text = (SELECT v.text FROM definition_versions AS v "
        "WHERE v.kind = 'engine' AND v.workflow_id = uploaded_definitions.workflow_id "
        "AND v.number = uploaded_definitions.version)"
    )
    for table in ("uploaded_definitions", "load_definitions"):
        op.drop_column(table, "version")
        op.drop_column(table, "owner")
    op.drop_column("executions", "workflow_version")
    op.drop_table("definition_versions")
