"""The whole gateway before Alien4Cloud: the real service, the real protocol, users and faults.

``slipway serve`` runs as its users start it; only Alien4Cloud is the emulator. What the adapter
does by itself is proved in ``test_alien4cloud_faults.py``.
"""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.alien4cloud import Alien4Cloud, CancelMode, Kind, Log, Script, Status, script
from fakes.alien4cloud.replies import failed
from fakes.alien4cloud.run import Run
from fakes.alien4cloud.world import Environment
from kit.gateway import FINAL, Gateway, User, alien4cloud, assert_each_once, simple_place
from kit.patience import PATIENCE_SECONDS, await_that

TEAM = "ada, dev ,, bob,"


@pytest.fixture(scope="module")
def server() -> Iterator[Alien4Cloud]:
    with Alien4Cloud(start_delay=0.05) as server:
        server.state.shuffled_ties = True
        yield server


@pytest.fixture(scope="module")
def gateway(server, tmp_path_factory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with Gateway(folder, [alien4cloud(server)]) as gateway:
        yield gateway


@pytest.fixture
def place(server, request) -> Iterator[Callable[..., Environment]]:
    """Make an application with one environment; its workflows are gone when the test is."""
    made: list[str] = []

    def make(workflows: str = "job", users: str | None = TEAM, **options: Any) -> Environment:
        tags = {"hpcwaas-workflows": workflows}
        if users is not None:
            tags["hpcwaas-authorized-users"] = users
        name = re.sub(r"\W", "_", request.node.name)[:60] + f"_{len(made)}"
        made.append(name)
        environment = server.application(name, tags=tags).environment("prod", **options)
        return environment.workflow("job")

    yield make
    server.faults.clear()
    for name in made:
        server.world.applications[name].tags.clear()


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Iterator[tuple[Gateway, Alien4Cloud]]:
    folder = tmp_path_factory.mktemp("alone")
    with (
        Alien4Cloud(start_delay=0.05) as server,
        Gateway(folder, [alien4cloud(server)], {"conductor": {"stale_after": "1s"}}) as gateway,
    ):
        yield gateway, server


@pytest.fixture
def alone(pair) -> Iterator[tuple[Gateway, Alien4Cloud]]:
    """A gateway with an emulator that no other test needs meanwhile: it may go away."""
    gateway, server = pair
    yield gateway, server
    restore(server)


def restore(server: Alien4Cloud) -> None:
    """Take away what an emulator offered in a test, and its faults."""
    server.faults.clear()
    for application in server.world.applications.values():
        application.tags.clear()


# Who may see what.


def test_users_see_the_workflows_of_applications_that_name_them(gateway, place):
    named, empty, open_ = place(), place(users=""), place(users=None)
    ids = {name: environment.workflow_id("job") for name, environment in
           {"named": named, "empty": empty, "open": open_}.items()}  # fmt: skip
    assert set(gateway.ada.workflows()) == {ids["named"], ids["open"]}
    assert set(gateway.bob.workflows()) == {ids["named"], ids["open"]}
    assert set(gateway.eve.workflows()) == {ids["open"]}
    assert gateway.ada.workflows()[ids["named"]] == {
        "id": ids["named"],
        "name": "job",
        "application_id": named.application.id,
        "environment_id": named.id,
        "environment_name": "prod",
        "orchestrator": "hpc",
        "description": "",
        "stale": False,
    }
    for id_ in (ids["named"], ids["empty"]):
        assert gateway.eve.get(f"/workflows/{id_}").status_code == 404
        assert gateway.eve.try_launch(id_).status_code == 404


def test_nobody_pairs_an_open_application_with_the_environment_of_another(gateway, place, server):
    open_, closed = place(users=None), place(users="bob")
    id_ = f"{open_.application.id}@{closed.id}@job"
    launched = server.requests["launch"]
    assert gateway.ada.try_launch(id_).status_code == 404
    assert gateway.ada.get(f"/workflows/{id_}").status_code == 404
    assert server.requests["launch"] == launched


def test_what_the_tag_does_not_list_cannot_be_launched(gateway, place):
    environment = place().workflow("hidden")
    assert gateway.ada.try_launch(environment.workflow_id("hidden")).status_code == 404


def test_a_workflow_is_described_by_its_inputs_outputs_and_steps(gateway, place):
    environment = place().attribute("Job", "url", "http://x")
    steps = {
        "first": {"node": "Job", "operation": "run", "then": ["second"]},
        "second": {"node": "Job", "operation": "stop"},
    }
    inputs = {
        "n": "integer",
        "colour": {"type": "string", "required": False, "constraints": [{"validValues": ["red"]}]},
    }
    environment.workflow("job", inputs=inputs, steps=steps)
    described = gateway.ada.get(f"/workflows/{environment.workflow_id('job')}").json()
    by_name = {parameter["name"]: parameter for parameter in described["inputs"]}
    assert (by_name["n"]["type"], by_name["n"]["required"]) == ("integer", True)
    assert by_name["colour"]["allowed_values"] == ["red"]
    assert [(s["name"], s["needs"]) for s in described["steps"]] == [
        ("first", []),
        ("second", ["first"]),
    ]
    assert len(described["outputs"]) == 1


def test_a_developer_of_the_application_sees_the_executions_of_others(gateway, place):
    environment = place().workflow("job", script=script.endless())
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    paths = [f"/executions/{id_}", f"/executions/{id_}/logs?timeout=0s", f"/executions/{id_}/tasks"]
    expected = {"ada": 200, "dev": 200, "ops": 200, "bob": 404, "eve": 404}
    for name, status in expected.items():
        user = getattr(gateway, name)
        assert [user.get(path).status_code for path in paths] == [status] * 3, name
    assert gateway.bob.cancel(id_).status_code == gateway.eve.cancel(id_).status_code == 404
    assert gateway.ada.execution(id_)["state"] in ("PENDING", "RUNNING")
    assert gateway.dev.cancel(id_).status_code == 202
    gateway.ada.until(id_, "CANCELLED")


def test_a_developer_keeps_his_view_when_the_application_is_undeployed(gateway, place):
    environment = place()
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    gateway.ada.follow(id_)
    assert gateway.dev.execution(id_)["status"] == "SUCCESS"
    environment.undeploy()
    assert gateway.dev.get(f"/executions/{id_}").status_code == 200
    assert gateway.eve.get(f"/executions/{id_}").status_code == 404


# Launch, follow, cancel.


def test_wrong_inputs_are_named_one_by_one_and_nothing_is_launched(gateway, place, server):
    inputs = {
        "n": "integer",
        "x": "float",
        "colour": {"type": "string", "constraints": [{"validValues": ["red"]}]},
        "missing": "string",
    }
    environment = place().workflow("job", inputs=inputs)
    launched, listed = server.requests["launch"], gateway.ada.executions()
    wrong = {"n": "many", "x": True, "colour": "blue", "unknown": 1}
    answer = gateway.ada.try_launch(environment.workflow_id("job"), wrong)
    assert answer.status_code == 422
    paths = {fault["path"] for fault in answer.json()["fields"]}
    assert paths == {f"inputs.{name}" for name in ("n", "x", "colour", "missing", "unknown")}
    assert server.requests["launch"] == launched
    assert gateway.ada.executions() == listed


def test_an_execution_is_launched_followed_and_read_to_its_end(gateway, place, server):
    inputs = {"n": "integer", "big": "integer", "x": "float", "flag": "boolean"}
    steps = {
        "split": {"node": "Job", "operation": "run", "then": ["join"]},
        "join": {"node": "Job", "operation": "run"},
    }
    lines = [f"line {index}" for index in range(20)]
    environment = place().attribute("Job", "url", "http://result")
    environment.workflow(
        "job", inputs=inputs, steps=steps, script=script.simple(1, lines, steps=steps)
    )
    given = {"n": 4, "big": 2**40, "x": 0.5, "flag": True}
    id_ = gateway.ada.launch(environment.workflow_id("job"), given)
    entries = gateway.ada.follow(id_)
    assert_each_once(entries, lines)
    view = gateway.ada.execution(id_)
    assert (view["status"], view["error"], view["progress"]) == ("SUCCESS", None, 1.0)
    assert view["owner"] == "ada"
    assert view["inputs"] == given
    assert "http://result" in str(view["outputs"])
    assert [(t["name"], t["status"]) for t in view["tasks"]] == [
        ("split", "SUCCESS"),
        ("join", "SUCCESS"),
    ]
    assert view["finished_at"] >= view["started_at"]
    assert server.runs[-1].inputs == {"n": 4, "big": str(2**40), "x": "0.5", "flag": "true"}
    assert gateway.ada.get(f"/executions/{id_}/tasks").json()["tasks"] == view["tasks"]
    assert id_ in gateway.ada.executions()
    assert id_ not in gateway.bob.executions()


def test_a_failed_execution_says_which_step_and_why(gateway, place):
    events = (Log(0.1, "disk full", level="ERROR", node="Job", operation="run"),)
    run = script.simple(0.4, end="FAILED")
    environment = place().workflow("job", script=Script((*events, *run.events)))
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    view = gateway.ada.until(id_, *FINAL)
    assert (view["status"], view["error"]) == ("FAILED", "Step 'run' failed: disk full")
    digest = gateway.ada.get(f"/executions/{id_}/digest").json()
    (failed,) = digest["failed"]
    assert (failed["name"], failed["exit_code"], failed["meaning"]) == ("run", None, None)
    assert digest["execution"]["error"] == view["error"]
    same = gateway.ada.get(f"/executions/{id_}/diff/{id_}").json()
    assert (same["differs"], same["definition"]["changed"]) == (False, None)
    bundle = gateway.ada.get(f"/executions/{id_}/bundle")
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
        files = {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}
    assert "disk full" in files["log.txt"]
    assert json.loads(files["versions.json"])["orchestrator"] == {
        "name": "hpc", "type": "alien4cloud", "version": None,
    }  # fmt: skip
    assert "(no definition)" in files["README.txt"]


def test_a_launch_that_does_not_show_yet_is_pending_and_never_unknown(gateway, place, server):
    environment = place()
    server.world.start_delay = 1.5
    try:
        id_ = gateway.ada.launch(environment.workflow_id("job"))
    finally:
        server.world.start_delay = 0.05
    seen = []
    end = time.monotonic() + PATIENCE_SECONDS
    while not seen or seen[-1] not in FINAL:
        assert time.monotonic() < end
        seen.append(gateway.ada.execution(id_)["state"])
        time.sleep(0.02)
    assert seen[0] == "PENDING"
    assert set(seen) <= {"PENDING", "RUNNING", "SUCCESS"}
    assert seen[-1] == "SUCCESS"


def test_a_cancel_is_accepted_and_carried_out(gateway, place):
    environment = place().workflow("job", script=script.endless(cancel_seconds=0.5))
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    gateway.ada.until(id_, "RUNNING")
    assert [gateway.ada.cancel(id_).status_code for _ in range(2)] == [202, 202]
    assert gateway.ada.execution(id_)["status"] in ("CANCELLING", "CANCELLED")
    view = gateway.ada.until(id_, *FINAL)
    assert view["status"] == "CANCELLED"
    assert gateway.ada.cancel(id_).status_code == 202, "asking again is fine"


def test_a_refused_cancel_is_a_conflict_with_the_reason_and_changes_nothing(gateway, place):
    run = script.endless(cancel=CancelMode.REFUSED)
    environment = place().workflow("job", script=run)
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    gateway.ada.until(id_, "RUNNING")
    answer = gateway.ada.cancel(id_)
    assert answer.status_code == 409
    assert "400 Bad Request" in answer.json()["detail"]
    assert gateway.ada.execution(id_)["status"] == "RUNNING"
    environment.undeploy()  # so that nothing of it goes on


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        (CancelMode.RACE, "SUCCESS"),
        (CancelMode.STUCK, "CANCELLED"),
        (CancelMode.ENDS_FIRST, "SUCCESS"),
    ],
)
def test_a_cancel_that_crosses_the_end_is_resolved(gateway, place, mode, status):
    run = script.simple(1.0) if mode is CancelMode.ENDS_FIRST else script.endless()
    run = Script(run.events, cancel=mode)
    environment = place().workflow("job", script=run)
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    gateway.ada.until(id_, "RUNNING")
    assert gateway.ada.cancel(id_).status_code == 202
    assert gateway.ada.until(id_, *FINAL)["status"] == status


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        ((619, "400 Bad Request"), 502),
        ((370, "The orchestrator is disabled"), 502),
        ((800, "n is not in range"), 422),
        ((850, "uninstall cannot be launched"), 422),
    ],
)
def test_a_launch_that_alien4cloud_refuses_gives_its_reason_and_leaves_nothing(
    gateway, place, server, refusal, status
):
    code, reason = refusal
    id_ = place().workflow_id("job")
    listed = gateway.ada.executions()
    server.fault(Kind.REPLY, "launch", times=1, status=200, body=failed(200, code, reason).body)
    answer = gateway.ada.try_launch(id_, key=f"refused-{code}")
    assert answer.status_code == status
    assert reason in answer.json()["detail"]
    assert gateway.ada.executions() == listed
    again = gateway.ada.launch(id_, key=f"refused-{code}")
    assert gateway.ada.executions() == [again, *listed]
    assert gateway.ada.until(again, *FINAL)["status"] == "SUCCESS"


def test_a_stack_trace_of_alien4cloud_reaches_no_caller(alone):
    gateway, server = alone
    id_ = simple_place(server, script.simple(), "traced").workflow_id("job")
    for endpoint in ("launch", "get_environment", "runtime_topology", "search_applications"):
        server.stack_trace(endpoint)
        answers = [gateway.ada.try_launch(id_), gateway.ada.get(f"/workflows/{id_}"),
                   gateway.ada.get("/workflows"), gateway.ada.get("/ready")]  # fmt: skip
        server.faults.clear()
        text = "".join(answer.text for answer in answers)
        assert not re.search(r"java|\tat |NullPointer", text), text


def test_a_name_that_fits_several_workflows_is_refused_with_their_ids(gateway, place):
    ids = {place("same").workflow("same").workflow_id("same") for _ in range(2)}
    answer = gateway.ada.try_launch("same")
    assert (answer.status_code, {f["path"] for f in answer.json()["fields"]}) == (409, ids)
    assert gateway.ada.until(gateway.ada.launch(min(ids)), *FINAL)["status"] == "SUCCESS"


# Executions that were started on Alien4Cloud's own pages.


def test_an_execution_started_elsewhere_is_adopted_by_those_whom_the_application_lets_in(
    gateway, place, server
):
    lines = [f"line {index}" for index in range(30)]
    environment = place().workflow("job", script=script.simple(1.5, lines))
    run = server.world.launch(environment, environment.workflows["job"], {})
    time.sleep(0.3)
    for stranger in (gateway.eve, gateway.ops):
        assert stranger.get(f"/executions/{run.id}").status_code == 404
    view = gateway.bob.execution(run.id)
    assert (view["id"], view["owner"], view["workflow"]) == (
        run.id,
        "",
        environment.workflow_id("job"),
    )
    assert gateway.eve.get(f"/executions/{run.id}").status_code == 404
    assert_each_once(gateway.ada.follow(run.id), lines)
    assert gateway.ada.execution(run.id)["status"] == "SUCCESS"
    assert gateway.ada.get("/executions/00000000-0000-4000-8000-00000000dead").status_code == 404


def test_an_execution_that_ended_before_it_was_adopted_has_its_log_and_end(gateway, place, server):
    environment = place().workflow("job", script=script.simple(0.1))
    run = server.world.launch(environment, environment.workflows["job"], {})
    time.sleep(0.3)
    assert gateway.ada.execution(run.id)["status"] in ("RUNNING", "SUCCESS")
    assert_each_once(gateway.ada.follow(run.id), ["one", "two", "three"])
    assert gateway.ada.execution(run.id)["status"] == "SUCCESS"


def test_an_adopted_execution_is_never_lost_again(gateway, place, server):
    """Neither when the tag is changed, nor when the environment is undeployed."""
    environment = place("other").workflow("other")
    run = server.world.launch(environment, environment.workflows["job"], {})
    time.sleep(0.2)
    assert gateway.ada.execution(run.id)["workflow_name"] == "job"
    gateway.ada.follow(run.id)
    environment.undeploy()
    assert gateway.ada.execution(run.id)["status"] == "SUCCESS"


def test_the_execution_of_another_user_is_not_adopted_under_its_id_on_alien4cloud(
    gateway, place, server
):
    environment = place().workflow("job", script=script.endless())
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    upstream_id = server.runs[-1].id
    gateway.ada.until(id_, "RUNNING")
    assert gateway.bob.get(f"/executions/{upstream_id}").status_code == 404
    assert gateway.bob.cancel(upstream_id).status_code == 404
    assert id_ not in gateway.bob.get(f"/executions/{upstream_id}").text
    for user in (gateway.ada, gateway.dev):
        answer = user.get(f"/executions/{upstream_id}")
        assert (answer.status_code, answer.json()["id"]) == (200, id_)
    assert gateway.ada.cancel(id_).status_code == 202
    gateway.ada.until(id_, "CANCELLED")


# Launches whose outcome nobody knows.


def test_a_launch_whose_answer_is_lost_is_unknown_and_then_settled_as_the_real_one(
    gateway, place, server
):
    environment = place().workflow("job", script=script.simple(1, ["the line"]))
    id_ = environment.workflow_id("job")
    runs = len(server.runs)
    server.fault(Kind.REPLY, "search_deployments", status=500, body=b"{}")
    server.fault(Kind.HANG_AFTER, "launch", times=1)
    execution = gateway.ada.launch(id_, key="lost-answer")
    view = gateway.ada.execution(execution)
    assert (view["status"], view["state"]) == ("RUNNING", "UNKNOWN")
    assert "do not launch again" in view["error"]
    assert gateway.ada.launch(id_, key="lost-answer") == execution
    server.faults.clear()
    view = gateway.ada.until(execution, *FINAL)
    assert (view["status"], view["error"]) == ("SUCCESS", None)
    assert gateway.ada.launch(id_, key="lost-answer") == execution
    assert len(server.runs) == runs + 1
    assert_each_once(gateway.ada.follow(execution), ["the line"])


@pytest.mark.parametrize("kind", [Kind.DROP_BEFORE, Kind.HANG_BEFORE])
def test_a_launch_that_never_arrived_is_settled_as_such(gateway, place, server, kind):
    id_ = place().workflow_id("job")
    runs = len(server.runs)
    server.fault(kind, "launch", times=1)
    execution = gateway.ada.launch(id_, key=f"never-{kind.name}")
    assert gateway.ada.execution(execution)["state"] == "UNKNOWN"
    view = gateway.ada.until(execution, *FINAL)
    assert view["status"] == "FAILED"
    assert "never received" in view["error"]
    assert gateway.ada.page(execution)["complete"]
    assert len(server.runs) == runs


def test_a_launch_that_is_cancelled_while_unknown_is_cancelled_once_it_is_found(
    gateway, place, server
):
    environment = place().workflow("job", script=script.endless())
    server.fault(Kind.REPLY, "search_deployments", status=500, body=b"{}")
    server.fault(Kind.DROP_AFTER, "launch", times=1)
    execution = gateway.ada.launch(environment.workflow_id("job"))
    assert gateway.ada.cancel(execution).status_code == 202
    server.faults.clear()
    assert gateway.ada.until(execution, *FINAL)["status"] == "CANCELLED"


def test_a_lost_launch_never_takes_the_run_of_another_user(gateway, place, server):
    """Two launches of the same: one arrives, and one does not, at the same moment."""
    environment = place().workflow("job", script=script.simple(3))
    id_ = environment.workflow_id("job")
    found = gateway.ada.launch(id_)
    server.fault(Kind.DROP_BEFORE, "launch", times=1)
    lost = gateway.bob.launch(id_)
    assert gateway.bob.until(lost, *FINAL)["status"] == "FAILED"
    assert gateway.ada.until(found, *FINAL)["status"] == "SUCCESS"


def launch_in_doubt(
    server: Alien4Cloud, launches: list[tuple[User, str, Any]], kinds: list[Kind]
) -> list[str]:
    """Launch while no answer comes and nothing can be looked up; then let it be looked up."""
    server.fault(Kind.REPLY, "search_deployments", status=500, body=b"{}")
    for kind in kinds:
        server.fault(kind, "launch", times=1)
    executions = [user.launch(id_, inputs) for user, id_, inputs in launches]
    for (user, _, _), execution in zip(launches, executions, strict=True):
        assert user.execution(execution)["state"] == "UNKNOWN"
    server.faults.clear()
    return executions


def owner_of(user: User, run: Run) -> str:
    """Return which execution of the gateway holds one of Alien4Cloud's."""
    answer = user.get(f"/executions/{run.id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def test_what_a_lost_launch_began_is_not_adopted_under_its_id_on_alien4cloud(
    gateway, place, server
):
    environment = place().workflow("job", script=script.simple(1, ["the line"]))
    server.fault(Kind.REPLY, "search_deployments", status=500, body=b"{}")
    server.fault(Kind.DROP_AFTER, "launch", times=1)
    execution = gateway.ada.launch(environment.workflow_id("job"))
    run = server.runs[-1]
    end = time.monotonic() + PATIENCE_SECONDS
    while (answer := gateway.ada.get(f"/executions/{run.id}")).status_code == 404:
        assert time.monotonic() < end, "it never began"
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert "not known yet" in answer.json()["detail"]
    server.faults.clear()
    assert gateway.ada.until(execution, *FINAL)["status"] == "SUCCESS"
    assert owner_of(gateway.ada, run) == execution
    assert_each_once(gateway.ada.follow(execution), ["the line"])


def test_two_lost_launches_of_the_same_workflow_are_settled_as_one_execution_each(
    gateway, place, server
):
    environment = place().workflow("job", script=script.simple(1, ["the line"]))
    id_ = environment.workflow_id("job")
    kinds = [Kind.DROP_AFTER, Kind.DROP_AFTER]
    executions = launch_in_doubt(server, [(gateway.ada, id_, {})] * 2, kinds)
    for execution in executions:
        assert gateway.ada.until(execution, *FINAL)["status"] == "SUCCESS"
        assert_each_once(gateway.ada.follow(execution), ["the line"])
    runs = [run for run in server.runs if run.deployment == environment.deployment.id]
    assert [owner_of(gateway.ada, run) for run in runs] == executions


def test_two_lost_launches_with_different_inputs_get_back_their_own(gateway, place, server):
    environment = place().workflow("job", inputs={"n": "integer"}, script=script.simple(1))
    id_ = environment.workflow_id("job")
    kinds = [Kind.DROP_AFTER, Kind.DROP_AFTER]
    launches = [(gateway.ada, id_, {"n": 1}), (gateway.ada, id_, {"n": 2})]
    executions = launch_in_doubt(server, launches, kinds)
    for execution in executions:
        assert gateway.ada.until(execution, *FINAL)["status"] == "SUCCESS"
    for run in server.runs[-2:]:
        owner = gateway.ada.execution(owner_of(gateway.ada, run))
        assert owner["inputs"] == run.inputs


@pytest.mark.parametrize("different", [False, True])
@pytest.mark.parametrize("arrives", [0, 1])
def test_of_two_lost_launches_the_one_that_arrived_runs_and_the_other_may_be_repeated(
    gateway, place, server, arrives, different
):
    environment = place().workflow("job", inputs={"n": "integer"}, script=script.simple(1))
    id_ = environment.workflow_id("job")
    kinds = [Kind.DROP_BEFORE, Kind.DROP_BEFORE]
    kinds[arrives] = Kind.DROP_AFTER
    launches = [(gateway.ada, id_, {"n": 1}), (gateway.ada, id_, {"n": 1 + different})]
    executions = launch_in_doubt(server, launches, kinds)
    views = [gateway.ada.until(execution, *FINAL) for execution in executions]
    ran = arrives if different else 0  # the same for the same: the first has what there is
    assert [view["status"] for view in views] == (
        ["SUCCESS", "FAILED"] if ran == 0 else ["FAILED", "SUCCESS"]
    )
    assert "never received" in views[1 - ran]["error"]
    assert owner_of(gateway.ada, server.runs[-1]) == executions[ran]


def test_a_launch_while_alien4cloud_is_down_is_refused_and_leaves_nothing(alone):
    gateway, server = alone
    id_ = simple_place(server, script.simple(0.2), "away").workflow_id("job")
    listed, runs = gateway.ada.executions(), len(server.runs)
    assert id_ in gateway.ada.workflows()
    server.down()
    try:
        answer = gateway.ada.try_launch(id_, key="while-down")
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert gateway.ada.executions() == listed
    finally:
        server.up()
    execution = gateway.ada.launch(id_, key="while-down")
    assert gateway.ada.until(execution, *FINAL)["status"] == "SUCCESS"
    assert len(server.runs) == runs + 1


# Alien4Cloud goes away, and what comes late.


def test_late_tied_and_disordered_lines_come_once_and_keep_their_places(gateway, place):
    tied = [Log(0.2, f"tied {i}", written=0.1) for i in range(50)]
    late = [Log(1.0 + i / 10, f"late {i}", written=0.5 - i / 20) for i in range(8)]
    on_time = [Log(i / 20, f"on time {i}") for i in range(30)]
    after = [Log(2.5, "after the end", written=1.9)]
    events = (*tied, *late, *on_time, Status(2.0, "SUCCEEDED"), *after)
    environment = place().workflow("job", script=Script(events))
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    first = gateway.ada.page(id_, "timeout=10s&levels=15")["logs"]
    entries = gateway.ada.follow(id_)
    lines = [event.content for event in events if isinstance(event, Log)]
    assert_each_once(entries, lines)
    assert entries[: len(first)] == first
    again = [gateway.ada.page(id_, f"from={i}&size=1&levels=15")["logs"][0] for i in (0, 40, 80)]
    assert again == [entries[i] for i in (0, 40, 80)]
    assert gateway.ada.execution(id_)["status"] == "SUCCESS"


def test_what_alien4cloud_forgets_stays_known_here(gateway, place, server):
    environment = place().attribute("Job", "url", "http://result")
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    run = server.runs[-1]
    entries = gateway.ada.follow(id_)
    before = gateway.ada.execution(id_)
    run.forgotten = True
    environment.undeploy()
    assert gateway.ada.execution(id_) == before
    assert gateway.ada.follow(id_) == entries


def test_an_execution_that_alien4cloud_forgets_while_it_runs_ends_and_says_so(
    gateway, place, server
):
    environment = place().workflow("job", script=script.endless(["a line"]))
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    gateway.ada.watch(id_, lambda _: gateway.ada.page(id_)["total_results"] >= 2)
    server.runs[-1].forgotten = True
    view = gateway.ada.until(id_, *FINAL)
    assert view["status"] == "FAILED"
    assert "does not know this execution any more" in view["error"]
    assert_each_once(gateway.ada.follow(id_), ["a line"])


def test_executions_go_on_when_the_deployment_ends_and_say_so(gateway, place):
    environment = place().workflow("job", script=script.endless())
    id_ = gateway.ada.launch(environment.workflow_id("job"))
    gateway.ada.until(id_, "RUNNING")
    environment.undeploy()
    view = gateway.ada.until(id_, *FINAL)
    assert (view["status"], "deployment ended" in view["error"]) == ("FAILED", True)


# Side by side.

_HELLO = """
id: hello
steps: [{id: hello, type: command, config: {command: echo, args: [hello]}}]
"""


Fleet = tuple[Gateway, Alien4Cloud, Alien4Cloud]


@contextmanager
def fleet_in(folder: Path) -> Iterator[Fleet]:
    """Two Alien4Clouds, and the engine, behind one gateway."""
    (folder / "data" / "workflows").mkdir(parents=True)
    (folder / "data" / "workflows" / "hello.yaml").write_text(_HELLO)
    with Alien4Cloud(start_delay=0.05) as north, Alien4Cloud(start_delay=0.05) as south:
        orchestrators = [
            alien4cloud(north, "north"),
            alien4cloud(south, "south"),
            {"name": "local", "type": "engine", "launcher": "local"},
        ]
        with Gateway(folder, orchestrators, {"conductor": {"threads": 4}}) as gateway:
            yield gateway, north, south


@pytest.fixture(scope="module")
def shared_fleet(tmp_path_factory) -> Iterator[Fleet]:
    with fleet_in(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def fleet(shared_fleet) -> Iterator[Fleet]:
    """The fleet that tests share, and that offers nothing but ``hello`` at first."""
    yield shared_fleet
    for server in shared_fleet[1:]:
        restore(server)


def test_two_alien4clouds_and_the_engine_work_side_by_side(fleet):
    gateway, north, south = fleet
    run = script.simple(0.3)
    places = [simple_place(server, run, "both") for server in (north, south)]
    before = len(north.runs), len(south.runs)
    assert {w["orchestrator"] for w in gateway.ada.workflows().values()} == {
        "north",
        "south",
        "local",
    }
    assert gateway.ada.try_launch("job").status_code == 409
    launched = [
        gateway.ada.launch("job", where="south"),
        gateway.ada.launch(places[0].workflow_id("job")),
        gateway.ada.launch("hello"),
    ]
    for execution in launched:
        assert gateway.ada.until(execution, *FINAL)["status"] == "SUCCESS"
        assert len(gateway.ada.follow(execution)) > 0
    assert (len(north.runs), len(south.runs)) == (before[0] + 1, before[1] + 1)
    elsewhere = south.world.launch(places[1], places[1].workflows["job"], {})
    time.sleep(0.2)
    assert gateway.ada.execution(elsewhere.id)["orchestrator"] == "south"


def test_an_alien4cloud_that_is_down_does_not_disturb_its_neighbours(tmp_path):
    with fleet_in(tmp_path) as (gateway, north, south):
        north.down()
        assert_south_and_engine_work(gateway, south)


def assert_south_and_engine_work(gateway: Gateway, south: Alien4Cloud) -> None:
    place = simple_place(south, script.simple(0.3))
    id_ = place.workflow_id("job")
    answer = gateway.ada.get("/workflows").json()
    assert answer["unavailable"] == ["north"]
    assert {w["id"] for w in answer["workflows"]} == {id_, "hello"}
    for workflow in (id_, "hello"):
        execution = gateway.ada.launch(workflow)
        assert gateway.ada.until(execution, *FINAL)["status"] == "SUCCESS"
    elsewhere = south.world.launch(place, place.workflows["job"], {})
    time.sleep(0.2)
    assert gateway.ada.execution(elsewhere.id)["orchestrator"] == "south"
    await_that(lambda: unready(gateway) == ["orchestrator:north"], "it is said")  # asked in turns


def unready(gateway: Gateway) -> list[str]:
    """Names of the checks that fail, none of which makes the gateway as a whole unready."""
    ready = gateway.ada.get("/ready")
    assert ready.status_code == 200
    return [check["name"] for check in ready.json()["checks"] if not check["ok"]]


def test_an_alien4cloud_that_hangs_does_not_stop_the_executions_of_its_neighbours(fleet):
    """Its own executions outnumber the conductor's threads, each look takes the whole timeout."""
    gateway, north, south = fleet
    held = simple_place(north, script.endless(), "held").workflow_id("job")
    id_ = simple_place(south, script.simple(0.3), "free").workflow_id("job")
    executions = [gateway.ada.launch(held) for _ in range(30)]
    for execution in executions:
        gateway.ada.until(execution, "RUNNING")
    gateway.ada.workflows()
    north.fault(Kind.HANG_BEFORE, "get_execution")
    north.fault(Kind.HANG_BEFORE, "search_logs")
    time.sleep(1)
    launched = [gateway.ada.launch(w) for w in (id_, "hello", id_, "hello")]
    for execution in launched:
        assert gateway.ada.until(execution, *FINAL)["status"] == "SUCCESS"
    assert {gateway.ada.execution(e)["status"] for e in executions} == {"RUNNING"}
