"""Sizes of entries as lines of text, which are indented and without repeated levels now."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from app.log_lines import log_line_bytes

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_BLOCK = 256
_SIZES = ("b_debug", "b_info", "b_warn", "b_error")
_HEAD = 80
"""Characters among which a level word is, colours before it included."""
_WORDS = ("%debug%", "%info%", "%warn%", "%error%")
_CONTROLS = "\x01-\x08\n-\x1f\x7f-\x9f\u2028\u2029"

_entries = sa.table(
    "log_entries", sa.column("execution"), sa.column("sequence"), sa.column("level"),
    sa.column("task"), sa.column("content"),
)  # fmt: skip
_checkpoints = sa.table(
    "log_checkpoints", sa.column("execution"), sa.column("block"), *map(sa.column, _SIZES)
)
_executions = sa.table("executions", sa.column("number"), *map(sa.column, _SIZES))


def upgrade() -> None:
    connection = op.get_bind()
    for number in connection.execute(_changed(connection.dialect.name)).scalars().all():
        _count(connection, number)


def downgrade() -> None:
    """Leave the sizes: an earlier version is off by a few bytes where it looks a byte up."""


def _changed(dialect: str) -> sa.Select[Any]:
    """Select the executions with entries that are written in another way than before."""
    content = _entries.c.content
    if dialect == "postgresql":
        has_controls = content.regexp_match(f"[{_CONTROLS}]")
    else:
        has_controls = content.op("GLOB")(f"*[{_CONTROLS}]*")
    head = sa.func.substr(content, 1, _HEAD)
    has_word = sa.or_(*(head.ilike(word) for word in _WORDS))
    return sa.select(_entries.c.execution).where(has_controls | has_word).distinct()


def _count(connection: sa.Connection, number: int) -> None:
    """Count the bytes of one journal anew; once more would come to the same."""
    sizes = [0, 0, 0, 0]
    checkpoints = []
    for sequence, level, task, content in _rows(connection, number):
        if sequence % _BLOCK == 0:
            block = {"of_block": sequence // _BLOCK}
            checkpoints.append(block | dict(zip(_SIZES, sizes, strict=True)))
        sizes[level.bit_length() - 1] += log_line_bytes(level, task, content)
    if checkpoints:
        mine = (_checkpoints.c.execution == number) & (
            _checkpoints.c.block == sa.bindparam("of_block")
        )
        values: dict[str, Any] = {name: sa.bindparam(name) for name in _SIZES}
        connection.execute(sa.update(_checkpoints).where(mine).values(values), checkpoints)
    own = sa.update(_executions).where(_executions.c.number == number)
    connection.execute(own.values(dict(zip(_SIZES, sizes, strict=True))))


def _rows(connection: sa.Connection, number: int) -> Iterator[Any]:
    """Read the entries of a journal, a piece at a time."""
    columns, first = _entries.c, 0
    while True:
        rows = connection.execute(
            sa.select(columns.sequence, columns.level, columns.task, columns.content)
            .where(columns.execution == number, columns.sequence >= first)
            .order_by(columns.sequence)
            .limit(_BLOCK)
        ).all()
        yield from rows
        if len(rows) < _BLOCK:
            return
        first = rows[-1].sequence + 1
