"""A service where people sign in, and who they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.fixtures import SETTINGS
from kit.people import Person
from kit.service import Service

ADA = "ada has a long password"
ROOT = ("root", "root has a longer password")
EVE = "eve has a long password"


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service where people sign in: ``root``, who manages users, and ``ada``."""
    users = (
        f'[{{username: root, password: "{ROOT[1]}", roles: [admin]}},'
        f' {{username: ada, password: "{ADA}", roles: [developer]}}]'
    )
    env = {
        "SLIPWAY_API__AUTH__TYPE": "[basic, api_key]", "SLIPWAY_API__AUTH__USERS": users,
        "SLIPWAY_STREAMS__HEARTBEAT": "1s",
    }  # fmt: skip
    made = Service(tmp_path_factory.mktemp("accounts"), env={**SETTINGS, **env})
    made.user = ROOT
    yield made.start()
    made.end()


@pytest.fixture
def ada(person: Person, accounts: Service) -> Person:
    """Somebody who has signed in."""
    done = person.types("login", accounts.url, "-u", "ada", "--password-stdin", piped=f"{ADA}\n")
    assert done.code == 0, done.err
    return person
