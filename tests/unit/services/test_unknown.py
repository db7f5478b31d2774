"""Looking for what nobody knows."""

import threading

import pytest
from fakes.orchestrators import ObedientOrchestrator

from app.clients.orchestrator import Capability
from app.domain import Identity, Role
from app.errors import LimitExceeded, NotFound, UpstreamTimeout
from app.identity.anonymous import EVERYBODY
from app.services.adoption import AdoptionService
from app.services.executions import ExecutionService
from app.services.reads import ExecutionReads
from app.services.unknown import UnknownIds


class Upstream:
    """Counts what it is asked for; nothing exists but what is put here."""

    def __init__(self):
        self.now = 1000.0
        self.known = set()
        self.asked = []
        self.ids = UnknownIds(clock=lambda: self.now)

    def look(self, id_, username="ada"):
        def find():
            self.asked.append(id_)
            if id_ not in self.known:
                raise NotFound("no")
            return id_

        return self.ids.look(username, id_, find)


@pytest.fixture
def upstream():
    return Upstream()


def test_what_was_looked_for_in_vain_is_not_looked_for_again_for_a_while(upstream):
    for _ in range(5):
        with pytest.raises(NotFound):
            upstream.look("x")
    assert upstream.asked == ["x"]
    upstream.known.add("x")
    upstream.now += 10
    assert upstream.look("x") == "x"


def test_what_one_may_not_see_another_may(upstream):
    with pytest.raises(NotFound):
        upstream.look("x")
    upstream.known.add("x")
    assert upstream.look("x", "bob") == "x"


def test_fifty_unknown_ids_cost_ten_calls_and_one_more_each_second(upstream):
    answers = []
    for i in range(50):
        with pytest.raises((NotFound, LimitExceeded)) as caught:
            upstream.look(f"id-{i}")
        answers.append(caught.value)
    assert [type(answer) for answer in answers] == [NotFound] * 10 + [LimitExceeded] * 40
    assert 0 < answers[-1].retry_after_seconds <= 1
    assert len(upstream.asked) == 10
    with pytest.raises(NotFound):
        upstream.look("another's", "bob")
    upstream.now += 3
    for i in range(50, 60):
        with pytest.raises((NotFound, LimitExceeded)):
            upstream.look(f"id-{i}")
    assert len(upstream.asked) == 14


def test_what_is_found_costs_nothing(upstream):
    upstream.known = {f"id-{i}" for i in range(50)}
    for id_ in upstream.known:
        assert upstream.look(id_) == id_


def test_a_failure_is_not_remembered_as_an_answer(upstream):
    def failing():
        raise UpstreamTimeout("slow")

    with pytest.raises(UpstreamTimeout):
        upstream.ids.look("ada", "x", failing)
    upstream.known.add("x")
    assert upstream.look("x") == "x"


def test_requests_for_the_same_at_the_same_time_cost_one_call(upstream):
    begun, go_on, calls, outcomes = threading.Event(), threading.Event(), [], []

    def find():
        calls.append(1)
        begun.set()
        assert go_on.wait(30)
        raise NotFound("no")

    def ask():
        with pytest.raises(NotFound):
            upstream.ids.look("ada", "x", find)
        outcomes.append(1)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert (len(calls), len(outcomes)) == (1, 20)


class AdoptingOrchestrator(ObedientOrchestrator):
    """Knows nothing that was begun elsewhere, and counts how often it is asked."""

    capabilities = frozenset({Capability.ADOPT})
    asked = 0

    def adopt(self, upstream_id, identity):
        self.asked += 1

    def lets_in(self, workflow_id, identity):
        return False


def executions_over(service, orchestrator):
    access = service.services.access
    adoption = AdoptionService({"remote": orchestrator}, service.store, access)
    return ExecutionService(
        service.store, access, adoption, service.web.changes,
        reads=ExecutionReads(service.store, service.web.changes), places=service.services.places,
        stale_after_seconds=60.0,
    )  # fmt: skip


def test_an_orchestrator_is_asked_for_few_of_the_unknown_ids_of_a_user(make_service):
    orchestrator = AdoptingOrchestrator()
    executions = executions_over(make_service(fake="Obedient"), orchestrator)
    answers = []
    for i in range(50):
        with pytest.raises((NotFound, LimitExceeded)) as caught:
            executions.get(f"unknown-{i}", Identity("ada", frozenset({Role.USER})))
        answers.append(type(caught.value))
    assert orchestrator.asked == answers.count(NotFound) >= 10
    assert answers[:10] == [NotFound] * 10


def test_where_nothing_can_be_adopted_unknown_ids_are_just_not_found(make_service):
    executions = executions_over(make_service(fake="Obedient"), ObedientOrchestrator())
    for i in range(50):
        with pytest.raises(NotFound):
            executions.get(f"unknown-{i}", Identity("ada", frozenset({Role.USER})))


@pytest.mark.parametrize(
    "name", ["flow-20231209-143022", "flow-20231209-143022-17", "a.b-20239999-999999", "a.b", ".."]
)
def test_no_orchestrator_is_asked_for_what_can_be_no_id_of_its(make_service, name):
    orchestrator = AdoptingOrchestrator()
    executions = executions_over(make_service(fake="Obedient"), orchestrator)
    for _ in range(50):
        with pytest.raises(NotFound):
            executions.get(name, Identity("ada", frozenset({Role.USER})))
    assert orchestrator.asked == 0


def test_what_has_an_id_like_a_name_is_found_all_the_same(make_service):
    service = make_service()
    like_a_name = "their-20231209-143022"
    execution = service.add_execution(execution_id=like_a_name)
    found = service.services.executions.get(like_a_name, EVERYBODY)
    assert found.id == execution.id
