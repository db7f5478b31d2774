"""Launching exactly once: refusals, doubts, and how doubts are settled."""

from __future__ import annotations

import pytest
from fakes.alien4cloud import Kind
from fakes.alien4cloud.driver import ALICE, in_doubt, make_launch
from fakes.alien4cloud.replies import failed

from app.domain import Identity
from app.errors import (
    InvalidRequest,
    NotFound,
    SlipwayError,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

PICKY = {"type": "string", "required": False}
BOB = Identity("bob", frozenset())


@pytest.fixture
def launch(environment, orchestrator, clock):
    """Write down a launch of the exposed workflow; the server is known to be up."""
    orchestrator.health()

    def make(inputs=None, **more):
        return make_launch(environment.workflow_id("exec_job"), inputs, clock=clock, **more)

    return make


def test_a_launch_gives_what_is_needed_to_find_it_again(server, orchestrator, environment, launch):
    reference = orchestrator.trigger(launch())
    assert reference == {
        "application": "covid",
        "environment": environment.id,
        "workflow": "exec_job",
        "execution": server.runs[0].id,
    }


def test_inputs_arrive_in_the_form_that_is_accepted(server, orchestrator, environment, launch):
    inputs = {"flag": "boolean", "ratio": "float", "big": "integer", "text": "string"}
    environment.workflow("exec_job", inputs=inputs)
    orchestrator.trigger(launch({"flag": True, "ratio": 0.5, "big": 2**40, "text": {"a": 1}}))
    assert server.runs[0].inputs == {
        "flag": "true", "ratio": "0.5", "big": "1099511627776", "text": '{"a": 1}',
    }  # fmt: skip


def test_a_workflow_without_inputs_is_launched_with_an_empty_body(server, orchestrator, launch):
    orchestrator.trigger(launch())
    assert server.runs[0].inputs == {}


def test_wrong_inputs_never_reach_the_server(server, orchestrator, environment, launch):
    environment.workflow("exec_job", inputs={"n": "integer"})
    for inputs in ({}, {"n": "x"}, {"n": 1, "m": 2}):
        with pytest.raises(InvalidRequest) as caught:
            orchestrator.trigger(launch(inputs))
        assert caught.value.fields
    assert server.requests["launch"] == 0


def test_who_may_not_see_the_application_may_not_launch(server, orchestrator, environment, launch):
    environment.application.tags["hpcwaas-authorized-users"] = "alice"
    orchestrator.workflows(ALICE)
    with pytest.raises(NotFound):
        orchestrator.trigger(launch(identity=BOB))
    environment.application.tags["hpcwaas-authorized-users"] = "bob"
    with pytest.raises(NotFound):  # at once, whatever the list still shows
        orchestrator.trigger(launch())
    assert server.requests["launch"] == 0


def test_a_restricted_environment_cannot_be_reached_through_an_open_application(
    server, orchestrator, environment, clock
):
    server.application("open", tags={"hpcwaas-workflows": "exec_job"})
    with pytest.raises(NotFound):
        orchestrator.trigger(make_launch(f"open@{environment.id}@exec_job", clock=clock))
    assert not server.runs


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, 800), InvalidRequest),
        ((400, 501), InvalidRequest),
        ((200, 850), InvalidRequest),
        ((404, 504), NotFound),
        ((200, 619), UpstreamRefused),
        ((200, 370), UpstreamRefused),
        ((403, 102), UpstreamRefused),
        ((500, 500), UpstreamGarbled),
        ((503, 0), UpstreamUnreachable),
    ],
)
def test_each_refusal_has_its_error_and_its_reason(server, orchestrator, launch, answer, error):
    status, code = answer
    body = failed(status, code, "java.lang.Exception: it is Sunday\n\tat a.B.c(D.java:1)").body
    server.fault(Kind.REPLY, "launch", status=status, body=body)
    with pytest.raises(error) as caught:
        orchestrator.trigger(launch())
    assert ("it is Sunday" in caught.value.message) is (status < 500)
    assert "java" not in caught.value.message.lower()
    assert server.requests["launch"] == 1


def test_a_refusal_of_the_orchestrator_below_is_told(server, orchestrator, environment, launch):
    environment.status = "UPDATE_IN_PROGRESS"
    with pytest.raises(UpstreamRefused, match="400 Bad Request"):
        orchestrator.trigger(launch())
    environment.status = "DEPLOYED"
    server.state.cloud_disabled = True
    with pytest.raises(UpstreamRefused, match="disabled"):
        orchestrator.trigger(launch())


def test_no_id_is_no_launch(server, orchestrator, launch):
    server.state.mock_provider = True
    with pytest.raises(UpstreamRefused, match="made no execution"):
        orchestrator.trigger(launch())


@pytest.mark.parametrize("endpoint", ["get_application", "get_environment", "runtime_topology"])
@pytest.mark.parametrize("kind", [Kind.DROP_BEFORE, Kind.REPLY, Kind.CUT])
def test_what_fails_before_the_launch_leaves_no_doubt(server, orchestrator, launch, endpoint, kind):
    server.fault(kind, endpoint)
    with pytest.raises(UpstreamUnreachable):
        orchestrator.trigger(launch())
    assert server.requests["launch"] == 0


def test_a_login_that_fails_before_the_launch_leaves_no_doubt(server, orchestrator, launch):
    orchestrator.workflows(ALICE)
    orchestrator.describe(launch().workflow_id, ALICE)
    server.fault(Kind.REPLY, "launch", status=403, body=failed(403, 100, None).body, times=1)
    server.fault(Kind.DROP_BEFORE, "login")
    with pytest.raises(UpstreamUnreachable):
        orchestrator.trigger(launch())


def test_a_session_that_ends_just_then_is_renewed(server, orchestrator, launch):
    body = failed(403, 100, None).body
    server.fault(Kind.REPLY, "launch", status=403, body=body, times=1)
    orchestrator.trigger(launch())
    assert len(server.runs) == 1
    assert server.logins == 2


def test_refused_means_surely_not_received(server, orchestrator, launch):
    server.down()
    with pytest.raises(UpstreamUnreachable):
        orchestrator.trigger(launch())


@pytest.mark.parametrize("kind", [Kind.DROP_AFTER, Kind.HANG_AFTER, Kind.CUT, Kind.REPLY_AFTER])
def test_a_launch_that_happened_without_an_answer_is_found(
    server, make_orchestrator, launch, clock, kind
):
    orchestrator = make_orchestrator(timeout="300ms", grace="10s")
    wanted = launch()
    server.fault(kind, "launch", times=1)
    with pytest.raises((UpstreamTimeout, UpstreamGarbled)):
        orchestrator.trigger(wanted)
    with pytest.raises(UpstreamError, match="does not show"):
        orchestrator.find(in_doubt(wanted))
    clock.advance(1)
    for _ in range(2):  # what was found may not have been stored
        assert orchestrator.find(in_doubt(wanted))["execution"] == server.runs[0].id
    assert len(server.runs) == 1


def test_a_launch_that_was_lost_is_settled_after_the_grace(server, orchestrator, launch, clock):
    wanted = launch()
    server.fault(Kind.DROP_BEFORE, "launch", times=1)
    with pytest.raises(UpstreamTimeout):
        orchestrator.trigger(wanted)
    for _ in range(2):
        with pytest.raises(UpstreamError, match="does not show"):
            orchestrator.find(in_doubt(wanted))
        clock.advance(9)
    assert orchestrator.find(in_doubt(wanted)) is None
    assert not server.runs


def test_while_the_server_is_away_no_grace_passes(server, orchestrator, launch, clock):
    """Its events wait: what does not show when it comes back may show a moment later."""
    wanted = launch()
    server.world.start_delay = 65
    server.fault(Kind.DROP_AFTER, "launch", times=1)
    with pytest.raises(UpstreamTimeout):
        orchestrator.trigger(wanted)
    server.down()
    clock.advance(60)
    with pytest.raises(UpstreamUnreachable):
        orchestrator.find(in_doubt(wanted))
    server.up()
    with pytest.raises(UpstreamError, match="does not show"):
        orchestrator.find(in_doubt(wanted))
    clock.advance(6)
    assert orchestrator.find(in_doubt(wanted))["execution"] == server.runs[0].id


def test_an_execution_from_before_is_not_taken_for_it(server, orchestrator, launch, clock):
    server.world.launch(*_parts(server), {})
    clock.advance(60)
    wanted = launch()
    clock.advance(60)
    assert orchestrator.find(in_doubt(wanted)) is None


def test_an_execution_from_long_after_is_not_taken_for_it(server, orchestrator, launch, clock):
    wanted = launch()
    clock.advance(3700)
    server.world.launch(*_parts(server), {})
    orchestrator.health()
    clock.advance(60)
    assert orchestrator.find(in_doubt(wanted)) is None


def test_what_belongs_to_another_launch_does_not_fit(server, orchestrator, launch, clock):
    wanted = launch()
    taken = [orchestrator.trigger(launch()) for _ in range(2)]
    run = server.world.launch(*_parts(server), {})
    clock.advance(60)
    assert orchestrator.find(in_doubt(wanted, taken=(*taken,)))["execution"] == run.id
    taken.append({**taken[0], "execution": run.id})
    assert orchestrator.find(in_doubt(wanted, taken=(*taken,))) is None


# Several launches in doubt.


@pytest.fixture
def lose(server, orchestrator, launch, clock):
    """Launch so that the answer is lost, with or without the launch itself."""

    def lost(inputs=None, *, arrives=True):
        wanted = launch(inputs)
        server.fault(Kind.DROP_AFTER if arrives else Kind.DROP_BEFORE, "launch", times=1)
        with pytest.raises(UpstreamTimeout):
            orchestrator.trigger(wanted)
        orchestrator.health()  # it counts as up from here on
        clock.advance(1)
        return wanted

    return lost


def settle(orchestrator, launches):
    """Look each launch up, as long as none is settled; return the id there, None, or ``open``."""
    found = []
    for wanted in launches:
        rivals = [other for other in launches if other is not wanted]
        try:
            reference = orchestrator.find(in_doubt(wanted, *rivals))
        except UpstreamError:
            found.append("open")
        else:
            found.append(reference and reference["execution"])
    return found


def test_two_lost_launches_of_the_same_find_an_execution_each_in_order(server, orchestrator, lose):
    launches = [lose(), lose()]
    assert settle(orchestrator, launches) == [run.id for run in server.runs]


def test_launches_of_the_same_of_which_one_was_lost_share_what_there_is(
    server, orchestrator, lose, clock
):
    launches = [lose(arrives=False), lose(), lose(arrives=False)]
    (run,) = server.runs
    assert settle(orchestrator, launches) == [run.id, "open", "open"]
    clock.advance(60)
    assert settle(orchestrator, launches) == [run.id, None, None]


def test_an_execution_from_before_a_launch_is_for_an_older_one(server, orchestrator, lose, clock):
    first = lose()
    clock.advance(60)
    second = lose(arrives=False)
    clock.advance(60)
    assert settle(orchestrator, [second, first]) == [None, server.runs[0].id]


def test_the_inputs_of_the_latest_tell_two_apart_that_overtook_each_other(
    server, orchestrator, environment, lose, clock
):
    environment.workflow("exec_job", inputs={"n": "integer"})
    launches = [lose({"n": n}, arrives=False) for n in (1, 2)]
    for n in (2, 1):
        server.world.launch(*_parts(server), {"n": n})
        clock.advance(1)
    clock.advance(60)
    assert settle(orchestrator, launches) == [run.id for run in reversed(server.runs)]


def test_nobodys_inputs_are_compared_before_what_was_launched_must_show(
    server, orchestrator, environment, lose, clock
):
    """The latest inputs are those of our own, which does not show, and not of what shows."""
    environment.workflow("exec_job", inputs={"n": "integer"})
    server.world.launch(*_parts(server), {"n": 1})
    clock.advance(20)
    server.world.start_delay = 5
    wanted = lose({"n": 2})
    assert settle(orchestrator, [wanted]) == ["open"]
    clock.advance(60)
    assert settle(orchestrator, [wanted]) == [server.runs[-1].id]


def test_a_launch_that_alien4cloud_may_still_hold_back_is_not_taken_for_lost(
    server, make_orchestrator, launch, clock
):
    orchestrator = make_orchestrator(cache_ttl="0s")
    wanted = launch()
    server.fault(Kind.DROP_BEFORE, "launch", times=1)
    with pytest.raises(UpstreamTimeout):
        orchestrator.trigger(wanted)
    clock.advance(15 * 60)
    with pytest.raises(UpstreamError, match="does not show"):
        orchestrator.find(in_doubt(wanted))
    run = server.world.launch(*_parts(server), {})  # it was let through at last
    clock.advance(61)
    assert orchestrator.find(in_doubt(wanted))["execution"] == run.id
    assert orchestrator.find(in_doubt(wanted, taken=(_reference(run),))) is None


def test_what_shows_first_is_given_to_neither_before_both_must_show(
    server, orchestrator, environment, lose, clock
):
    """Until then it cannot be told whose inputs the latest ones are."""
    environment.workflow("exec_job", inputs={"n": "integer"})
    one, two = lose({"n": 1}), lose({"n": 2}, arrives=False)
    assert settle(orchestrator, [one, two]) == ["open", "open"]
    clock.advance(60)
    assert settle(orchestrator, [one, two]) == [server.runs[0].id, None]


def test_several_with_different_inputs_one_after_the_other_are_given_out_in_order(
    server, orchestrator, environment, lose, clock
):
    environment.workflow("exec_job", inputs={"n": "integer"})
    launches = []
    for n in range(4):
        launches.append(lose({"n": n}))
        clock.advance(10)
    assert settle(orchestrator, launches) == [run.id for run in server.runs]


def test_several_with_different_inputs_at_once_may_have_overtaken_each_other(
    server, orchestrator, environment, lose, clock
):
    """Only the inputs of the latest are kept."""
    environment.workflow("exec_job", inputs={"n": "integer"})
    launches = [lose({"n": n}) for n in range(4)]
    clock.advance(60)
    assert settle(orchestrator, launches) == ["open", "open", "open", server.runs[3].id]


def test_what_cannot_be_told_apart_is_not_guessed(server, orchestrator, environment, lose, clock):
    """Three launches of different inputs, and the execution of the first or of the second."""
    environment.workflow("exec_job", inputs={"n": "integer"})
    launches = [lose({"n": 1}), lose({"n": 2}, arrives=False), lose({"n": 3})]
    clock.advance(60)
    assert settle(orchestrator, launches) == ["open", "open", server.runs[1].id]


def test_an_execution_of_somebody_else_with_other_inputs_is_not_claimed(
    server, orchestrator, environment, lose, clock
):
    environment.workflow("exec_job", inputs={"n": "integer", "m": PICKY})
    launches = [lose({"n": 1}), lose({"n": 1}, arrives=False)]
    clock.advance(1)
    server.world.launch(*_parts(server), {"n": 1, "m": "x"})
    clock.advance(60)
    assert settle(orchestrator, launches) == [server.runs[0].id, None]


def test_among_more_executions_than_launches_only_known_inputs_count(
    server, orchestrator, environment, lose, clock
):
    environment.workflow("exec_job", inputs={"n": "integer"})
    wanted = lose({"n": 1}, arrives=False)
    for n in (2, 3):
        server.world.launch(*_parts(server), {"n": n})
        clock.advance(1)
    clock.advance(60)
    server.world.last_inputs[environment.id, "exec_job"] = {}
    with pytest.raises(UpstreamError, match="Several") as caught:
        orchestrator.find(in_doubt(wanted))
    assert all(run.id in str(caught.value.detail) for run in server.runs)
    server.world.last_inputs[environment.id, "exec_job"] = {"n": 1}
    assert settle(orchestrator, [wanted]) == [server.runs[1].id]


def test_a_workflow_without_inputs_has_executions_that_are_all_the_same(
    server, orchestrator, launch, clock
):
    wanted = launch()
    for _ in range(2):
        server.world.launch(*_parts(server), {})
        clock.advance(1)
    assert settle(orchestrator, [wanted]) == [server.runs[0].id]


def test_nothing_is_claimed_while_another_launch_is_under_way(server, orchestrator, lose, launch):
    wanted, other = lose(), launch()
    with pytest.raises(UpstreamError, match="under way"):
        orchestrator.find(in_doubt(wanted, under_way=(other,)))


def test_another_workflow_does_not_fit(server, orchestrator, environment, launch, clock):
    environment.workflow("other")
    wanted = launch()
    server.world.launch(environment, environment.workflows["other"], {})
    clock.advance(60)
    assert orchestrator.find(in_doubt(wanted)) is None


def test_the_inputs_tell_one_from_another(server, orchestrator, environment, launch, clock):
    environment.workflow("exec_job", inputs={"n": "integer", "m": "string"})
    wanted = launch({"n": 5, "m": "x"})
    run = server.world.launch(*_parts(server), {})
    clock.advance(60)
    for theirs, found in (("5", True), (5, True), ("6", False), (None, False)):
        server.world.last_inputs[environment.id, "exec_job"] = {"n": theirs, "m": "x"}
        reference = orchestrator.find(in_doubt(wanted))
        assert (reference and reference["execution"]) == (run.id if found else None)


def test_inputs_that_cannot_be_compared_any_more_decide_nothing(
    server, orchestrator, environment, launch, clock
):
    wanted = launch({"n": 5})
    server.world.launch(*_parts(server), {"n": "6"})
    clock.advance(1)
    environment.undeploy()
    clock.advance(60)
    assert orchestrator.find(in_doubt(wanted))["execution"] == server.runs[0].id


def test_an_environment_of_another_application_settles_nothing(
    server, orchestrator, environment, clock
):
    orchestrator.health()
    wanted = make_launch(f"open@{environment.id}@exec_job", clock=clock)
    server.world.launch(*_parts(server), {})
    clock.advance(60)
    assert orchestrator.find(in_doubt(wanted)) is None
    assert orchestrator.find(in_doubt(make_launch("nonsense", clock=clock))) is None


def test_no_doubt_is_settled_while_the_server_is_away(server, orchestrator, launch, clock):
    wanted = launch()
    clock.advance(60)
    server.down()
    with pytest.raises(UpstreamUnreachable):
        orchestrator.find(in_doubt(wanted))


def test_every_failure_of_a_launch_is_one_of_ours(server, make_orchestrator, launch):
    orchestrator = make_orchestrator(timeout="200ms")
    orchestrator.workflows(ALICE)
    for kind in Kind:
        server.fault(kind, "launch", times=1)
        with pytest.raises(SlipwayError):
            orchestrator.trigger(launch())


def _reference(run):
    return {"application": "covid", "environment": "e", "workflow": "exec_job", "execution": run.id}


def _parts(server):
    environment = next(iter(server.world.applications["covid"].environments.values()))
    return environment, environment.workflows["exec_job"]
