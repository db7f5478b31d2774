"""Slaves in processes of their own, at a service with several web processes and with keys."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket
from fakes.load_target import Answer, LoadTarget
from kit.engine_v1 import EngineClient, get_step, load
from kit.guarded import root_looks_into_them
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service, children_of, clean_environment, is_alive, manage, slipway
from kit.slave_messages import register
from kit.slave_processes import SlaveProcess
from kit.wire import Wire

from app.load.measures import empty
from app.load.messages import Heartbeat, TaskReport
from app.load.protocol import from_master, written

PROCESSES = 2
ADMIN = ("root", "r")
ENV = {
    "SLIPWAY_WEB__PROCESSES": str(PROCESSES),
    "SLIPWAY_API__AUTH__TYPE": "[basic, api_key]",
    "SLIPWAY_API__AUTH__USERS": (
        '[{username: root, password: "r", roles: [admin]},'
        ' {username: farm, password: "f", roles: [slave, user]}]'
    ),
    "SLIPWAY_API__AUTH__RECHECK": "500ms",
    "SLIPWAY_LOAD__LOCAL_SLAVE": "off",
}
_names = itertools.count(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("farm"), env=ENV)
    made.user = ADMIN
    yield made.start()
    made.end()


@pytest.fixture(scope="module")
def target() -> Iterator[LoadTarget]:
    with LoadTarget(heads=False) as made:
        yield made


def key_of(service: Service, *arguments: str) -> str:
    """Make a key, and return it."""
    words = ["--data-dir", service.data_dir, "--name", "test", *arguments]
    return manage("api-key", "create", *words, env=ENV).splitlines()[-1]


@pytest.fixture(scope="module")
def key(service: Service) -> str:
    """The key of slaves."""
    return key_of(service, "--owner", "farm", "--role", "slave", "--scope", "nodes:join")


@pytest.fixture(scope="module")
def engine(service: Service) -> EngineClient:
    return EngineClient(service.url, key_of(service, "--owner", "root"))


Start = Callable[..., SlaveProcess]


@pytest.fixture
def slave(service: Service, key: str, tmp_path: Path) -> Iterator[Start]:
    """Start slaves, with the key in a file; by ids of their own unless told otherwise."""
    (tmp_path / "key").write_text(key)
    started: list[SlaveProcess] = []

    def start(name: str | None = None, *options: str, master: str | None = None) -> SlaveProcess:
        name = name or f"slave-{next(_names)}"
        words = ["--api-key-file", str(tmp_path / "key"), "--processes", "1", *options]
        started.append(SlaveProcess(tmp_path, master or service.url, name, words))
        return started[-1]

    yield start
    for each in started:
        each.end()


def state(service: Service, name: str) -> str | None:
    response = service.client().send("GET", f"/nodes/{name}")
    return response.json()["state"] if response.ok else None


def is_there(service: Service, slave: SlaveProcess) -> None:
    await_that(lambda: state(service, slave.name) in ("online", "busy"), f"{slave.name} is there")


def is_away(service: Service, slave: SlaveProcess) -> None:
    await_that(lambda: state(service, slave.name) == "offline", f"{slave.name} is away")


def runs(engine: EngineClient, target: LoadTarget, *slaves: SlaveProcess, vus: int = 4) -> str:
    """Have some slaves put load on the target, until it is stopped."""
    ids = [each.name for each in slaves]
    path = f"/work-{next(_names)}"
    target.answer(path, Answer(delay=0.02))
    execution = engine.submit(
        load(
            get_step(target.url + path),
            vus=vus, duration="10m", target_slaves={"mode": "manual", "slave_ids": ids},
        )
    )  # fmt: skip
    engine.until(execution, "running")
    await_that(lambda: done(engine, execution) > 0, "iterations")
    return execution


def done(engine: EngineClient, execution: str) -> int:
    return int(engine.metrics(execution)["total_iterations"])


def goes_on(engine: EngineClient, execution: str) -> None:
    before = done(engine, execution)
    await_that(lambda: done(engine, execution) > before, "further iterations")


def test_a_slave_joins_works_and_leaves(service, engine, target, slave):
    one = slave(None, "--labels", "region=eu, zone=1", "--max-vus", "7", "--address", "here:1")
    is_there(service, one)
    found = engine.ask("GET", f"/slaves/{one.name}")
    assert found["labels"] == {"region": "eu", "zone": "1"}
    assert (found["type"], found["address"]) == ("worker", "here:1")
    execution = runs(engine, target, one)
    engine.stop(execution)
    engine.until(execution, "aborted")
    one.end()
    is_away(service, one)
    assert "joined" in one.log


def test_a_key_is_in_no_command_line_and_no_environment(service, key, slave, tmp_path):
    root_looks_into_them()
    words = slipway("slave", "start", "--master", service.url, "--id", "shy", "--api-key", key)
    process = subprocess.Popen(words, env=clean_environment(), stdout=subprocess.DEVNULL)
    by_variable = subprocess.Popen(
        slipway("slave", "start", "--master", service.url, "--id", "shyer"),
        env=clean_environment({"SLIPWAY_API_KEY": key}), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for name, each in (("shy", process), ("shyer", by_variable)):
            await_that(lambda name=name: state(service, name) == "online", f"{name} is there")
            for pid in (each.pid, *children_of(each.pid)):
                for told in ("cmdline", "environ"):
                    assert key.encode() not in Path(f"/proc/{pid}/{told}").read_bytes()
    finally:
        for each in (process, by_variable):
            each.terminate()
            each.wait(PATIENCE_SECONDS)


def test_a_slave_that_is_killed_comes_back_under_its_id(service, slave):
    first = slave("phoenix")
    is_there(service, first)
    first.kill()
    is_away(service, first)
    second = slave("phoenix")
    is_there(service, second)


def test_an_id_is_of_one_process_at_a_time(service, slave):
    first = slave("unique")
    is_there(service, first)
    second = slave("unique")
    await_that(lambda: "does not take this slave" in second.log, "it is refused")
    assert state(service, "unique") in ("online", "busy")
    first.end()
    await_that(lambda: "joined" in second.log, "it is taken")


@pytest.mark.parametrize("wrong", ["slw_0123456789", "no-key", ""])
def test_a_wrong_key_is_told_of_and_ends_the_slave(service, wrong, tmp_path):
    done = subprocess.run(
        slipway("slave", "start", "--master", service.url, "--id", "stranger"),
        env=clean_environment({"SLIPWAY_API_KEY": wrong}), capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "answers 401" in done.stderr
    assert state(service, "stranger") is None


def test_a_user_without_the_role_cannot_join(service):
    other = key_of(service, "--owner", "farm", "--role", "user")
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        connected(service, other)
    assert refused.value.status_code == 403


def test_a_key_of_slaves_can_join_and_nothing_else(service, key, slave):
    is_there(service, slave())
    bearer = {"Authorization": f"Bearer {key}"}
    paths = requests.get(f"{service.url}/openapi.json", timeout=PATIENCE_SECONDS).json()["paths"]
    tried = 0
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method == "parameters" or not operation.get("security"):
                continue
            tried += 1
            where = path.replace("{", "").replace("}", "")
            got = requests.request(
                method, service.url + where, headers=bearer, timeout=PATIENCE_SECONDS
            )
            allowed = {"tokens:write"}  # a token can do no more than what it is asked for with
            assert operation["x-permission"] in allowed or got.status_code in (403, 404), path
    assert tried > 20


def test_a_slave_whose_key_is_revoked_stops_and_ends(service, engine, target, tmp_path):
    key = key_of(service, "--owner", "farm", "--role", "slave")
    (tmp_path / "key").write_text(key)
    one = SlaveProcess(tmp_path, service.url, "fired", ["--api-key-file", str(tmp_path / "key")])
    try:
        is_there(service, one)
        manage("api-key", "revoke", "--data-dir", service.data_dir, key[:8], env=ENV)
        is_away(service, one)
        await_that(lambda: not is_alive(one.pids()[0]), "it ends")
        assert "says goodbye" in one.log
    finally:
        one.end()


def test_a_slave_goes_on_when_the_web_process_is_killed_that_holds_it(
    service, engine, target, slave
):
    one = slave()
    is_there(service, one)
    execution = runs(engine, target, one)
    for _ in range(PROCESSES):  # whichever holds it
        old = service.child("web")
        os.kill(old, signal.SIGKILL)
        await_that(lambda: len(service.children("web")) == PROCESSES, "it is replaced")
        goes_on(engine, execution)
    view = engine.execution(execution)
    assert view["status"] == "running"
    assert list(view["slave_states"]) == [one.name]
    engine.stop(execution)


def test_a_slave_that_stood_still_begins_nothing_before_it_has_asked(
    service, engine, target, slave
):
    with Wire(service.url) as wire:
        one = slave(master=wire.url)
        is_there(service, one)
        execution = runs(engine, target, one, vus=6)
        with one.frozen():
            wire.cut()  # at once: what gives it up would tell it so
            is_away(service, one)
            target.forget()
        await_that(lambda: "does not answer" in one.log, "it has noticed")
        assert target.now().requests == 0
        wire.mend()
        is_there(service, one)
        goes_on(engine, execution)
    engine.stop(execution)


def test_a_slave_that_is_cut_off_stops_and_comes_back(service, engine, target, slave):
    with Wire(service.url) as wire:
        one = slave(master=wire.url)
        is_there(service, one)
        wire.cut()
        is_away(service, one)
        wire.mend()
        is_there(service, one)


def test_a_drained_slave_ends_what_it_does_and_gets_nothing_new(service, engine, target, slave):
    one = slave()
    is_there(service, one)
    execution = runs(engine, target, one)
    engine.ask("POST", f"/slaves/{one.name}/drain")
    await_that(lambda: state(service, one.name) == "draining", "it drains")
    goes_on(engine, execution)
    engine.stop(execution)
    engine.until(execution, "aborted")


def connected(service: Service, key: str) -> websocket.WebSocket:
    address = service.url.replace("http", "ws", 1)
    return websocket.create_connection(
        f"{address}/api/v1/slave-ws", timeout=PATIENCE_SECONDS,
        header={"Authorization": f"Bearer {key}"},
    )  # fmt: skip


def close_code(socket: websocket.WebSocket) -> int:
    while True:
        code, data = socket.recv_data()
        if code == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (("{}", websocket.ABNF.OPCODE_TEXT), 1002),
        (("", websocket.ABNF.OPCODE_TEXT), 1007),
        ((b"\xff\xfe", websocket.ABNF.OPCODE_TEXT), 1007),
        ((b"{}", websocket.ABNF.OPCODE_BINARY), 1003),
        (("x" * (1024 * 1024 + 1), websocket.ABNF.OPCODE_TEXT), 1009),
    ],
)
def test_a_hostile_slave_is_sent_away_with_the_reason(service, key, frame, code):
    with closing(connected(service, key)) as socket:
        socket.send(*frame)
        assert close_code(socket) == code


def test_a_hostile_slave_delays_and_changes_nothing_of_others(service, engine, target, slave, key):
    one = slave()
    is_there(service, one)
    execution = runs(engine, target, one)
    sockets = [connected(service, key) for _ in range(8)]
    claims = TaskReport("0" * 32, 1, _claim())
    for number, socket in enumerate(sockets):
        socket.send(written(register(f"hostile-{number}", "i1")).decode())
        assert from_master(socket.recv()).accepted
        for sequence in range(1, 200):
            socket.send(written(Heartbeat(sequence, "online", 1.0, 1, (claims,))).decode())
    goes_on(engine, execution)
    assert state(service, one.name) in ("online", "busy")  # as the machine is
    assert list(engine.execution(execution)["slave_states"]) == [one.name]
    engine.stop(execution)
    engine.until(execution, "aborted")
    for socket in sockets:
        socket.close()


def _claim() -> Any:
    return {**empty(), "iterations": 10**9, "claimed": 10**9}


def test_plain_requests_are_told_what_is_wanted(service, key):
    bearer = {"Authorization": f"Bearer {key}"}
    url = f"{service.url}/api/v1/slave-ws"
    assert requests.get(url, headers=bearer, timeout=PATIENCE_SECONDS).status_code == 400
    assert requests.get(url, timeout=PATIENCE_SECONDS).status_code == 401
    answer = requests.post(url, headers=bearer, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 405
