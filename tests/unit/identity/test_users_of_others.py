"""What another process has changed a moment ago refuses nobody."""

import pytest
from kit.thrift import make_tables

from app.domain import Role
from app.errors import NotAuthenticated
from app.identity.users import UserDirectory
from app.store.database import Database
from app.store.users import Users


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path}/slipway.db"
    make_tables(url)
    database = Database(url)
    yield Users(database)
    database.dispose()


def judged(directory, name):
    def judge():
        user = directory.find(name)
        if user is None:
            raise NotAuthenticated("There is no such user.")
        return user.username

    return directory.anew(judge)


def test_who_was_just_added_elsewhere_is_known(store):
    here = UserDirectory([], store)
    with pytest.raises(NotAuthenticated):
        judged(here, "ada")
    store.add("ada", "a hash", frozenset({Role.USER}))
    assert here.find("ada") is None  # what a process knows is a moment old
    assert judged(here, "ada") == "ada"
