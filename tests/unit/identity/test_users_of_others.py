"""What another process has changed a moment ago refuses nobody."""

import pytest

from app.domain import Role
from app.errors import NotAuthenticated
from app.identity.users import UserDirectory
from app.store.users import Users


@pytest.fixture
def store(database):
    return Users(database)


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
