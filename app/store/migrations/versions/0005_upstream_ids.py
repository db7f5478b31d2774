"""The ids by which the upstream's own users know executions."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# What Alien4Cloud's adapter kept until now; its last part is the id there.
_REFERENCE = {"application", "environment", "workflow", "execution"}
_ROWS = 1000


def upgrade() -> None:
    op.add_column("executions", sa.Column("upstream_id", sa.String(length=100)))
    _fill(op.get_bind())
    op.create_index("ix_executions_upstream_id", "executions", ["upstream_id"])


def downgrade() -> None:
    op.drop_index("ix_executions_upstream_id", "executions")
    op.drop_column("executions", "upstream_id")


def _fill(connection: sa.Connection) -> None:
    executions = sa.table(
        "executions", sa.column("number"), sa.column("reference"), sa.column("upstream_id")
    )
    last = 0
    while True:
        rows = connection.execute(
            sa.select(executions.c.number, executions.c.reference)
            .where(executions.c.number > last, executions.c.reference.is_not(None))
            .order_by(executions.c.number)
            .limit(_ROWS)
        ).all()
        for number, reference in rows:
            parts = json.loads(reference)
            if isinstance(parts, dict) and set(parts) == _REFERENCE:
                connection.execute(
                    sa.update(executions)
                    .where(executions.c.number == number)
                    .values(upstream_id=str(parts["execution"])[:100])
                )
        if len(rows) < _ROWS:
            return
        last = rows[-1].number
