"""References that one execution only may hold, and indexes for what lists filter by."""

import hashlib
import json
import logging

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# What Alien4Cloud's adapter keeps; references of other orchestrators may be several executions'.
_REFERENCE = {"application", "environment", "workflow", "execution"}
_ROWS = 1000
_INDEXES = {
    "ix_executions_owner_status": ["owner", "status", "number"],
    "ix_executions_status": ["status", "number"],
    "ix_executions_workflow_id": ["workflow_id", "number"],
    "ix_executions_workflow_name": ["workflow_name", "number"],
}


def upgrade() -> None:
    op.add_column("executions", sa.Column("reference_key", sa.String(length=64)))
    _fill(op.get_bind())
    op.create_index("ix_executions_reference_key", "executions", ["reference_key"], unique=True)
    for name, columns in _INDEXES.items():
        op.create_index(name, "executions", columns)


def downgrade() -> None:
    for name in ("ix_executions_reference_key", *_INDEXES):
        op.drop_index(name, "executions")
    op.drop_column("executions", "reference_key")


def _fill(connection: sa.Connection) -> None:
    """Give each reference to the oldest execution that holds it; others keep it without a key."""
    executions = sa.table(
        "executions", sa.column("number"), sa.column("id"), sa.column("orchestrator"),
        sa.column("workflow_id"), sa.column("reference"), sa.column("reference_key"),
    )  # fmt: skip
    table = executions.c
    columns = (table.number, table.id, table.orchestrator, table.workflow_id, table.reference)
    seen: set[str] = set()
    last = 0
    while True:
        rows = connection.execute(
            sa.select(*columns)
            .where(executions.c.number > last, executions.c.reference.is_not(None))
            .order_by(executions.c.number)
            .limit(_ROWS)
        ).all()
        for number, id_, orchestrator, workflow_id, reference in rows:
            parts = json.loads(reference)
            if not isinstance(parts, dict) or set(parts) != _REFERENCE:
                continue
            key = _key(orchestrator, workflow_id, parts)
            if key in seen:
                message = "execution %s has the same reference as an older one, and keeps it"
                logging.getLogger("alembic").warning(message, id_)
                continue
            seen.add(key)
            mine = sa.update(executions).where(executions.c.number == number)
            connection.execute(mine.values(reference_key=key))
        if len(rows) < _ROWS:
            return
        last = rows[-1].number


def _key(orchestrator: str, workflow_id: str, reference: dict[str, str]) -> str:
    whole = [orchestrator, workflow_id, reference]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
