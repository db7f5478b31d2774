"""Who may do what, on PostgreSQL: the matrix that runs on SQLite as a unit test.

A credential is looked up in the same way for every endpoint; so those that let nobody in are tried
with one of each method here, and all others with all.
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
    one_of_each = {each.method: each for each in matrix.endpoints if each.declared.permission}
    tried = [
        (who, endpoint)
        for who in matrix.people
        for endpoint in (matrix.endpoints if who.identity else one_of_each.values())
    ]
    assert [*chain.from_iterable(starmap(matrix.faults, tried))] == []
