"""Executions that go on from ended ones."""

import pytest
from store_kit import NODE, let_through

from app.domain import Carried, ExecutionFilter, ExecutionStatus, Task, TaskStatus
from app.errors import Conflict, NotFound, QuotaExceeded
from app.store.launches import Continued

TAKEN = Task("first", TaskStatus.SUCCESS, attempts=1, continued_from="e0")


def going_on(kit, execution, **more):
    carried = Carried({"home": execution.id}, (TAKEN,), {"first": {"origin": execution.id}})
    return kit.intent(reference={"job": 1}, continued=Continued(execution.id, carried), **more)


@pytest.fixture
def ended(kit):
    return kit.see(kit.held(), ExecutionStatus.FAILED, log_complete=True)


def test_what_is_taken_over_is_there_from_the_beginning(kit, ended):
    new, is_new = kit.launches.create(going_on(kit, ended))
    assert (is_new, new.continues, new.status) == (True, ended.id, ExecutionStatus.PENDING)
    assert kit.executions.tasks(new) == [TAKEN, Task("second", TaskStatus.PENDING)]
    driven = kit.driving.get(new.id)
    assert (driven.cursor, driven.reference) == ({"home": ended.id}, {"job": 1})
    assert kit.executions.find(ExecutionFilter(continues=ended.id))[0][0].id == new.id
    assert kit.executions.find(ExecutionFilter(continues=new.id)) == ([], 0)
    assert kit.driving.get(ended.id) == ended, "what has ended stays as it is"


def test_it_stays_on_the_machine_of_what_it_goes_on_from(kit, ended):
    new, _ = kit.launches.create(going_on(kit, ended))
    assert kit.claim(node="another", bound=["local"]) == []
    assert kit.claim(node=NODE, bound=["local"]) == [new.id]


def test_what_has_not_ended_cannot_go_on(kit):
    open_ = kit.held()
    with pytest.raises(Conflict, match="has not ended"):
        kit.launches.create(going_on(kit, open_))
    assert kit.executions.find(ExecutionFilter())[1] == 1


def test_what_is_not_there_cannot_go_on(kit, ended):
    intent = going_on(kit, ended)
    nowhere = Continued("nowhere", intent.continued.carried)
    with pytest.raises(NotFound):
        kit.launches.create(kit.intent(reference={"job": 1}, continued=nowhere))


def test_each_goes_on_in_one_other(kit, ended):
    new, _ = kit.launches.create(going_on(kit, ended))
    with pytest.raises(Conflict, match=f"goes on in the execution '{new.id}'"):
        kit.launches.create(going_on(kit, ended))
    kit.claim()
    over = kit.see(kit.driving.get(new.id), ExecutionStatus.SUCCESS, log_complete=True)
    assert kit.launches.create(going_on(kit, over))[0].continues == new.id


def test_of_many_at_once_one_is_let(kit, ended):
    intents = [going_on(kit, ended) for _ in range(6)]
    let = let_through(6, lambda i: kit.launches.create(intents[i]), Conflict)
    assert len(let) == 1
    assert kit.executions.find(ExecutionFilter())[1] == 2


def test_the_same_key_gives_the_same_execution_whoever_owns_it(kit, ended):
    more = {"key": "k", "request_digest": "d", "asked_by": "ops"}
    new, _ = kit.launches.create(going_on(kit, ended, **more))
    assert kit.launches.create(going_on(kit, ended, **more)) == (new, False)
    assert kit.launches.launched_with("ops", "k", "d") == new
    assert kit.launches.launched_with("ada", "k", "d") is None


def test_it_counts_among_those_that_have_not_ended(kit, ended):
    kit.held()
    with pytest.raises(QuotaExceeded):
        kit.launches.create(going_on(kit, ended, most_open=1))
