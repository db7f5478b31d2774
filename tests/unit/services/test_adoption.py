"""Taking over what runs already on orchestrators, by the ids that it has there."""

from datetime import UTC, datetime

import pytest
from fakes.orchestrators import ObedientOrchestrator

from app.clients.orchestrator import Adoption, Capability
from app.domain import ExecutionStatus, Identity, Role
from app.errors import NotFound, UpstreamError, UpstreamTimeout
from app.services.access import NOBODY
from app.services.adoption import AdoptionService

ADA = Identity("ada", frozenset({Role.USER}))
BEGAN = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)


class Elsewhere(ObedientOrchestrator):
    """Runs ``theirs``, which was begun elsewhere."""

    capabilities = frozenset({Capability.ADOPT})

    def __init__(self, name="remote"):
        super().__init__(name)
        self.reference, self.status = {"job": "theirs"}, ExecutionStatus.RUNNING
        self.asked_for = []

    def adopt(self, upstream_id, identity):
        self.asked_for.append((upstream_id, identity.username))
        if upstream_id != "theirs":
            return None
        return Adoption(self.reference, "flow", "Flow", self.status, BEGAN)

    def lets_in(self, workflow_id, identity):
        return False


class Silent(Elsewhere):
    def adopt(self, upstream_id, identity):
        raise UpstreamTimeout("It does not answer.")


@pytest.fixture
def service(make_service):
    return make_service(fake="Obedient")


@pytest.fixture
def adopt(service):
    """Ask for an id where there are some orchestrators."""

    def adopt(id_, *orchestrators):
        behind = {each.name: each for each in orchestrators}
        return AdoptionService(behind, service.launches, service.services.access).adopt(id_, ADA)

    return adopt


@pytest.mark.parametrize(
    ("there", "here"),
    [
        (ExecutionStatus.RUNNING, ExecutionStatus.RUNNING),
        (ExecutionStatus.CANCELLING, ExecutionStatus.CANCELLING),
        # The conductor ends it, when it has its log as well.
        (ExecutionStatus.SUCCESS, ExecutionStatus.RUNNING),
    ],
)
def test_what_runs_there_is_an_execution_here(service, adopt, there, here):
    elsewhere = Elsewhere()
    elsewhere.status = there
    found = adopt("theirs", elsewhere)
    stored = service.driving.get("theirs")
    assert (found.id, stored.reference, stored.orchestrator) == (
        "theirs",
        {"job": "theirs"},
        "remote",
    )
    assert (stored.workflow_id, stored.workflow_name) == ("flow", "Flow")
    assert (stored.owner, stored.inputs) == (NOBODY, {})
    assert (stored.status, stored.started_at) == (here, BEGAN)
    assert elsewhere.asked_for == [("theirs", "ada")]


def test_each_orchestrator_is_asked_until_one_knows_it(adopt):
    silent, other, last = Silent("silent"), Elsewhere("other"), Elsewhere("last")
    assert adopt("theirs", silent, other, last).orchestrator == "other"
    assert last.asked_for == []


def test_what_nobody_knows_is_not_found_unless_one_does_not_answer(adopt):
    with pytest.raises(NotFound):
        adopt("else", Elsewhere("one"), Elsewhere("other"))
    with pytest.raises(UpstreamTimeout):
        adopt("else", Silent("silent"), Elsewhere("other"))


@pytest.mark.parametrize("owner", ["ada", "bob"])
def test_what_was_launched_here_is_shown_to_who_may_know_of_it(service, adopt, owner):
    launched = service.add_execution(owner, orchestrator="remote", accepted=False)
    elsewhere = Elsewhere()
    service.launches.launched(launched, elsewhere.reference)
    if owner == "ada":
        assert adopt("theirs", elsewhere).id == launched.id
    else:
        with pytest.raises(NotFound):
            adopt("theirs", elsewhere)


def test_what_a_launch_may_have_begun_that_is_not_settled_is_asked_for_again(service, adopt):
    service.add_execution(orchestrator="remote", accepted=False)
    elsewhere = Elsewhere()
    began = service.store.get(service.add_execution(orchestrator="remote").id).created_at
    elsewhere.adopt = lambda *_: Adoption({"job": 2}, "flow", "Flow", elsewhere.status, began)
    with pytest.raises(UpstreamError) as caught:
        adopt("theirs", elsewhere)
    assert caught.value.retry_after_seconds
    with pytest.raises(NotFound):
        service.store.get("theirs")
