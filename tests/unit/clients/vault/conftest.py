from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import responses
from kit.clock import Clock
from scripted_vault import Open, ScriptedVault, make_settings

from app.clients.vault import VaultKeyStore


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def vault(mock: responses.RequestsMock) -> ScriptedVault:
    return ScriptedVault(mock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_store(clock: Clock) -> Iterator[Open]:
    stores: list[VaultKeyStore] = []

    def make(*, jitter: float = 0.0, **options: Any) -> VaultKeyStore:
        store = VaultKeyStore(make_settings(**options), clock=clock, jitter=lambda: jitter)
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.stop()


@pytest.fixture
def store(vault: ScriptedVault, open_store: Open) -> VaultKeyStore:
    return open_store()
