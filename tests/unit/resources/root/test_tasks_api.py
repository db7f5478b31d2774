"""Control of single tasks, and what goes on from ended executions, as their users send it."""

import uuid

import pytest
from service_kit import users

from app.domain import (
    DesiredState,
    DesiredTaskState,
    ExecutionStatus,
    Observation,
    Task,
    TaskStatus,
    TaskWish,
)
from app.store.task_wishes import TaskWishes

RUNNING, SUCCESS, FAILED = TaskStatus.RUNNING, TaskStatus.SUCCESS, TaskStatus.FAILED
SKIPPED, CANCELLED = TaskStatus.SKIPPED, TaskStatus.CANCELLED
CHAIN = """
id: flow
steps:
  - {id: a, type: command, config: {command: 'true'}}
  - {id: b, type: command, needs: [a], config: {command: 'true'}}
"""
VERBS = ["start", "stop", "restart"]


@pytest.fixture
def guarded(make_service, write_workflow):
    write_workflow(CHAIN)
    return make_service(api__auth=users())


@pytest.fixture
def flow(guarded, as_user):
    return Flow(guarded, as_user)


class Flow:
    """An execution of the developer's, and requests about it."""

    def __init__(self, service, as_user):
        self.service, self.as_user = service, as_user
        self.id = self.launch()
        self.cursors = 0

    def launch(self, user="dev"):
        response = self.service.client.post("/workflows/flow", headers=self.as_user(user))
        return response.location.rpartition("/")[2]

    def post(self, tail, user="dev", of=None, **headers):
        return self.service.client.post(
            f"/executions/{of or self.id}{tail}", headers=self.as_user(user) | headers
        )

    def task(self, verb, name="a", **more):
        return self.post(f"/tasks/{name}/{verb}", **more)

    def get(self, user="dev", of=None):
        path = f"/executions/{of or self.id}"
        return self.service.client.get(path, headers=self.as_user(user)).json

    def see(self, status=ExecutionStatus.RUNNING, **tasks):
        """Store how the execution stands, as its conductor does."""
        shown = tuple(Task(name, state) for name, state in tasks.items())
        self.cursors += 1
        cursor = {"version": 2, "look": str(self.cursors)}
        kept = {task.name: {"status": str(task.status), "attempt": 1} for task in shown}
        self.service.record(
            self.service.store.get(self.id),
            Observation(
                status, cursor=cursor, tasks=shown, task_cursors=kept, log_complete=status.final
            ),
        )

    def end(self, status=ExecutionStatus.FAILED, a=FAILED, b=SKIPPED):
        self.see(status, a=a, b=b)

    @property
    def wishes(self):
        driven = self.service.driving.get(self.id)
        return dict(TaskWishes(self.service.web.database).of(driven))


class TestInARunningExecution:
    def test_what_is_wanted_is_written_down(self, flow):
        flow.see(a=RUNNING)
        assert flow.task("restart").status_code == 202
        assert flow.wishes == {"a": TaskWish(DesiredTaskState.RUNNING, 1)}
        assert flow.task("stop", "b").status_code == 202
        assert flow.wishes["b"] == TaskWish(DesiredTaskState.STOPPED, 0)
        assert flow.task("start", "b").status_code == 202
        assert flow.wishes["b"] == TaskWish(DesiredTaskState.RUNNING, 1)

    def test_names_do_as_well_as_ids(self, flow):
        flow.see(a=RUNNING)
        assert flow.task("restart", of=flow.get()["execution_id"]).status_code == 202
        assert flow.wishes["a"].generation == 1

    def test_a_second_restart_waits_for_the_first(self, flow, assert_problem):
        flow.see(a=RUNNING)
        flow.task("restart")
        for verb in ("restart", "start"):
            problem = flow.task(verb)
            assert problem.status_code == 409
        assert_problem(problem, 409, "conflict")
        assert flow.wishes["a"].generation == 1

    def test_what_runs_cannot_be_started(self, flow):
        flow.see(a=RUNNING)
        assert flow.task("start").json["detail"] == "The task runs already."
        assert flow.wishes == {}

    def test_what_is_being_stopped_can(self, flow):
        flow.see(a=RUNNING)
        flow.task("stop")
        assert flow.task("start").status_code == 202
        assert flow.wishes == {"a": TaskWish(DesiredTaskState.RUNNING, 1)}

    def test_stopping_twice_is_fine_and_what_has_ended_by_itself_stays(self, flow):
        flow.see(a=RUNNING)
        assert [flow.task("stop").status_code for _ in range(2)] == [202, 202]
        assert flow.service.driving.get(flow.id).task_wishes == 1
        flow.see(a=CANCELLED)
        assert flow.task("stop").status_code == 202
        for state in (SUCCESS, FAILED, SKIPPED):
            flow.see(b=state)
            refused = flow.task("stop", "b")
            assert (refused.status_code, str(state) in refused.json["detail"]) == (409, True)

    @pytest.mark.parametrize("verb", ["start", "restart"])
    def test_nothing_begins_while_it_is_paused(self, flow, verb):
        flow.see(a=RUNNING)
        flow.post("/pause")
        assert "resumed" in flow.task(verb).json["detail"]
        assert flow.task("stop").status_code == 202

    @pytest.mark.parametrize("verb", VERBS)
    def test_nothing_is_wanted_of_what_is_being_cancelled(self, flow, verb):
        flow.see(a=RUNNING)
        driven = flow.service.driving.get(flow.id)
        assert flow.service.steered.desire(driven, DesiredState.CANCEL)
        refused = flow.task(verb)
        assert (refused.status_code, flow.wishes) == (409, {})
        assert "being cancelled" in refused.json["detail"]

    def test_a_key_makes_a_repetition_harmless(self, flow):
        flow.see(a=RUNNING)
        key = {"Idempotency-Key": "k"}
        assert [flow.task("restart", **key).status_code for _ in range(2)] == [202, 202]
        assert flow.wishes["a"].generation == 1
        assert flow.task("restart", "b", **key).status_code == 409, "it was for another request"
        assert flow.task("start", **key).status_code == 409

    @pytest.mark.parametrize("key", ["", "a b", "\u00e4", "k" * 256])
    def test_a_key_that_is_none_is_refused(self, flow, key):
        refused = flow.task("restart", **{"Idempotency-Key": key})
        assert (refused.status_code, flow.wishes) == (422, {})


class TestOfAnEndedExecution:
    @pytest.mark.parametrize("verb", ["start", "restart"])
    def test_a_single_task_runs_in_a_new_one(self, flow, verb):
        flow.end(ExecutionStatus.FAILED, a=SUCCESS, b=FAILED)
        before = flow.get()
        created = flow.task(verb, "b")
        assert (created.status_code, created.data) == (201, b"")
        new = flow.get(of=created.location.rpartition("/")[2])
        assert (new["continues"], new["state"]) == (flow.id, "PENDING")
        assert (new["owner"], new["workflow"], new["inputs"]) == ("dev", "flow", {})
        shown = [(task["status"], task["continued_from"]) for task in new["tasks"]]
        assert shown == [("SUCCESS", flow.id), ("PENDING", None)]
        assert flow.get() == before

    def test_it_is_named_as_it_was_asked_for(self, flow):
        flow.end()
        name = flow.get()["execution_id"]
        created = flow.post("/retry", of=name)
        new = created.location.rpartition("/")[2]
        assert new.startswith("flow-")
        assert flow.get(of=new)["continues"] == flow.id
        assert flow.service.store.id_named(new)

    def test_nothing_of_it_can_be_stopped(self, flow):
        flow.end(a=CANCELLED)
        assert flow.task("stop").status_code == 202
        assert flow.task("stop", "b").status_code == 409

    def test_it_goes_on_once(self, flow):
        flow.end()
        new = flow.post("/retry").location.rpartition("/")[2]
        for refused in (flow.post("/retry"), flow.task("restart"), flow.task("start", "b")):
            assert (refused.status_code, new in refused.json["detail"]) == (409, True)
        listed = flow.service.client.get(
            f"/executions?continues={flow.id}", headers=flow.as_user("dev")
        ).json["executions"]
        assert [each["id"] for each in listed] == [new]

    def test_a_key_gives_the_same_again(self, flow):
        flow.end()
        for path in ("/retry", "/tasks/a/restart"):
            key = {"Idempotency-Key": path}
            first = flow.post(path, **key)
            again = flow.post(path, **key)
            assert (again.status_code, again.location) == (201, first.location)
            flow.id = first.location.rpartition("/")[2]
            flow.end()

    def test_retry_keeps_what_succeeded(self, flow):
        flow.end(a=SUCCESS, b=FAILED)
        new = flow.get(of=flow.post("/retry").location.rpartition("/")[2])
        assert [task["continued_from"] for task in new["tasks"]] == [flow.id, None]

    @pytest.mark.parametrize("status", [s for s in ExecutionStatus if not s.final])
    def test_what_has_not_ended_cannot_be_retried(self, flow, status):
        flow.see(status, a=RUNNING)
        refused = flow.post("/retry")
        assert (refused.status_code, "not ended" in refused.json["detail"]) == (409, True)

    @pytest.mark.parametrize(
        ("status", "b"),
        [
            (ExecutionStatus.SUCCESS, SUCCESS),
            (ExecutionStatus.SUCCESS, FAILED),  # which it may
            (ExecutionStatus.FAILED, SUCCESS),  # as its outputs have no value
        ],
    )
    def test_what_succeeded_has_nothing_left(self, flow, status, b):
        flow.end(status, a=SUCCESS, b=b)
        refused = flow.post("/retry")
        assert (refused.status_code, "Nothing is left" in refused.json["detail"]) == (409, True)

    def test_one_whose_definition_is_forgotten_says_so(self, guarded, as_user):
        flow = Flow(guarded, as_user)
        flow.id = guarded.add_execution("dev", steps=["a", "b"]).id
        flow.end()
        refused = flow.post("/retry")
        assert (refused.status_code, "not kept" in refused.json["detail"]) == (409, True)

    def test_an_end_that_crosses_a_restart_is_seen(self, flow, monkeypatch):
        flow.see(a=RUNNING)
        original = type(flow.service.steered).desire_task

        def end_before(*args, **more):
            monkeypatch.undo()
            flow.end()
            return original(*args, **more)

        monkeypatch.setattr(type(flow.service.steered), "desire_task", end_before)
        assert flow.task("restart").status_code == 201

    @pytest.mark.parametrize("most", [1, 2])
    def test_it_counts_for_quotas(self, make_service, write_workflow, as_user, most):
        write_workflow(CHAIN)
        flow = Flow(make_service(api__auth=users(), quotas__running_executions=most), as_user)
        flow.end()
        flow.launch()
        assert flow.post("/retry").status_code == (429 if most == 1 else 201)


class TestWhoMay:
    @pytest.mark.parametrize("verb", VERBS)
    def test_users_may_not_control_single_tasks(self, flow, verb):
        flow.id = flow.launch("ada")
        assert flow.task(verb, user="ada").status_code == 403
        assert flow.task(verb, user="dev").status_code == 404, "it is not theirs"
        assert flow.task(verb, user="ops").status_code == 202
        assert flow.task(verb, user="root").status_code in {202, 409}

    def test_owners_and_operators_retry(self, flow):
        flow.id = flow.launch("ada")
        flow.end()
        assert flow.post("/retry", "bob").status_code == 404
        created = flow.post("/retry", "ops")
        assert created.status_code == 201
        new = created.location.rpartition("/")[2]
        assert flow.get("ada", new)["owner"] == "ada", "it stays theirs"
        flow.id = new
        flow.end()
        assert flow.post("/retry", "ada").status_code == 201

    @pytest.mark.parametrize("path", [*(f"/tasks/a/{verb}" for verb in VERBS), "/retry"])
    @pytest.mark.parametrize("of", [str(uuid.UUID(int=7)), "flow-20220101-000000", "x", "%00"])
    def test_what_is_not_there_is_not_found(self, flow, path, of):
        assert flow.post(path, of=of).status_code == 404

    @pytest.mark.parametrize("name", ["c", "%00", "..", "x" * 300, "%F0%9F%90%8C", "a%20"])
    @pytest.mark.parametrize("verb", VERBS)
    def test_a_task_that_is_not_there_is_not_found(self, flow, verb, name):
        assert flow.task(verb, name).status_code == 404
        flow.end()
        assert flow.task(verb, name).status_code == 404

    @pytest.mark.parametrize("path", [*(f"/tasks/first/{verb}" for verb in VERBS), "/retry"])
    def test_an_orchestrator_that_cannot_says_so(self, make_service, path):
        service = make_service(fake="Pausing")
        execution = service.add_execution()
        refused = service.client.post(f"/executions/{execution.id}{path}")
        assert (refused.status_code, refused.json["code"]) == (501, "not_implemented")
        assert "'remote' cannot" in refused.json["detail"]

    def test_it_is_audited(self, flow):
        flow.see(a=RUNNING)
        flow.task("restart")
        flow.end()
        new = flow.post("/retry").location
        flow.service.web.audit.close()
        events = flow.service.client.get("/audit", headers=flow.as_user("root")).json["events"]
        told = {(event["action"], event["target"]) for event in events}
        assert ("tasks:restart", f"/executions/{flow.id}/tasks/a/restart") in told
        assert ("executions:retry", new) in told


WAITS = [
    {"kind": "processors", "reason": "a processor; 1 of 1 are taken"},
    {"kind": "tasks", "reason": "the tasks that it needs: a", "tasks": ["a"]},
    {"kind": "retry", "reason": "its next attempt", "until": "2026-01-01T00:00:00.000Z"},
]


@pytest.mark.parametrize("waits", WAITS, ids=lambda waits: waits["kind"])
def test_what_a_task_waits_for_is_shown_everywhere_until_it_has_ended(flow, as_user, waits):
    def record(status):
        shown = (Task("b", status, waits_for=waits),)
        seen = Observation(ExecutionStatus.RUNNING, cursor=None, tasks=shown)
        flow.service.record(flow.service.store.get(flow.id), seen)

    record(TaskStatus.PENDING)
    path = f"/executions/{flow.id}/tasks"
    listed = flow.service.client.get(path, headers=as_user("dev")).json["tasks"]
    assert [task["waits_for"] for task in listed] == [None, waits]
    one = flow.service.client.get(f"{path}/b", headers=as_user("dev"))
    assert one.json["waits_for"] == waits
    assert flow.get()["tasks"][1]["waits_for"] == waits
    record(CANCELLED)
    assert flow.get()["tasks"][1]["waits_for"] is None
    listed = flow.service.client.get(path, headers=as_user("dev")).json["tasks"]
    assert listed[1]["waits_for"] is None


def test_what_a_task_needs_is_what_it_waits_for_from_the_launch_on(flow):
    waits = {"kind": "tasks", "reason": "the tasks that it needs: a", "tasks": ["a"]}
    assert [task["waits_for"] for task in flow.get()["tasks"]] == [None, waits]
