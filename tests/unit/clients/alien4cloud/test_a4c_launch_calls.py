"""What a launch asks Alien4Cloud for, and that nothing it remembers starts anything else."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from fakes.alien4cloud import Kind
from fakes.alien4cloud.driver import ALICE, make_launch
from fakes.alien4cloud.replies import failed

from app.domain import Identity
from app.errors import Conflict, NotFound, UpstreamError, UpstreamGarbled

BOB = Identity("bob", frozenset())


@pytest.fixture
def orchestrator(make_orchestrator):
    return make_orchestrator(timeout="20s")


@pytest.fixture
def others(server):
    """Three more applications, which a launch of the first has nothing to do with."""
    for name in ("a", "b", "c"):
        tags = {"hpcwaas-workflows": "other"}
        server.application(name, tags=tags).environment().workflow("other")


@pytest.fixture
def id_(environment):
    return environment.workflow_id("exec_job")


@pytest.fixture
def calls(server, orchestrator):
    """Count the calls of something, without the login."""
    orchestrator.health()

    def count(function, *args, **kwargs):
        before = server.requests.copy()
        function(*args, **kwargs)
        return dict(server.requests - before)

    return count


def go(orchestrator, reference, inputs=None, identity=ALICE):
    """Launch as the service does: look up, resolve, trigger."""
    found = orchestrator.look_up(reference, identity)
    found = found or orchestrator.look_up(reference, identity, anew=True)
    if not found:
        raise NotFound("not found")
    workflow = orchestrator.resolve(found[0], identity)
    launch = make_launch(found[0].id, inputs, identity=identity)
    return orchestrator.trigger(replace(launch, workflow=workflow))


def test_an_id_that_was_never_seen_takes_four_calls(orchestrator, others, id_, calls):
    assert calls(go, orchestrator, id_) == {
        "search_applications": 1, "search_environments": 1, "runtime_topology": 1, "launch": 1,
    }  # fmt: skip


def test_a_name_that_was_never_seen_takes_four_calls(orchestrator, others, id_, calls):
    assert calls(go, orchestrator, "exec_job") == {
        "search_applications": 1, "search_environments": 1, "runtime_topology": 1, "launch": 1,
    }  # fmt: skip


@pytest.mark.parametrize("by_name", [False, True])
def test_what_was_seen_takes_two_calls(orchestrator, others, id_, calls, by_name):
    reference = "exec_job" if by_name else id_
    go(orchestrator, reference)
    for _ in range(3):
        assert calls(go, orchestrator, reference) == {"get_application": 1, "launch": 1}


def test_an_application_of_another_server_is_not_taken_for_it(orchestrator, environment):
    """Servers may have applications of the same name, but never the same environment."""
    assert orchestrator.look_up(f"covid@{'0' * 8}@exec_job", ALICE) == []
    assert orchestrator.look_up(f"covid@{environment.id}@exec_job", ALICE)


def test_what_was_described_or_listed_counts_as_seen(orchestrator, others, id_, calls):
    orchestrator.workflows(ALICE)
    orchestrator.describe(id_, ALICE)
    assert calls(go, orchestrator, "exec_job") == {"get_application": 1, "launch": 1}


def test_the_same_is_true_of_whoever_launched_before(orchestrator, id_, calls):
    go(orchestrator, id_)
    assert calls(go, orchestrator, id_, identity=BOB) == {"get_application": 1, "launch": 1}


def test_the_right_to_launch_is_never_remembered(server, orchestrator, environment, id_):
    go(orchestrator, id_)
    environment.application.tags["hpcwaas-authorized-users"] = "bob"
    with pytest.raises(NotFound):
        go(orchestrator, id_)
    assert server.requests["launch"] == 1
    environment.application.tags["hpcwaas-authorized-users"] = "alice"
    go(orchestrator, id_)


def test_a_workflow_that_is_not_exposed_any_more_is_not_launched(
    server, orchestrator, environment, id_
):
    go(orchestrator, id_)
    environment.application.tags["hpcwaas-workflows"] = "other"
    for reference in (id_, "exec_job"):
        with pytest.raises(NotFound):
            go(orchestrator, reference)
    assert server.requests["launch"] == 1


def test_what_is_exposed_anew_is_found_at_once_but_made_up_names_cost_little(
    server, orchestrator, environment, id_, clock
):
    go(orchestrator, id_)
    orchestrator._catalogue._clock = clock
    clock.advance(10**6)
    with pytest.raises(NotFound):
        go(orchestrator, "second")
    environment.workflow("second")
    environment.application.tags["hpcwaas-workflows"] = "exec_job,second"
    clock.advance(3)
    go(orchestrator, "second")
    before = server.requests.copy()
    for index in range(50):
        for reference in (
            f"made-up-{index}",
            f"made@up{index}@x",
            f"covid@{environment.id}@x{index}",
        ):
            with pytest.raises(NotFound):
                go(orchestrator, reference)
    assert (server.requests - before).total() <= 1


def test_an_undeployed_environment_fails_honestly_and_is_looked_up_again(
    server, orchestrator, environment, id_
):
    go(orchestrator, id_)
    environment.undeploy()
    with pytest.raises(NotFound):
        go(orchestrator, id_)
    assert len(server.runs) == 1
    environment.workflow("exec_job", inputs={"m": "string"})
    environment.deploy()
    go(orchestrator, id_, {"m": "x"})
    assert server.runs[-1].inputs == {"m": "x"}


def test_an_input_that_is_gone_leaves_no_doubt(server, orchestrator, environment, id_):
    environment.workflow("exec_job", inputs={"n": "string"})
    go(orchestrator, id_, {"n": "x"})
    environment.workflow("exec_job", inputs={"m": {"type": "string", "required": False}})
    with pytest.raises(Conflict, match="changed"):
        go(orchestrator, id_, {"n": "x"})
    go(orchestrator, id_, {"m": "x"})
    assert [run.inputs for run in server.runs] == [{"n": "x"}, {"m": "x"}]


def test_a_workflow_that_is_gone_leaves_no_doubt(server, orchestrator, environment, id_):
    environment.workflow("exec_job", inputs={"n": "string"})
    go(orchestrator, id_, {"n": "x"})
    environment.workflows.clear()
    with pytest.raises(Conflict, match="changed"):
        go(orchestrator, id_, {"n": "x"})
    with pytest.raises(NotFound):
        go(orchestrator, id_, {"n": "x"})


def test_an_internal_failure_of_a_workflow_that_is_as_it_was_leaves_doubt(
    server, orchestrator, environment, id_
):
    environment.workflow("exec_job", inputs={"n": "string"})
    go(orchestrator, id_, {"n": "x"})
    server.fault(Kind.REPLY, "launch", status=500, body=failed(500, 500, "x").body, times=1)
    with pytest.raises(UpstreamGarbled):
        go(orchestrator, id_, {"n": "x"})


def test_what_cannot_be_read_again_leaves_doubt(server, orchestrator, environment, id_):
    environment.workflow("exec_job", inputs={"n": "string"})
    go(orchestrator, id_, {"n": "x"})
    environment.workflows.clear()
    server.fault(Kind.REPLY, "runtime_topology", status=500, body=failed(500, 500, "x").body)
    with pytest.raises(UpstreamGarbled):
        go(orchestrator, id_, {"n": "x"})


def test_what_is_read_anew_is_what_is_there(orchestrator, environment, id_):
    environment.workflow("exec_job", inputs={"n": "string"})
    [found] = orchestrator.look_up(id_, ALICE)
    assert not orchestrator.resolve(found, ALICE).kept
    environment.workflow("exec_job", inputs={"m": "string"})
    kept, anew = orchestrator.resolve(found, ALICE), orchestrator.resolve(found, ALICE, anew=True)
    assert (kept.kept, anew.kept) == (True, False)
    names = [[p.name for p in w.description.inputs] for w in (kept, anew)]
    assert names == [["n"], ["m"]]


def test_nothing_is_launched_by_what_was_true_before_the_server_failed(
    server, make_orchestrator, id_
):
    orchestrator = make_orchestrator(timeout="20s", cache_ttl="50ms")
    go(orchestrator, id_)
    server.stack_trace("runtime_topology")
    time.sleep(0.1)
    with pytest.raises(UpstreamError):
        go(orchestrator, id_)
    assert server.requests["launch"] == 1
