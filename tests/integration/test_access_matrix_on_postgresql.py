"""Who may do what, on PostgreSQL: the matrix that runs on SQLite as a unit test.

Pages, which ask the same services, are tried there alone. Here each endpoint is tried by everybody,
whose credentials take turns: which of them somebody came with makes no difference to what the store
is asked about things.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import chain, count, groupby, starmap
from operator import itemgetter
from pathlib import Path

import pytest
from kit.servers.postgresql import PostgresqlServer

from app.domain import Identity

_UNIT = Path(__file__).parents[1] / "unit"
sys.path[:0] = [str(_UNIT), str(_UNIT / "resources")]

_matrix = import_module("test_access_matrix")
matrix = _matrix.matrix
Who, Endpoint = _matrix.Who, _matrix.Endpoint


@pytest.fixture(scope="module")
def store(postgresql_server: PostgresqlServer) -> Iterator[dict[str, str]]:
    with postgresql_server.migrated_database() as url:
        yield {"database__url": url}


def in_turns(tried: Iterable[tuple[Who, Endpoint]]) -> Iterator[tuple[Who, Endpoint]]:
    """Leave of those who are the same for an endpoint one, and another for the next endpoint."""
    turns: dict[Identity | None, Iterator[int]] = defaultdict(count)
    for _, of_endpoint in groupby(tried, key=itemgetter(1)):
        same: dict[Identity | None, list[tuple[Who, Endpoint]]] = defaultdict(list)
        for who, endpoint in of_endpoint:
            same[who.identity].append((who, endpoint))
        yield from same.pop(None, [])
        for identity, each in same.items():
            yield each[next(turns[identity]) % len(each)]


def test_each_is_let_to_what_they_may_and_nothing_else(matrix: _matrix.Matrix) -> None:
    apis = [each for each in matrix.endpoints if not each.is_page]
    tried = [*in_turns(matrix.without_repeats(apis))]
    assert {(who.identity, each) for who, each in tried if who.identity} == {
        (who.identity, each) for who in matrix.people for each in apis if who.identity
    }
    assert {who.name for who, _ in tried} == {who.name for who in matrix.people}
    assert [*chain.from_iterable(starmap(matrix.faults, tried))] == []
