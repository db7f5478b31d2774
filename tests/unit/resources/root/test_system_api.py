"""``/system``: what operators see of the service, and who may."""

from datetime import timedelta

import pytest
from fakes.orchestrators import UnreachableOrchestrator
from service_kit import users
from sqlalchemy import update

from app.domain import ExecutionStatus, Observation
from app.errors import UpstreamUnreachable
from app.store.conductors import Conductors, Node, OwnProcess
from app.store.execution_rows import now
from app.store.figures import MINUTE, Figures, ProcessMinute, minute_of
from app.store.schema import conductors, executions

BOTH = [
    {"name": "local", "type": "engine"},
    {"name": "far", "type": f"fakes.orchestrators:{UnreachableOrchestrator.__name__}"},
]


@pytest.fixture
def ask(guarded, as_user):
    """Return a function that asks as somebody for what is at an address."""

    def call(name, path="/system"):
        service = guarded.services.system
        for kept in (service._states, service._works, service._courses):
            kept.forget("all")
            kept.forget("hour")
        return guarded.client.get(path, headers=as_user(name))

    return call


def conduct(service, polls=None, *, age=0.0):
    """Enter a conductor that gave its last sign of life so many seconds ago."""
    known = Conductors(service.web.database)
    node, process = Node("n7/mark", "boot"), OwnProcess(42)
    known.register("test-conductor", node, process)
    known.beat("test-conductor", node, process, polls)
    beat = update(conductors).values(beat_at=now() - timedelta(seconds=age))
    service.web.database.write(lambda c: c.execute(beat))


def count(service, minute, **more):
    values = {
        "process": "p", "host": "n1", "pid": 7, "seen_at": now(), "ended": False, "requests": 10,
        "failures": 2, "streams": 3, "followers": 2, "delivered": 1, "delivery_lag": 0.0254,
        "loop_lag": 0.5, "queue": 4,
    }  # fmt: skip
    row = ProcessMinute(minute=minute, **{**values, **more})
    Figures(service.web.database).put([row])


def texts(answer):
    return [problem["text"] for problem in answer.json["problems"]]


@pytest.mark.parametrize("path", ["/system", "/system/figures"])
def test_it_is_for_operators_and_admins(ask, path):
    assert {name: ask(name, path).status_code for name in ("ada", "dev", "ops", "root")} == {
        "ada": 403, "dev": 403, "ops": 200, "root": 200,
    }  # fmt: skip


def test_all_is_well_where_all_is(guarded, ask):
    conduct(guarded)
    answer = ask("ops")
    assert (answer.json["well"], answer.json["problems"]) == (True, [])


def test_without_a_conductor_that_is_said(ask):
    answer = ask("ops")
    assert answer.json["well"] is False
    assert texts(answer) == ["Conductor: no conductor gave a sign of life lately."]


def test_a_conductor_that_fell_silent_is_told_with_what_it_drove(guarded, ask):
    execution = guarded.add_execution("ada")
    guarded.record(execution, Observation(ExecutionStatus.RUNNING, cursor=None))
    conduct(guarded, age=60)
    mine = update(executions).values(lease_owner="test-conductor", lease_until=now() - MINUTE)
    guarded.web.database.write(lambda c: c.execute(mine))
    answer = ask("ops")
    [found] = answer.json["conductors"]
    assert (found["alive"], found["executions"], found["host"]) == (False, 1, "n7")
    assert "Conductor 42 on n7 gives no sign of life; it was driving 1 execution." in texts(answer)


def test_an_orchestrator_that_does_not_answer_is_told_with_what_is_stale(make_service, as_user):
    service = make_service(orchestrators=BOTH, api__auth=users())
    conduct(service, {"far": {"used": 11.0, "allowed": 20.0}})
    execution = service.add_execution("ada", orchestrator="far")
    old = now() - timedelta(minutes=4)
    mine = update(executions).where(executions.c.id == execution.id)
    service.web.database.write(lambda c: c.execute(mine.values(as_of=old)))
    answer = service.client.get("/system", headers=as_user("ops"))
    found = {each["name"]: each for each in answer.json["orchestrators"]}
    local, far = found["local"], found["far"]
    assert (local["type"], local["problem"], local["polls_allowed"]) == ("engine", None, None)
    assert (far["problem"], far["executions"], far["stale"]) == ("No connection.", 1, 1)
    assert (far["polls_used"], far["polls_allowed"]) == (11.0, 20.0)
    [problem] = [each for each in answer.json["problems"] if each["part"] == "orchestrator:far"]
    assert problem["text"] == "far cannot be used: No connection; 1 execution is stale."
    assert problem["since"] == far["stale_since"] == far["last_news"]


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("The orchestrator 'far' cannot be reached.", "far cannot be reached."),
        (
            "The orchestrator 'farther' is away.",
            "far cannot be used: The orchestrator 'farther' is",
        ),
        ("No connection.", "far cannot be used: No connection."),
    ],
)
def test_an_orchestrator_is_named_once(make_service, as_user, monkeypatch, problem, said):
    def health(_self):
        raise UpstreamUnreachable(problem)

    monkeypatch.setattr(UnreachableOrchestrator, "health", health)
    service = make_service(orchestrators=BOTH, api__auth=users())
    answer = service.client.get("/system", headers=as_user("ops"))
    assert any(text.startswith(said) for text in texts(answer))


def test_web_processes_are_told_and_those_that_fell_silent(guarded, ask):
    conduct(guarded)
    minute = minute_of(now())
    count(guarded, minute)
    count(guarded, minute, process="q", pid=8, seen_at=now() - timedelta(minutes=2))
    count(guarded, minute, process="r", pid=9, ended=True)
    answer = ask("ops")
    found = {each["pid"]: each["alive"] for each in answer.json["web_processes"]}
    assert found == {7: True, 8: False}
    assert (answer.json["streams"], answer.json["followers"]) == (3, 2)
    assert texts(answer) == ["Web process 8 on n1 gives no sign of life."]


def test_what_is_slow_is_told(guarded, ask):
    conduct(guarded)
    count(guarded, minute_of(now()), loop_lag=2.5, delivery_lag=3.25)
    assert texts(ask("ops")) == [
        "Web process 7 on n1 was held up for 2.5 s within the last minute.",
        "Web process 7 on n1 delivers log lines late: 3.2 s after they were written.",
    ]


def test_what_waits_and_what_failed_is_named(guarded, ask):
    waiting, failed = guarded.add_execution("ada"), guarded.add_execution("bob")
    end = Observation(ExecutionStatus.FAILED, cursor=None, error="no licence", log_complete=True)
    guarded.record(failed, end)
    answer = ask("ops").json
    assert answer["queue"]["executions"] == 1
    assert [each["id"] for each in answer["queue"]["first"]] == [waiting.id]
    [found] = answer["failures"]["first"]
    assert (found["id"], found["owner"], found["error"]) == (failed.id, "bob", "no licence")
    assert answer["failures"]["executions"] == 1


def test_who_is_signed_in_is_named_for_who_manages_users_alone(guarded, ask, as_user):
    assert guarded.client.post("/auth/session", headers=as_user("ada")).status_code == 201
    assert ask("ops").json["signed_in"] == {
        "users": 1, "sessions": 1, "api_keys": 0, "who": None,
    }  # fmt: skip
    [who] = ask("root").json["signed_in"]["who"]
    assert (who["username"], who["sessions"]) == ("ada", 1)


def test_a_credential_for_this_alone_shows_no_executions(make_service, as_user):
    service = make_service(api__auth={**users(), "type": ["basic", "api_key"]})
    execution = service.add_execution("ada")
    service.record(execution, Observation(ExecutionStatus.FAILED, cursor=None, log_complete=True))
    service.add_execution("ada")
    body = {"name": "watch", "scopes": ["system:read"]}
    key = service.client.post("/api_keys", json=body, headers=as_user("ops")).json["key"]
    answer = service.client.get("/system", headers={"X-API-Key": key}).json
    assert answer["failures"] is None
    assert (answer["queue"]["executions"], answer["queue"]["first"]) == (1, [])


def test_the_last_hour_has_sixty_minutes_with_gaps_where_nothing_is_known(guarded, ask):
    last = minute_of(now()) - MINUTE
    count(guarded, last)
    answer = ask("ops", "/system/figures").json
    assert len(answer["x"]) == 60
    assert answer["x"][-1] in (int(last.timestamp()), int((last + MINUTE).timestamp()))
    place = answer["x"].index(int(last.timestamp()))
    found = {each["name"]: each["values"][place] for each in answer["series"]}
    assert found == {
        "requests": 10, "streams": 3, "delivery_lag": 25.4, "loop_lag": 500.0, "queue": 4,
        "failures": 2,
    }  # fmt: skip
    assert {each["values"][0] for each in answer["series"]} == {None}
    assert all(each["label"] and each["unit"] for each in answer["series"])
