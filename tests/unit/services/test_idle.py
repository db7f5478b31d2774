"""Reading in steps, which are waited for."""

import pytest
from kit.patience import PATIENCE_SECONDS as PATIENCE

from app.services.idle import Idle, outcome, waited
from app.store.changes import Changes, Subscription


@pytest.fixture
def changes(service) -> Changes:
    return service.web.changes


@pytest.mark.parametrize("drive", [outcome, lambda steps: next(waited(steps))])
def test_who_is_ended_while_idle_leaves_nothing(changes, drive, monkeypatch):
    def end(*_):
        raise KeyboardInterrupt

    def read():
        with changes.subscribe("x") as subscription:
            yield Idle(subscription, PATIENCE)

    monkeypatch.setattr(Subscription, "pause", end)
    with pytest.raises(KeyboardInterrupt) as kept:  # with all frames that it went through
        drive(read())
    assert changes.waiting == 0
    assert kept.value


def test_what_they_come_to_is_returned_once_it_is_there(changes):
    def read():
        with changes.subscribe("x") as subscription:
            changes.publish(["x"])
            yield Idle(subscription, PATIENCE)
            return subscription.has_changed()

    assert outcome(read())
    assert list(waited(read())) == []
