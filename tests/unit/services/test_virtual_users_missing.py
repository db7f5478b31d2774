"""What services say of virtual users where no orchestrator has any."""

import pytest

from app.domain import Identity, Role
from app.errors import CapabilityMissing, NotFound

ADMIN = Identity("root", frozenset({Role.ADMIN}))


@pytest.fixture
def kit(make_service):
    return make_service(fake="Pausing", load__enabled=False)


@pytest.fixture
def execution(kit):
    return kit.add_execution(owner="root")


@pytest.mark.parametrize(
    "ask",
    [
        lambda services, id_: services.steering.scale(id_, 5, ADMIN),
        lambda services, id_: services.load_metrics.get(id_, ADMIN),
        lambda services, id_: services.load_metrics.series(id_, ADMIN),
        lambda services, id_: services.load_metrics.watch(id_, lambda: ADMIN, str),
    ],
    ids=["scale", "metrics", "series", "watch"],
)
def test_what_an_orchestrator_cannot_is_said_with_its_name_once_the_execution_is_known(
    kit, execution, ask
):
    with pytest.raises(CapabilityMissing, match=execution.orchestrator):
        ask(kit.services, execution.id)
    with pytest.raises(NotFound):
        ask(kit.services, "exec-000000000000")


@pytest.mark.parametrize(
    "ask",
    [
        lambda services: services.nodes.all(ADMIN),
        lambda services: services.nodes.get("slave-1", ADMIN),
        lambda services: services.nodes.drain("slave-1", ADMIN),
        lambda services: services.nodes.undrain("slave-1", ADMIN),
        lambda services: services.submissions.submit("id: x", ADMIN),
        lambda services: services.submissions.orchestrator,
    ],
    ids=["nodes", "node", "drain", "undrain", "submit", "who-takes"],
)
def test_what_no_orchestrator_can_is_not_implemented(kit, ask):
    with pytest.raises(CapabilityMissing, match="No orchestrator"):
        ask(kit.services)
