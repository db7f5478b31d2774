"""Waiting for an execution, and what is done with it."""

from __future__ import annotations

import pickle

import pytest
from client_kit import ID, client_of, execution
from kit.raw_server import RawServer, answer, problem

from slipway import Execution, ExecutionFailed, NotFound, SlipwayError, StillRunning

OTHER = "11111111-7c1d-4f5e-9a3b-2d8e4c6f1a07"


@pytest.mark.parametrize("state", ["SUCCESS", "FAILED", "CANCELLED"])
def test_a_wait_ends_with_each_final_state_and_with_one_that_was_final_before(state):
    with RawServer(lambda *_: answer(200, execution(state))) as server:
        one = client_of(server.url).execution(ID)
        assert one.wait() is one
        assert one.is_final


@pytest.mark.parametrize("state", ["PENDING", "PAUSED", "UNKNOWN", "CANCELLING", "BRAND_NEW"])
def test_a_wait_does_not_end_before(state):
    def talk(_, number):
        return answer(200, execution("SUCCESS" if number > 3 else state))

    with RawServer(talk) as server:
        seen = []
        Execution(client_of(server.url), ID).wait(on_status=lambda s: seen.append(s.state))
        assert seen == [state] * 4 + ["SUCCESS"]
        assert "wait" not in server.asked[0].query
        assert {each.query["wait"] for each in server.asked[1:]} == {"20.000s"}


def test_a_wait_that_takes_too_long_says_so():
    with RawServer(lambda *_: answer(200, execution())) as server:
        with pytest.raises(StillRunning, match="goes on") as caught:
            Execution(client_of(server.url), ID).wait(0)
        assert isinstance(caught.value, TimeoutError)
        assert len(server.asked) == 1


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_only_a_check_makes_an_exception_of_a_failure(state):
    with RawServer(lambda *_: answer(200, execution(state, error="No\n\x1bdisk."))) as server:
        one = Execution(client_of(server.url), ID)
        one.wait()
        with pytest.raises(ExecutionFailed, match=rf"{state}: No  disk\.") as caught:
            one.wait(check=True)
        assert caught.value.execution is one
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_execution_that_is_gone_in_the_midst_of_a_wait_is_not_found():
    def talk(_, number):
        return problem(410) if number else answer(200, execution())

    with RawServer(talk) as server, pytest.raises(NotFound):
        Execution(client_of(server.url), ID).wait()


def test_a_list_does_not_tell_all_and_the_rest_is_asked_for():
    listed = {key: value for key, value in execution().items()
              if key not in {"inputs", "outputs", "tasks"}}  # fmt: skip

    def talk(asked, _):
        if asked.path == "/executions":
            return answer(200, {"executions": [listed], "total": 1, "next": None})
        return answer(200, execution(outputs={"primes": 7}))

    with RawServer(talk) as server:
        (one,) = client_of(server.url).executions()
        assert one.status == "RUNNING"
        assert len(server.asked) == 1
        assert one.outputs == {"primes": 7}
        assert one.inputs == {"n": 3}
        assert one.whole() is one.seen
        assert len(server.asked) == 2


def test_each_verb_is_one_request():
    def talk(asked, _):
        goes_on = asked.path.rpartition("/")[2] in {"retry", "restart"}
        return answer(201, execution(id=OTHER)) if goes_on else answer(202, kind="")

    with RawServer(talk) as server:
        one = Execution(client_of(server.url), ID)
        for verb in (one.pause, one.resume, one.abandon, one.cancel, lambda: one.scale(3)):
            assert verb() is None
        assert one.retry().id == OTHER
        assert [(each.method, each.path.removeprefix(f"/executions/{ID}")) for each in server.asked
                ] == [("POST", "/pause"), ("POST", "/resume"), ("POST", "/abandon"),
                      ("DELETE", ""), ("POST", "/scale"), ("POST", "/retry")]  # fmt: skip
        assert server.asked[4].json() == {"target_vus": 3}
        assert server.asked[5].headers["idempotency-key"]


def test_a_task_that_runs_again_does_so_in_the_execution_that_the_service_names():
    def talk(asked, _):
        if asked.method == "GET":
            return answer(200, {"name": "a b", "status": "FAILED", "title": None, "exit_code": 3})
        return answer(201, execution(id=OTHER)) if "restart" in asked.path else answer(
            202, kind="")  # fmt: skip

    with RawServer(talk) as server:
        one = Execution(client_of(server.url), ID)
        task = one.task("a b")
        assert (task.status, task.exit_code) == ("FAILED", 3)
        assert task.restart().id == OTHER
        assert task.start() is one
        assert task.stop() is None
        assert [each.path for each in server.asked[1:]] == [
            f"/executions/{ID}/tasks/a%20b/{word}" for word in ("restart", "start", "stop")
        ]  # fmt: skip


def test_an_answer_that_names_no_execution_is_none():
    with RawServer(lambda *_: answer(201, {"id": "x"})) as server, pytest.raises(SlipwayError):
        client_of(server.url).workflow("w").run()
