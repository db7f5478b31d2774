"""Who may do what, on PostgreSQL: the very tests that run on SQLite as unit tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from kit.servers.postgresql import PostgresqlServer

_UNIT = Path(__file__).parents[1] / "unit"
sys.path[:0] = [str(_UNIT), str(_UNIT / "resources")]

_matrix = import_module("test_access_matrix")
matrix = _matrix.matrix
test_each_is_let_to_what_they_may_and_nothing_else = (
    _matrix.test_each_is_let_to_what_they_may_and_nothing_else
)


@pytest.fixture(scope="module")
def store(postgresql_server: PostgresqlServer) -> Iterator[dict[str, str]]:
    with postgresql_server.migrated_database() as url:
        yield {"database__url": url}
