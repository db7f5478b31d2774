"""Who may do what, on PostgreSQL: the matrix that runs on SQLite as a unit test.

Pages, which ask the same services, are tried there alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import chain, starmap
from pathlib import Path

import pytest
from kit.servers.postgresql import PostgresqlServer

_UNIT = Path(__file__).parents[1] / "unit"
sys.path[:0] = [str(_UNIT), str(_UNIT / "resources")]

_matrix = import_module("test_access_matrix")
matrix = _matrix.matrix


@pytest.fixture(scope="module")
def store(postgresql_server: PostgresqlServer) -> Iterator[dict[str, str]]:
    with postgresql_server.migrated_database() as url:
        yield {"database__url": url}


def test_each_is_let_to_what_they_may_and_nothing_else(matrix: _matrix.Matrix) -> None:
    apis = [each for each in matrix.endpoints if not each.is_page]
    assert [*chain.from_iterable(starmap(matrix.faults, matrix.without_repeats(apis)))] == []
