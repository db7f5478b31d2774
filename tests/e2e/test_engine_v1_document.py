"""The Workflow Engine's document: its requests as they are printed, on the running service.

The target stands in for httpbin, and what the document calls ``exec-abc123`` and ``slave-1`` are
things that are there.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.load_target import Answer, LoadTarget
from kit.engine_v1 import EngineClient
from kit.guides import require_programs
from kit.namespaces import Network
from kit.patience import PATIENCE_SECONDS, await_that
from kit.ports import free_port
from kit.service import Service, clean_environment
from kit.slave_processes import SlaveProcess

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
EXEC_ID = re.compile(r"exec-[0-9a-f]{12}")
DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+(\.\d+)?(s|ms|µs))?")

SUBMIT_YAML = r"""
curl -X POST http://localhost:8080/api/v1/workflows \
  -H "Content-Type: application/json" \
  -d '{
    "yaml": "id: test\nname: Test\nsteps:\n  - id: s1\n    type: http\n    config:\n      method: GET\n      url: https://httpbin.org/get"
  }'
"""  # noqa: E501
SUBMIT_OBJECT = r"""
curl -X POST http://localhost:8080/api/v1/workflows \
  -H "Content-Type: application/json" \
  -d '{
    "workflow": {
      "id": "test",
      "name": "Test",
      "steps": [{"id": "s1", "type": "http", "config": {"method": "GET", "url": "https://httpbin.org/get"}}]
    }
  }'
"""
SUBMIT_DISTRIBUTED = r"""
curl -X POST http://localhost:8080/api/v1/workflows \
  -H "Content-Type: application/json" \
  -d '{
    "workflow": {
      "id": "distributed-test",
      "name": "Distributed Test",
      "options": {"vus": 100, "duration": "5m"},
      "steps": [{"id": "s1", "type": "http", "config": {"method": "GET", "url": "https://httpbin.org/get"}}]
    }
  }'
"""
GET_WORKFLOW = "curl http://localhost:8080/api/v1/workflows/test"
STOP_WORKFLOW = "curl -X DELETE http://localhost:8080/api/v1/workflows/test"
LIST_EXECUTIONS = "curl http://localhost:8080/api/v1/executions"
GET_EXECUTION = "curl http://localhost:8080/api/v1/executions/exec-abc123"
PAUSE = "curl -X POST http://localhost:8080/api/v1/executions/exec-abc123/pause"
RESUME = "curl -X POST http://localhost:8080/api/v1/executions/exec-abc123/resume"
SCALE = r"""
curl -X POST http://localhost:8080/api/v1/executions/exec-abc123/scale \
  -H "Content-Type: application/json" \
  -d '{"target_vus": 50}'
"""
STOP = "curl -X DELETE http://localhost:8080/api/v1/executions/exec-abc123"
GET_METRICS = "curl http://localhost:8080/api/v1/executions/exec-abc123/metrics"
LIST_SLAVES = "curl http://localhost:8080/api/v1/slaves"
GET_SLAVE = "curl http://localhost:8080/api/v1/slaves/slave-1"
DRAIN = "curl -X POST http://localhost:8080/api/v1/slaves/slave-1/drain"

SUBMIT_AND_WATCH = r"""
# 1. 提交工作流
RESPONSE=$(curl -s -X POST http://localhost:8080/api/v1/workflows \
  -H "Content-Type: application/json" \
  -d '{
    "workflow": {
      "id": "test",
      "name": "Test",
      "options": {"vus": 5, "iterations": 10},
      "steps": [{"id": "s1", "type": "http", "config": {"method": "GET", "url": "https://httpbin.org/get"}}]
    }
  }')

EXECUTION_ID=$(echo $RESPONSE | jq -r '.execution_id')
echo "Execution ID: $EXECUTION_ID"

# 2. 查看执行状态
curl http://localhost:8080/api/v1/executions/$EXECUTION_ID

# 3. 获取指标
curl http://localhost:8080/api/v1/executions/$EXECUTION_ID/metrics

# 4. 停止执行 (如需要)
curl -X DELETE http://localhost:8080/api/v1/executions/$EXECUTION_ID
"""
START_MASTER = "./workflow-engine master start"
START_SLAVE = "./workflow-engine slave start --master http://localhost:8080"


class Reader:
    """Somebody who pastes what the document prints into a shell."""

    def __init__(self, url: str, target: LoadTarget) -> None:
        self.client, self._target = EngineClient(url), target

    def paste(self, lines: str, **known: str) -> str:
        """Run lines, with things that are there in place of those of the document."""
        for old, new in {
            "http://localhost:8080": self.client.url, "https://httpbin.org": self._target.url,
            **{{"execution": "exec-abc123", "slave": "slave-1"}[k]: v for k, v in known.items()},
        }.items():  # fmt: skip
            lines = lines.replace(old, new)
        require_programs("curl")
        done = subprocess.run(
            ["bash", "-c", "set -eu; " + lines], capture_output=True, text=True, check=True,
            env=clean_environment({"no_proxy": "*"}), timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        return done.stdout

    def answer(self, lines: str, **known: str) -> Any:
        return json.loads(self.paste(lines, **known))


@dataclass
class Rig:
    """A reader, and the target of what they submit."""

    reader: Reader
    target: LoadTarget


@pytest.fixture(params=[0, 2, 3], ids=["this machine alone", "two machines", "three machines"])
def rig(
    request: pytest.FixtureRequest, new_service: Callable[..., Service], tmp_path: Path
) -> Iterator[Rig]:
    """The reader of a service with slaves on machines of their own, as far as the network goes."""
    require_programs("curl", "jq")
    with ExitStack() as stack:
        machines, here, env = [], "127.0.0.1", {}
        if request.param:
            network = Network()
            stack.callback(network.close)
            machines, here = [network.host() for _ in range(request.param)], network.address
            env = {"SLIPWAY_API__HOST": here, "SLIPWAY_API__INSECURE": "true"}
        target = stack.enter_context(LoadTarget(host=here))
        service = new_service(env=env, arguments=["--data-dir", tmp_path / "data"]).start()
        reader = Reader(service.url, target)
        names = [f"slave-{number}" for number in range(1, len(machines) + 1)]
        for name, machine in zip(names, machines, strict=True):
            slave = SlaveProcess(tmp_path, service.url, name, within=machine.within)
            stack.callback(slave.end)
        reader.client.joined(*names)
        yield Rig(reader, target)


def test_its_requests_are_answered_as_it_prints(rig: Rig) -> None:
    reader, target = rig.reader, rig.target
    _submissions(reader, target)
    target.answer("/get", Answer(delay=0.1))
    target.forget()
    submitted = reader.answer(SUBMIT_DISTRIBUTED)
    assert submitted["workflow_id"] == "distributed-test"
    execution = submitted["execution_id"]
    await_that(lambda: target.now().open == 100, "a hundred at the same time")
    _one_that_runs(reader, execution)
    _steering(reader, execution, target)
    _slaves(reader)
    assert reader.answer(STOP, execution=execution) == {
        "success": True, "message": "Execution stopped successfully",
    }  # fmt: skip
    ended = reader.client.ended(execution)
    assert (ended["status"], bool(MOMENT.fullmatch(ended["end_time"]))) == ("aborted", True)
    metrics = reader.client.metrics(execution)
    now = target.now()
    counted = metrics["step_metrics"]["s1"]["count"]
    assert counted + metrics.get("interrupted_iterations", 0) == now.requests
    assert now.most <= 100
    assert reader.client.stop(execution, 400)["error"] == "stop_failed"
    assert reader.client.ask("DELETE", "/workflows/test", 400)["error"] == "stop_failed"


def _submissions(reader: Reader, target: LoadTarget) -> None:
    for number, lines in enumerate((SUBMIT_YAML, SUBMIT_OBJECT), 1):
        submitted = reader.answer(lines)
        assert submitted.keys() == {"execution_id", "workflow_id", "status"}
        assert (submitted["workflow_id"], submitted["status"]) == ("test", "submitted")
        assert EXEC_ID.fullmatch(submitted["execution_id"])
        assert reader.client.ended(submitted["execution_id"])["status"] == "completed"
        assert target.counts() == {"/get": number}
        assert reader.answer(GET_WORKFLOW) == {"id": "test", "status": "completed"}
    listed = reader.answer(LIST_EXECUTIONS)
    assert listed["total"] == len(listed["executions"]) == 2
    assert listed["executions"][0]["id"] == submitted["execution_id"]
    assert listed["executions"][0]["progress"] == 1


def _one_that_runs(reader: Reader, execution: str) -> None:
    seen = reader.answer(GET_EXECUTION, execution=execution)
    assert list(seen) == [
        "id", "workflow_id", "status", "progress", "start_time", "end_time", "slave_states",
        "errors",
    ]  # fmt: skip
    assert (seen["id"], seen["workflow_id"]) == (execution, "distributed-test")
    assert (seen["status"], seen["end_time"], seen["errors"]) == ("running", "", [])
    assert MOMENT.fullmatch(seen["start_time"])
    assert 0 <= seen["progress"] < 1
    shares = sorted(seen["slave_states"].values(), key=lambda share: share["segment_start"])
    assert [s["slave_id"] for s in shares] == [*dict.fromkeys(s["slave_id"] for s in shares)]
    assert all(
        share.keys() == {"slave_id", "status", "completed_vus", "completed_iters",
                         "segment_start", "segment_end"}
        for share in shares
    )  # fmt: skip
    edges = [0, *(share["segment_end"] for share in shares)]
    assert [share["segment_start"] for share in shares] == pytest.approx(edges[:-1])
    assert edges[-1] == 1
    metrics = await_that(
        lambda: (m := reader.answer(GET_METRICS, execution=execution))["step_metrics"] and m
    )
    assert list(metrics)[:6] == [
        "execution_id", "total_vus", "total_iterations", "duration", "step_metrics", "thresholds",
    ]  # fmt: skip
    assert (metrics["execution_id"], metrics["total_vus"]) == (execution, 100)
    assert metrics["thresholds"] == []
    step = metrics["step_metrics"]["s1"]
    assert list(step) == ["step_id", "count", "success_count", "failure_count", "duration"]
    assert step["count"] == step["success_count"] + step["failure_count"]
    assert list(step["duration"]) == ["min", "max", "avg", "p50", "p90", "p95", "p99"]
    assert all(DURATION.fullmatch(text) for text in (*step["duration"].values(),
                                                     metrics["duration"]))  # fmt: skip


def _steering(reader: Reader, execution: str, target: LoadTarget) -> None:
    client = reader.client
    assert reader.answer(PAUSE, execution=execution) == {
        "success": True, "message": "Execution paused successfully",
    }  # fmt: skip
    assert client.execution(execution)["status"] == "paused"
    assert client.steer(execution, "pause", 400)["error"] == "pause_failed"
    await_that(lambda: target.now().open == 0, "silence")
    assert reader.answer(SCALE, execution=execution) == {
        "success": True, "message": "Execution scaled successfully",
    }  # fmt: skip
    assert reader.answer(RESUME, execution=execution) == {
        "success": True, "message": "Execution resumed successfully",
    }  # fmt: skip
    assert client.steer(execution, "resume", 400)["error"] == "resume_failed"
    await_that(lambda: target.now().open == 50, "fifty at the same time")
    await_that(lambda: client.metrics(execution)["total_vus"] == 50, "they are told")
    for message in client.messages(execution):
        assert list(message) == ["type", "timestamp", "data"]
        assert (message["type"], message["data"]["vus"]) == ("metrics", 50)
        assert MOMENT.fullmatch(message["timestamp"])
        assert list(message["data"]) == ["vus", "iteration", "http_reqs", "http_req_duration"]
        assert message["data"]["http_reqs"].keys() == {"count", "rate"}
        assert message["data"]["http_req_duration"].keys() == {"avg", "p95"}
        break
    client.steer(execution, "scale", target_vus=100)


def _slaves(reader: Reader) -> None:
    listed = reader.answer(LIST_SLAVES)
    assert listed["total"] == len(listed["slaves"])
    for slave in listed["slaves"]:
        assert list(slave) == ["id", "type", "address", "capabilities", "labels", "status"]
        assert list(slave["status"]) == ["state", "load", "active_tasks", "last_seen"]
        assert MOMENT.fullmatch(slave["status"]["last_seen"])
        one = reader.answer(GET_SLAVE, slave=slave["id"])
        assert {**one, "status": None} == {**slave, "status": None}
    id_ = listed["slaves"][0]["id"]
    drained = {"success": True, "message": "Slave drain initiated successfully"}
    assert reader.answer(DRAIN, slave=id_) == drained
    assert reader.answer(GET_SLAVE, slave=id_)["status"]["state"] == "draining"


def test_its_example_submits_and_watches(rig: Rig) -> None:
    reader, target = rig.reader, rig.target
    printed = reader.paste(SUBMIT_AND_WATCH)
    execution = re.search(r"Execution ID: (exec-[0-9a-f]{12})", printed)
    assert execution is not None, printed
    ended = reader.client.ended(execution[1])
    if ended["status"] == "completed":  # the last line may have come first
        assert target.counts() == {"/get": 10}
        assert reader.client.metrics(execution[1])["total_iterations"] == 10


def test_its_example_of_many_machines_runs_word_for_word(
    tmp_path: Path, load_target: LoadTarget
) -> None:
    program = Path(sys.executable).with_name("workflow-engine")
    (tmp_path / "workflow-engine").symlink_to(program)
    port = free_port()
    env = clean_environment(
        {"SLIPWAY_API__PORT": str(port), "SLIPWAY_DATA_DIR": str(tmp_path / "data")}
    )
    load_target.answer("/get", Answer(delay=0.1))
    reader = Reader(f"http://localhost:{port}", load_target)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for lines in (START_MASTER, START_SLAVE):
            line = lines.replace(":8080", f":{port}")
            with (tmp_path / "log").open("ab") as log:
                started.append(
                    subprocess.Popen(
                        ["bash", "-c", f"exec {line}"], cwd=tmp_path, env=env, stdout=log,
                        stderr=log, stdin=subprocess.DEVNULL,
                    )
                )  # fmt: skip
        client = EngineClient(f"http://127.0.0.1:{port}")

        def joined() -> list[str]:
            try:
                return [s for s in client.slaves("online") if s.startswith("slave-")]
            except OSError:
                return []

        await_that(joined, "the slave has joined")
        execution = reader.answer(SUBMIT_DISTRIBUTED)["execution_id"]
        await_that(lambda: load_target.now().open == 100, "a hundred at the same time")
        assert set(joined()) <= client.execution(execution)["slave_states"].keys()
        client.stop(execution)
        client.ended(execution)
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(PATIENCE_SECONDS)
