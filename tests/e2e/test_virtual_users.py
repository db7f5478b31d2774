"""Virtual users on real slaves: what the target saw, held against what the service says.

Nothing here depends on how fast the machine is: requests are counted, and put into an order.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.load_target import Answer, LoadTarget, LogNormal, most_at_once
from kit.engine_v1 import EngineClient, get_step, load
from kit.namespaces import Network
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service
from kit.slave_processes import SlaveProcess

DURATION = "2s"
MODES: dict[str, tuple[dict[str, Any], int | None]] = {
    "constant-vus": ({"vus": 7, "duration": DURATION}, None),
    "shared-iterations": ({"vus": 7, "iterations": 100}, 100),
    "few shared iterations": ({"mode": "shared-iterations", "vus": 7, "iterations": 2}, 2),
    "iterations without a mode": ({"vus": 5, "iterations": 10}, 10),
    "per-vu-iterations": ({"vus": 5, "iterations": 7}, 35),
    "ramping-vus": (
        {"stages": [{"duration": "1s", "target": 6}, {"duration": "1s", "target": 0}]}, None
    ),
    "constant-arrival-rate": ({"rate": 35, "duration": DURATION, "max_vus": 50}, 70),
    "half an iteration a second": (
        {"mode": "constant-arrival-rate", "rate": 1, "time_unit": "2s", "duration": "4s",
         "max_vus": 5}, 2,
    ),
    "ramping-arrival-rate": (
        {"stages": [{"duration": "2s", "target": 40}], "max_vus": 50}, 40
    ),
    "nothing said": ({}, 1),
}  # fmt: skip
"""Options of each mode, and the iterations that they make, where those are known."""


class Bench:
    """A service with some slaves, and a target."""

    def __init__(self, url: str, target: LoadTarget, slaves: list[SlaveProcess]) -> None:
        self.client, self.target, self.slaves = EngineClient(url), target, slaves
        self.ids = [slave.name for slave in slaves]

    def load(self, *steps: dict[str, Any], **options: Any) -> dict[str, Any]:
        """A definition for these slaves alone."""
        there = {"mode": "manual", "slave_ids": self.ids}
        return load(*steps, **{"target_slaves": there, **options})

    def get(self, path: str = "/get", **options: Any) -> dict[str, Any]:
        """A definition of one step that gets a path."""
        return self.load(get_step(self.target.url + path), **options)

    def until_open(self, number: int) -> None:
        await_that(lambda: self.target.now().open == number, f"{number} requests at a time")

    def counted(self, execution: str) -> int:
        """The iterations that ended, once all of them and the requests have the same number."""
        metrics = self.client.metrics(execution)
        step = metrics["step_metrics"]["s1"]
        cut = metrics.get("interrupted_iterations", 0)
        assert step["count"] == metrics["total_iterations"]
        assert self.target.now().requests == step["count"] + cut
        return int(step["count"])


@pytest.fixture(scope="module")
def pair(shared_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two slaves of the shared service that tests must leave running."""
    folder = tmp_path_factory.mktemp("pair")
    shared_service.heal()
    slaves = [SlaveProcess(folder, shared_service.url, name) for name in ("left", "right")]
    EngineClient(shared_service.url).joined("left", "right")
    yield slaves
    for slave in slaves:
        slave.end()


@pytest.fixture
def bench(shared_service: Service, pair: list[SlaveProcess], load_target: LoadTarget) -> Bench:
    return Bench(shared_service.url, load_target, pair)


NewBench = Callable[[int], Bench]


@pytest.fixture
def new_bench(
    new_service: Callable[..., Service], load_target: LoadTarget, tmp_path: Path
) -> Iterator[NewBench]:
    """Make a service of its own with some slaves, which may be killed."""
    with ExitStack() as stack:

        def make(number: int) -> Bench:
            url = new_service().start().url
            slaves = []
            for index in range(number):
                slaves.append(SlaveProcess(tmp_path, url, f"slave-{index}"))
                stack.callback(slaves[-1].end)
            EngineClient(url).joined(*(slave.name for slave in slaves))
            return Bench(url, load_target, slaves)

        yield make


# Counts


@pytest.mark.parametrize("name", MODES)
def test_every_request_is_counted_once_in_every_mode(bench: Bench, name: str) -> None:
    options, iterations = MODES[name]
    mode = {"mode": name} if "-" in name and "mode" not in options else {}
    bench.target.answer("/get", Answer(delay=0.02))
    execution, metrics = bench.client.run(bench.get(**mode, **options))
    seen = bench.client.execution(execution)
    assert (seen["status"], seen["errors"], seen["progress"]) == ("completed", [], 1)
    done = bench.counted(execution)
    if iterations is not None:
        assert done + metrics.get("dropped_iterations", 0) == iterations
    assert done > 0
    assert sum(s["completed_iters"] for s in seen["slave_states"].values()) == done
    assert seen["slave_states"].keys() == {*bench.ids}
    most = options.get("vus") or options.get("max_vus") or 6
    assert bench.target.now().most <= most


def test_a_slave_that_has_no_user_gets_no_iterations(bench: Bench) -> None:
    execution, _ = bench.client.run(bench.get(vus=1, iterations=5))
    states = bench.client.execution(execution)["slave_states"].values()
    assert sorted(state["completed_iters"] for state in states) == [0, 5]
    assert bench.counted(execution) == 5


def test_nested_steps_are_counted_by_their_ids(bench: Bench) -> None:
    inner = get_step(f"{bench.target.url}/inner", "inner")
    loop = {"id": "outer", "type": "loop", "loop": {"mode": "for", "count": 3, "steps": [inner]}}
    _, metrics = bench.client.run(bench.load(loop, vus=2, iterations=4))
    counts = {name: step["count"] for name, step in metrics["step_metrics"].items()}
    assert counts == {"outer": 4, "inner": 12}
    assert bench.target.counts() == {"/inner": 12}


def test_two_executions_at_once_are_counted_apart(bench: Bench) -> None:
    paths = ("/one", "/two")
    for path in paths:
        bench.target.answer(path, Answer(delay=LogNormal(0.01, 0.5)))
    ids = [bench.client.submit(bench.get(path, vus=4, iterations=60)) for path in paths]
    for execution in ids:
        assert bench.client.ended(execution)["status"] == "completed"
        assert bench.client.metrics(execution)["step_metrics"]["s1"]["count"] == 60
    assert bench.target.counts() == dict.fromkeys(paths, 60)


def test_failed_requests_are_failures_and_the_execution_completes(bench: Bench) -> None:
    execution, metrics = bench.client.run(bench.get("/status/503", vus=2, iterations=6))
    step = metrics["step_metrics"]["s1"]
    assert (step["success_count"], step["failure_count"]) == (0, 6)
    seen = bench.client.execution(execution)
    assert seen["status"] == "completed"
    assert seen["errors"]
    assert all(error["step_id"] == "s1" for error in seen["errors"])
    root = f"{bench.client.url}/executions/{execution}"
    digest = requests.get(f"{root}/digest", timeout=PATIENCE_SECONDS).json()
    assert digest["execution"]["orchestrator"] == "load"
    with zipfile.ZipFile(
        io.BytesIO(requests.get(f"{root}/bundle", timeout=PATIENCE_SECONDS).content)
    ) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert json.loads(files["metrics.json"])["iterations"] == 6
    assert json.loads(files["definition.json"])["steps"][0]["id"] == "s1"


# Steering


def test_nothing_is_sent_during_a_pause_and_the_clock_stands(bench: Bench) -> None:
    client, target = bench.client, bench.target
    target.answer("/get", Answer(delay=0.01))
    rate = {"mode": "constant-arrival-rate", "rate": 50, "duration": "3s", "max_vus": 20}
    execution = client.submit(bench.get(**rate))
    await_that(lambda: target.now().requests > 20, "it is under way")
    client.steer(execution, "pause")
    with_socket = client.messages(execution)
    standing = _until_silent(bench)
    silent_from = time.monotonic()
    counts = (message["data"]["iteration"] for message in with_socket)
    assert any(count == standing for count in counts), "what slaves told last has come"
    assert next(counts) == next(counts) == standing, "one a second, with standing counts"
    assert client.execution(execution)["status"] == "paused"
    resumed_at = time.monotonic()
    client.steer(execution, "resume")
    *_, last = with_socket
    ended, metrics = client.ended(execution), client.metrics(execution)
    assert ended["status"] == "completed"
    begun = [seen.begin for seen in target.requests()]
    assert not [moment for moment in begun if silent_from < moment < resumed_at]
    assert bench.counted(execution) + metrics.get("dropped_iterations", 0) == 150
    assert last["data"]["iteration"] == metrics["total_iterations"]
    assert metrics["duration"] == "3s"


def _until_silent(bench: Bench) -> int:
    """Wait until a pause has come to every slave, and return how many requests there were."""

    def silent() -> int:
        before = bench.target.now()
        time.sleep(0.5)
        now = bench.target.now()
        return now.requests if now.requests == before.requests and not now.open else 0

    return await_that(silent, "silence")


def test_the_clock_stands_whatever_happens_during_a_pause(new_bench: NewBench) -> None:
    bench = new_bench(2)
    client, target = bench.client, bench.target
    target.answer("/get", Answer(delay=0.05))
    hopeless = {"metric": "http_reqs", "condition": "count<1"}
    workflow = bench.get(vus=4, duration="3s", thresholds=[hopeless])
    execution = client.submit(workflow)
    bench.until_open(4)
    client.steer(execution, "pause")
    standing = _until_silent(bench)
    client.steer(execution, "scale", target_vus=8)
    bench.slaves[0].kill()
    client.watch(execution, lambda seen: bool(seen["errors"]))
    assert client.execution(execution)["status"] == "paused"
    assert target.now().requests == standing
    client.steer(execution, "resume")
    bench.until_open(8)
    assert client.ended(execution)["status"] == "failed"
    metrics = client.metrics(execution)
    assert (metrics["duration"], metrics["total_vus"]) == ("3s", 8)
    assert [each["passed"] for each in metrics["thresholds"]] == [False]
    assert target.now().most == 8
    assert metrics["total_iterations"] > standing - 4 * 2 / 0.05, "what was told still counts"


@pytest.mark.parametrize("verb", ["stop", "stop while paused"])
def test_a_stopped_execution_is_aborted_and_its_requests_are_counted(
    bench: Bench, verb: str
) -> None:
    client = bench.client
    bench.target.answer("/get", Answer(delay=0.05))
    execution = client.submit(bench.get(vus=10, duration="10m"))
    bench.until_open(10)
    if verb != "stop":
        client.steer(execution, "pause")
    client.stop(execution)
    assert client.ended(execution)["status"] == "aborted"
    bench.counted(execution)


def test_requests_under_way_at_the_stop_are_cut_and_counted_apart(bench: Bench) -> None:
    client = bench.client
    bench.target.answer("/get", Answer(delay=600))
    execution = client.submit(bench.get(vus=4, duration="10m"))
    bench.until_open(4)
    client.stop(execution)
    assert client.ended(execution)["status"] == "aborted"
    metrics = client.metrics(execution)
    assert (metrics["total_iterations"], metrics["interrupted_iterations"]) == (0, 4)
    await_that(lambda: bench.target.now().cut == 4, "the target sees them go")


def test_a_scaled_execution_has_as_many_users_as_was_asked_for(bench: Bench) -> None:
    client, target = bench.client, bench.target
    target.answer("/get", Answer(delay=0.2))
    execution = client.submit(bench.get(vus=4, duration="10m"))
    bench.until_open(4)
    for number in (20, 7, 0, 3):
        client.steer(execution, "scale", target_vus=number)
        bench.until_open(number)
        await_that(lambda n=number: client.metrics(execution)["total_vus"] == n, "it is told")
    for wrong in ({"target_vus": -1}, {"target_vus": "5"}, {"target_vus": 1.5},
                  {"target_vus": None}, {"target_vus": True}, {"vus": 5}):  # fmt: skip
        assert client.steer(execution, "scale", 400, **wrong)["error"] == "invalid_request"
    client.stop(execution)
    client.ended(execution)
    bench.counted(execution)
    assert target.now().most <= 20 + 4
    assert client.steer(execution, "scale", 400, target_vus=5)["error"] == "scale_failed"


def test_an_externally_controlled_execution_has_the_users_that_it_is_told(bench: Bench) -> None:
    client = bench.client
    bench.target.answer("/get", Answer(delay=0.1))
    options = {"mode": "externally-controlled", "vus": 2, "max_vus": 10, "duration": "10m"}
    execution = client.submit(bench.get(**options))
    bench.until_open(2)
    client.steer(execution, "scale", target_vus=9)
    bench.until_open(9)
    client.stop(execution)
    client.ended(execution)
    bench.counted(execution)


# The WebSocket


def test_an_ended_execution_has_one_last_message(bench: Bench) -> None:
    execution, metrics = bench.client.run(bench.get(vus=2, iterations=8))
    (only,) = bench.client.messages(execution)
    assert only["data"]["iteration"] == metrics["total_iterations"] == 8
    assert only["data"]["http_reqs"]["count"] == 8


def test_what_is_no_watcher_is_refused_before_the_handshake(bench: Bench) -> None:
    execution, _ = bench.client.run(bench.get())
    path = f"/executions/{execution}/ws"
    assert bench.client.ask("GET", path, 400)["error"] == "invalid_request"
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    bench.client.headers = upgrade
    found = bench.client.ask("GET", "/executions/exec-000000000000/ws", 404)
    assert found["error"] == "not_found"


# Thresholds


def test_thresholds_of_which_nothing_was_measured_have_not_passed(bench: Bench) -> None:
    throwing = {"id": "first", "type": "script", "config": {"script": "throw new Error('no')"}}
    conditions = [
        ("http_req_duration", "p(95)<500"), ("http_req_failed", "rate<0.1"),
        ("http_reqs", "count>500"), ("s1.duration", "p(95) < 500"),
    ]  # fmt: skip
    thresholds = [{"metric": metric, "condition": said} for metric, said in conditions]
    workflow = bench.load(
        throwing, get_step(f"{bench.target.url}/get"), vus=2, iterations=4, thresholds=thresholds
    )
    execution, metrics = bench.client.run(workflow)
    seen = bench.client.execution(execution)
    assert seen["status"] == "failed"
    assert [(each["passed"], each["value"]) for each in metrics["thresholds"]] == [(False, 0)] * 4
    json.dumps(metrics, allow_nan=False)
    assert len(seen["errors"]) >= len(conditions)
    assert bench.target.now().requests == 0


def test_what_is_stopped_at_once_has_measured_nothing_and_says_so(bench: Bench) -> None:
    client = bench.client
    bench.target.answer("/get", Answer(delay=600))
    asked = [{"metric": "iterations", "condition": "rate>0"},
             {"metric": "s1.failure_rate", "condition": "value < 0.1"}]  # fmt: skip
    execution = client.submit(bench.get(vus=2, duration="10m", thresholds=asked))
    client.stop(execution)
    assert client.ended(execution)["status"] == "aborted"
    metrics = client.metrics(execution)
    told = [(each["passed"], each["value"]) for each in metrics["thresholds"]]
    assert told == [(False, 0)] * 2
    json.dumps([metrics, client.execution(execution)], allow_nan=False)


def test_a_threshold_of_an_unknown_step_is_refused_with_its_place(bench: Bench) -> None:
    workflow = bench.get(thresholds=[{"metric": "nobody.duration", "condition": "avg<1"}])
    answer = bench.client.ask("POST", "/workflows", 400, json={"workflow": workflow})
    assert answer["error"] == "invalid_workflow"
    assert "thresholds[0].metric" in answer["message"]


def test_a_threshold_that_fails_first_and_holds_at_the_end_has_passed(bench: Bench) -> None:
    late = [{"metric": "iterations", "condition": "count >= 40"}]
    execution, metrics = bench.client.run(bench.get(vus=2, iterations=40, thresholds=late))
    assert bench.client.execution(execution)["status"] == "completed"
    assert metrics["thresholds"] == [{**late[0], "passed": True, "value": 40}]


# A target that freezes


@pytest.mark.parametrize("most", [200, 5])
def test_what_was_due_while_the_target_was_frozen_is_in_the_figures(
    bench: Bench, most: int
) -> None:
    client, target = bench.client, bench.target
    options = {"mode": "constant-arrival-rate", "rate": 50, "duration": "4s", "max_vus": most}
    execution = client.submit(bench.get("/nothing", **options))
    await_that(lambda: target.now().requests > 25, "it is under way")
    with target.frozen():
        time.sleep(1.2)
    client.ended(execution)
    metrics = client.metrics(execution)
    dropped = metrics.get("dropped_iterations", 0)
    assert bench.counted(execution) + dropped == 200
    if most == 5:
        assert dropped > 0
    else:
        assert dropped == 0
        assert _seconds(metrics["step_metrics"]["s1"]["duration"]["p99"]) > 0.8


def _seconds(text: str) -> float:
    from app.durations import parse_duration  # noqa: PLC0415

    return parse_duration(text)


# Slaves that come and go


def test_the_users_of_a_killed_slave_go_to_the_others(new_bench: NewBench) -> None:
    bench = new_bench(3)
    client, target = bench.client, bench.target
    target.answer("/get", Answer(delay=0.1))
    execution = client.submit(bench.get(vus=30, duration="10m"))
    bench.until_open(30)
    bench.slaves[0].kill()
    client.watch(execution, lambda seen: bool(seen["errors"]))
    bench.until_open(30)
    states = client.execution(execution)["slave_states"]
    current = [state for name, state in states.items() if name != "slave-0"]
    spans = sum(state["segment_end"] - state["segment_start"] for state in current)
    assert spans == pytest.approx(1)
    assert "slave-0" not in client.slaves("online", "busy")
    client.stop(execution)
    client.ended(execution)
    metrics = client.metrics(execution)
    said = metrics["total_iterations"] + metrics.get("interrupted_iterations", 0)
    lost = target.now().requests - said
    # What the killed one did since its last report, of one second, it can tell nobody.
    assert 0 <= lost <= 10 * 2 / 0.1


def test_there_are_never_too_many_when_a_frozen_slave_goes_on(new_bench: NewBench) -> None:
    bench = new_bench(3)
    client, target = bench.client, bench.target
    target.answer("/get", Answer(delay=0.1))
    execution = client.submit(bench.get(vus=30, duration="10m"))
    bench.until_open(30)
    frozen = bench.slaves[0]
    with frozen.frozen():
        client.watch(execution, lambda seen: bool(seen["errors"]))
        bench.until_open(30)
    client.watch(execution, lambda seen: seen["slave_states"][frozen.name]["status"] == "running")
    bench.until_open(30)
    client.stop(execution)
    client.ended(execution)
    assert most_at_once(target.requests()) <= 30


def test_a_drained_slave_works_to_the_end_and_gets_nothing_new(new_bench: NewBench) -> None:
    bench = new_bench(2)
    client, target = bench.client, bench.target
    target.answer("/get", Answer(delay=0.05))
    execution = client.submit(bench.get(vus=4, duration="10m"))
    bench.until_open(4)
    client.ask("POST", "/slaves/slave-0/drain")
    assert client.slaves("draining") == ["slave-0"]
    states = client.execution(execution)["slave_states"]
    assert states.keys() == {"slave-0", "slave-1"}
    auto = load(get_step(f"{target.url}/other"), iterations=10, vus=2,
                target_slaves={"mode": "auto"})  # fmt: skip
    other = client.submit(auto)
    assert client.ended(other)["status"] == "completed"
    assert "slave-0" not in client.execution(other)["slave_states"]
    bench.until_open(4)
    client.stop(execution)
    client.ended(execution)
    refused = bench.load(get_step(target.url), iterations=1,
                         target_slaves={"mode": "manual", "slave_ids": ["slave-0"]})  # fmt: skip
    answer = client.ask("POST", "/workflows", 500, json={"workflow": refused})
    assert answer["error"] == "submission_failed"


@pytest.mark.parametrize("role", ["web", "conductor"])
def test_what_is_killed_between_loses_no_request(
    new_service: Callable[..., Service], load_target: LoadTarget, tmp_path: Path, role: str
) -> None:
    """It is killed three times; ``make stress`` does that with the database, too."""
    service = new_service().start()
    slave = SlaveProcess(tmp_path, service.url, "slave-0")
    try:
        bench = Bench(service.url, load_target, [slave])
        bench.client.joined("slave-0")
        load_target.answer("/get", Answer(delay=0.02))
        execution = bench.client.submit(bench.get(vus=4, iterations=900))
        for number in (30, 200, 400):
            await_that(lambda n=number: load_target.now().requests > n, "it is under way")
            service.replaced(role, service.kill(role))
        await_that(service._is_ready, "the service is ready again")
        assert bench.client.ended(execution)["status"] == "completed"
        assert bench.counted(execution) == 900
    finally:
        slave.end()


# Machines of their own


def test_slaves_on_machines_of_their_own_need_the_port_of_the_master_alone(
    new_service: Callable[..., Service], tmp_path: Path
) -> None:
    network = Network()
    with ExitStack() as stack:
        stack.callback(network.close)
        env = {"SLIPWAY_API__HOST": network.address, "SLIPWAY_API__INSECURE": "true"}
        service = new_service(env=env, arguments=["--data-dir", tmp_path / "d"]).start()
        target = stack.enter_context(LoadTarget(host=network.address))
        hosts = [network.host() for _ in range(2)]
        slaves = []
        for index, host in enumerate(hosts):
            made = SlaveProcess(tmp_path, service.url, f"slave-{index}", within=host.within)
            stack.callback(made.end)
            slaves.append(made)
        bench = Bench(service.url, target, slaves)
        bench.client.joined("slave-0", "slave-1")
        target.answer("/get", Answer(delay=0.1))
        execution = bench.client.submit(bench.get(vus=10, duration="10m"))
        bench.until_open(10)
        hosts[0].cut()
        bench.client.watch(execution, lambda seen: bool(seen["errors"]))
        await_that(lambda: _begun_since(target, time.monotonic() - 0.5) >= 10, "ten again")
        hosts[0].mend()
        bench.client.joined("slave-0")
        bench.client.stop(execution)
        assert bench.client.ended(execution)["status"] == "aborted"


def _begun_since(target: LoadTarget, moment: float) -> int:
    return sum(seen.begin > moment for seen in target.requests())


def test_a_slave_that_is_told_to_end_lets_the_others_go_on(new_bench: NewBench) -> None:
    bench = new_bench(2)
    bench.target.answer("/get", Answer(delay=0.05))
    execution = bench.client.submit(bench.get(vus=6, duration="10m"))
    bench.until_open(6)
    bench.slaves[0].ask_to_end()
    await_that(lambda: bench.client.slaves("offline") == ["slave-0"], "it has left")
    bench.until_open(6)
    bench.client.stop(execution)
    bench.client.ended(execution)
    bench.counted(execution)
