from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.thrift import make_tables
from store_kit import kit

from app.store.database import Database

__all__ = ["kit"]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """URL of an empty database."""
    return f"sqlite:///{tmp_path / 'data' / 'slipway.db'}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A store with all of its tables."""
    make_tables(database_url)
    made = Database(database_url)
    yield made
    made.dispose()
