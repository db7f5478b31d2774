from datetime import timedelta

import pytest

from app.domain import ExecutionStatus
from app.store.execution_rows import now

LONG_AGO = timedelta(hours=1)


def ended(kit, *, said, **more):
    """End an execution whose orchestrator says when that was, or does not."""
    execution = kit.held(**more)
    at = now() if said else None
    kit.see(execution, ExecutionStatus.FAILED, finished_at=at, log_complete=True)
    return execution.id


def since(kit, owner=None, moment=None):
    return [e.id for e in kit.executions.ended_since(owner, moment or now() - LONG_AGO)]


@pytest.mark.parametrize("said", [True, False], ids=["said when", "not said when"])
class TestThoseThatEnded:
    def test_since_a_moment_are_listed(self, kit, said):
        one = ended(kit, said=said)
        assert since(kit) == [one]
        assert since(kit, moment=now() + LONG_AGO) == []

    def test_of_an_owner_are_theirs(self, kit, said):
        ended(kit, said=said, owner="ada")
        of_bob = ended(kit, said=said, owner="bob")
        assert since(kit, "bob") == [of_bob]

    def test_are_the_last_ones(self, kit, said, monkeypatch):
        monkeypatch.setattr("app.store.executions.ENDED_LOOKED_THROUGH", 2)
        _, *last = [ended(kit, said=said) for _ in range(3)]
        assert sorted(since(kit)) == sorted(last)


def test_what_has_not_ended_or_whose_log_goes_on_is_not_listed(kit):
    kit.held()
    kit.see(kit.held(), ExecutionStatus.SUCCESS, finished_at=now(), log_complete=False)
    assert since(kit) == []


def test_those_of_either_kind_come_in_the_order_in_which_they_were_seen(kit):
    ids = [ended(kit, said=said) for said in (True, False, True)]
    assert since(kit) == ids
