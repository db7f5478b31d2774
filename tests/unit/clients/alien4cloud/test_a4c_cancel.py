"""Cancelling, adopting, and telling whether the server can be used."""

from __future__ import annotations

import pytest
from fakes.alien4cloud import CancelMode, Kind, Script, Status, script
from fakes.alien4cloud.driver import ALICE

from app.clients.orchestrator import Capability, adopter
from app.domain import ExecutionStatus, Identity
from app.errors import Conflict, UpstreamError, UpstreamRefused, UpstreamUnreachable

BOB = Identity("bob", frozenset())


@pytest.fixture
def run(environment, drive, clock):
    """Launch the exposed workflow with a script, and wait for its start event."""

    def launch(timeline):
        environment.workflow("exec_job", script=timeline)
        driver = drive(environment.workflow_id("exec_job"))
        clock.advance(1)
        return driver

    return launch


def test_a_cancel_is_accepted_and_may_be_repeated(server, run, orchestrator):
    driver = run(script.endless(cancel_seconds=5))
    for _ in range(2):
        orchestrator.cancel(driver.execution)
    assert server.requests["cancel"] == 1
    assert server.runs[0].record(server.now())["status"] == "CANCELLING"


@pytest.mark.parametrize("word", ["SUCCEEDED", "FAILED", "CANCELLED"])
def test_a_finished_execution_is_left_alone(server, run, orchestrator, word):
    driver = run(Script((Status(0.6, word),)))
    with pytest.raises(Conflict, match="has ended"):
        orchestrator.cancel(driver.execution)
    assert server.requests["cancel"] == 0


def test_a_refusal_is_a_conflict_with_its_reason(run, orchestrator):
    driver = run(script.endless(cancel=CancelMode.REFUSED))
    with pytest.raises(Conflict, match="400 Bad Request"):
        orchestrator.cancel(driver.execution)


def test_without_a_deployment_there_is_nothing_to_cancel(run, environment, orchestrator):
    driver = run(script.endless())
    environment.undeploy()
    with pytest.raises(Conflict, match="no active deployment"):
        orchestrator.cancel(driver.execution)


def test_what_is_not_seen_yet_can_be_cancelled(server, environment, drive, orchestrator):
    server.world.start_delay = 60
    driver = drive(environment.workflow("exec_job").workflow_id("exec_job"))
    orchestrator.cancel(driver.execution)
    assert server.requests["cancel"] == 1


def test_a_failure_is_no_refusal(server, run, orchestrator):
    driver = run(script.endless())
    server.state.cloud_disabled = True
    with pytest.raises(UpstreamError) as caught:
        orchestrator.cancel(driver.execution)
    assert "java" not in caught.value.message


def test_an_execution_that_was_started_elsewhere_is_recognised(
    server, run, environment, orchestrator
):
    driver = run(script.endless())
    id_ = server.runs[0].id
    found = adopter(orchestrator).adopt(id_, ALICE)
    assert found is not None
    assert found.reference == driver.execution.reference
    assert found.workflow_id == environment.workflow_id("exec_job")
    assert (found.workflow_name, found.status) == ("exec_job", ExecutionStatus.RUNNING)
    assert (found.started_at is None, found.finished_at) == (False, None)
    assert Capability.ADOPT in orchestrator.capabilities


def test_who_may_not_see_the_application_sees_no_execution_of_it(
    server, run, environment, orchestrator
):
    run(script.endless())
    environment.application.tags["hpcwaas-authorized-users"] = "alice"
    assert orchestrator.adopt(server.runs[0].id, ALICE)
    assert orchestrator.adopt(server.runs[0].id, BOB) is None
    del environment.application.tags["hpcwaas-workflows"]
    assert orchestrator.adopt(server.runs[0].id, ALICE) is None


@pytest.mark.parametrize("id_", ["", "..", "search", "no-such-id", "a/b"])
def test_what_is_no_id_is_nothing(orchestrator, environment, id_):
    assert orchestrator.adopt(id_, ALICE) is None


def test_a_server_in_order_is_healthy(orchestrator):
    orchestrator.health()


def test_a_server_that_cannot_be_used_says_why(server, make_orchestrator):
    with pytest.raises(UpstreamRefused, match="user name and password"):
        make_orchestrator(password="wrong").health()
    orchestrator = make_orchestrator(timeout="200ms")
    orchestrator.health()
    server.state.starting = True
    with pytest.raises(UpstreamUnreachable, match="starting, or stands by"):
        orchestrator.health()
    server.state.starting, server.state.maintenance = False, True
    with pytest.raises(UpstreamUnreachable, match="maintenance"):
        orchestrator.health()
    server.state.maintenance = False
    server.fault(Kind.HANG_BEFORE)
    with pytest.raises(UpstreamError, match="in time"):
        orchestrator.health()
    server.down()
    with pytest.raises(UpstreamUnreachable, match="reached"):
        orchestrator.health()
