"""Processes of the service are killed at the worst moments; nothing is lost or run twice."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from kit.client import Client
from kit.definitions import script, workflow
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service, is_alive
from kit.work import MARK, await_marks, marks, wait_for_gate

LONG_SECONDS = 600.0
READERS = 20


def count(lines: int, pause: float = 0.01) -> str:
    """A script that writes numbered lines, and their number to its outputs."""
    return (
        f"for ((i = 0; i < {lines}; i++)); do echo line $i; sleep {pause}; done\n"
        f'echo "lines=$i" >> "$SLIPWAY_OUTPUT"\n'
    )


def numbered(lines: int) -> list[str]:
    return [f"line {i}" for i in range(lines)]


def await_waiting_readers(client: Client, number: int) -> None:
    await_that(
        lambda: f"\nslipway_waiting_readers {number}.0" in client.send("GET", "/metrics").text,
        f"{number} long polls wait",
    )


def assert_whole_journal(client: Client, execution: str) -> list[dict[str, Any]]:
    """The journal is the same by pages as at once, its numbers have no gaps, no remark is twice."""
    entries = client.follow(execution)
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    paged = []
    while page := client.page(execution, len(paged), size=97)["logs"]:
        paged += page
    assert paged == entries
    remarks = Counter(
        entry["content"] for entry in entries
        if entry["content"].startswith(("Task '", "Execution "))
    )  # fmt: skip
    assert {text for text, times in remarks.items() if times > 1} == set()
    return entries


def test_a_dag_whose_conductor_is_killed_loses_nothing_and_runs_nothing_twice(
    service: Service,
) -> None:
    client = service.client()
    definition = workflow(
        "dag",
        script("first", MARK + 'echo "seed=7" >> "$SLIPWAY_OUTPUT"'),
        script("count", MARK + count(300) + wait_for_gate("gate"), needs=["first"]),
        script("side", MARK + "echo aside >&2; sleep 1", needs=["first"]),
        script(
            "last",
            MARK + 'echo "sum=$((SEED + LINES))" >> "$SLIPWAY_OUTPUT"',
            needs=["count", "side"],
            env={
                "SEED": "${{ steps.first.outputs.seed }}",
                "LINES": "${{ steps.count.outputs.lines }}",
            },
        ),
        outputs={"sum": "${{ steps.last.outputs.sum }}"},
    )
    execution = client.run(definition)
    await_that(lambda: client.page(execution)["total_results"] >= 50, "the counting goes on")
    old = service.kill("conductor")
    assert client.execution(execution)["status"] == "RUNNING"
    (service.work(execution) / "gate").touch()
    assert service.replaced("conductor", old) != old
    ended = client.wait(execution)
    assert (ended["status"], ended["outputs"], ended["progress"]) == ("SUCCESS", {"sum": "307"}, 1)
    assert client.lines(execution, "count") == numbered(300)
    assert client.lines(execution, "side") == ["aside"]
    assert sorted(marks(service, execution)) == ["count", "first", "last", "side"]
    assert {(t["status"], t["attempts"]) for t in client.tasks(execution).values()} == {
        ("SUCCESS", 1)
    }
    assert_whole_journal(client, execution)


def test_a_chain_whose_conductor_is_killed_again_and_again_runs_each_step_once(
    service: Service,
) -> None:
    client = service.client()
    names = [f"s{i:02}" for i in range(30)]
    steps = [
        script(name, MARK + f"echo {name} 1\necho {name} 2", needs=names[:i][-1:])
        for i, name in enumerate(names)
    ]
    execution = client.run(workflow("chain", *steps))
    for number in (1, 6, 12, 18, 24):
        await_marks(service, execution, number)
        service.replaced("conductor", service.kill("conductor"))
    assert client.wait(execution)["status"] == "SUCCESS"
    assert marks(service, execution) == names
    tasks = client.tasks(execution)
    assert {(tasks[name]["attempts"], tasks[name]["exit_code"]) for name in names} == {(1, 0)}
    written = [
        e["content"] for e in assert_whole_journal(client, execution)
        if e["content"].startswith("s")
    ]  # fmt: skip
    assert written == [f"{name} {number}" for name in names for number in (1, 2)]


def test_readers_whose_web_process_is_killed_go_on_from_their_cursors(service: Service) -> None:
    client = service.client()
    text = "".join(f"echo line {i}\n" + wait_for_gate(f"gate-{i}") for i in range(4))
    execution = client.run(workflow("gated", script("write", text)))
    work = service.work(execution)

    def read() -> tuple[list[str], int]:
        reader, entries, cuts = service.client(), [], 0
        while True:
            try:
                page = reader.page(execution, len(entries), timeout="60s", levels=0)
            except requests.ConnectionError:
                cuts += 1
                continue
            entries += [entry["content"] for entry in page["logs"]]
            if page["complete"]:
                return entries, cuts

    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read) for _ in range(READERS)]
        await_that(lambda: client.page(execution)["total_results"] == 3, "the first line is there")
        await_waiting_readers(client, READERS)
        old = service.kill("web")
        (work / "gate-0").touch()  # a line is written while no web process is there
        service.replaced("web", old)
        for gate in ("gate-1", "gate-2", "gate-3"):
            (work / gate).touch()
        results = [reader.result(PATIENCE_SECONDS) for reader in readers]
    journal = [e["content"] for e in assert_whole_journal(service.client(), execution)]
    assert [line for line in journal if line.startswith("line")] == numbered(4)
    assert [entries for entries, _ in results] == [journal] * READERS
    assert all(cuts >= 1 for _, cuts in results)
    assert "Traceback" not in service.log


def test_after_everything_was_killed_running_commands_are_adopted(service: Service) -> None:
    client = service.client()
    code = (
        "import itertools, os, time\n"
        "for i in itertools.count():\n"
        "    if os.path.exists('enough'): break\n"
        "    print(time.time(), i, flush=True)\n"
        "    time.sleep(0.01)\n"
        "print(f'lines={i}', file=open(os.environ['SLIPWAY_OUTPUT'], 'a'))\n"
    )
    definition = workflow(
        "outlive",
        script("stamp", MARK + 'exec python3 -c "$CODE"', env={"CODE": code}),
        script("fail", MARK + wait_for_gate("gate") + "echo gone >&2\nexit 7", allow_failure=True),
        script("after", MARK, needs=["stamp", "fail"]),
        outputs={"lines": "${{ steps.stamp.outputs.lines }}"},
    )
    execution = client.run(definition)
    await_marks(service, execution, 2)
    await_that(lambda: client.page(execution)["total_results"] >= 20, "lines are read")
    service.kill_all()
    assert len(service.jobs()) == 2, "the commands must go on"
    (service.work(execution) / "gate").touch()
    await_that(lambda: len(service.jobs()) < 2, "a command has ended while nobody watched")
    time.sleep(1)
    restarted_at = time.time()
    client = service.start().client()
    (service.work(execution) / "enough").touch()
    ended = client.wait(execution)
    assert ended["status"] == "SUCCESS"
    tasks = client.tasks(execution)
    assert {name: task["exit_code"] for name, task in tasks.items()} == {
        "stamp": 0, "fail": 7, "after": 0,
    }  # fmt: skip
    assert tasks["fail"]["status"] == "FAILED"
    assert moment(tasks["fail"]["finished_at"]) < restarted_at
    assert sorted(marks(service, execution)) == ["after", "fail", "stamp"]
    entries = assert_whole_journal(client, execution)
    written = [
        (*e["content"].split(), moment(e["timestamp"])) for e in entries
        if e["task"] == "stamp" and e["content"][0].isdigit()
    ]  # fmt: skip
    numbers = [int(number) for _, number, _ in written]
    assert numbers == list(range(int(ended["outputs"]["lines"])))
    # The stamps are those of the writing, not of the reading after the restart.
    assert all(float(at) - 0.002 <= stamp for at, _, stamp in written)
    unwatched = [stamp for at, _, stamp in written if float(at) < restarted_at - 0.5]
    assert len(unwatched) > 20
    assert max(unwatched) < restarted_at


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_children_of_a_killed_supervisor_end_by_themselves(service: Service) -> None:
    client = service.client()
    execution = client.run(workflow("go-on", script("write", wait_for_gate("gate") + count(5))))
    client.wait(execution, "RUNNING")
    children = service.children()
    assert len(children) >= 2
    service.kill("supervisor")
    await_that(lambda: not any(map(is_alive, children)), "the children have ended")
    assert len(service.jobs()) <= 1
    (service.work(execution) / "gate").touch()
    client = service.start().client()
    assert client.wait(execution)["status"] == "SUCCESS"
    assert client.lines(execution, "write") == numbered(5)


def test_a_stop_answers_the_waiting_at_once_and_lets_commands_go_on(service: Service) -> None:
    client = service.client()
    execution = client.run(
        workflow("held", script("hold", MARK + wait_for_gate("gate") + count(5)))
    )
    await_marks(service, execution, 1)
    total = await_that(lambda: client.page(execution)["total_results"] == 2 and 2, "two remarks")
    family = [service.pid, *service.children()]

    def poll(path: str, params: dict[str, Any]) -> Any:
        response = service.client().send("GET", path, params=params, timeout=LONG_SECONDS)
        assert response.status_code == 200
        return response.json()

    logs = f"/executions/{execution}/logs", {"from": total, "timeout": "10m", "levels": 15}
    status = f"/executions/{execution}", {"wait": "10m"}
    with ThreadPoolExecutor(READERS) as pool:
        polls: list[Future[Any]] = [
            pool.submit(poll, *(status if i % 4 == 0 else logs)) for i in range(READERS)
        ]
        await_waiting_readers(client, READERS)
        service.stop()
        answers = [future.result(PATIENCE_SECONDS) for future in polls]
    assert not any(map(is_alive, family))
    assert all(body.get("logs", []) == [] for body in answers)
    assert {body.get("execution_status", body.get("status")) for body in answers} == {"RUNNING"}
    assert len(service.jobs()) == 1, "the command must go on"
    (service.work(execution) / "gate").touch()
    await_that(lambda: not service.jobs(), "the command ends while nobody watches")
    client = service.start().client()
    assert client.wait(execution)["status"] == "SUCCESS"
    assert client.lines(execution, "hold") == numbered(5)
    assert marks(service, execution) == ["hold"]
    assert_whole_journal(client, execution)


def test_ctrl_c_ends_the_service_as_sigterm_does(service: Service) -> None:
    family = [service.pid, *service.children()]
    service.send(signal.SIGINT)
    assert service.join() == 0
    assert not any(map(is_alive, family))


def test_an_upload_whose_web_process_is_killed_is_whole_or_not_there(service: Service) -> None:
    before = {**workflow("whole", script("old", "true")), "description": "x" * 30_000}
    after = {**workflow("whole", script("new", "true")), "description": "y" * 30_000}
    files = list(service.workflows_dir.iterdir())
    service.client().upload(before)
    # From "not even read" to "answered": the definition takes a moment to be checked.
    for delay in (0.0, 0.01, 0.05, 0.2, 0.5):
        put_and_leave(service, after, delay)
        service.replaced("web", service.kill("web"))
        client = client_of(service)
        found = client.get("/workflows/whole")
        steps = [step["name"] for step in found["steps"]]
        assert (found["description"][0], steps) in (("x", ["old"]), ("y", ["new"]))
        execution = client.launch("whole")
        # What the killed process had not accepted yet the next one does, perhaps only now.
        assert list(client.tasks(execution)) in (steps, ["new"])
        assert client.wait(execution)["status"] == "SUCCESS"
        client.upload(before)
    put_and_leave(service, after, 0.0, answered=True)
    service.replaced("web", service.kill("web"))
    assert client_of(service).get("/workflows/whole")["steps"][0]["name"] == "new"
    assert list(service.workflows_dir.iterdir()) == files


def test_a_launch_whose_web_process_is_killed_happens_once_under_its_key(
    service: Service, tmp_path: Path
) -> None:
    client = service.client()
    ran = tmp_path / "ran"
    text = f'echo "$INPUT_KEY" >> {ran}\n'
    client.upload(workflow("under-a-key", script("mark", text), inputs={"key": {}}))
    known: dict[str, str] = {}
    # From "not even read" to "answered": each moment must be safe.
    for number, delay in enumerate((0.0, 0.004, 0.012)):
        key = f"key-{number}"
        post_and_leave(service, key, delay)
        service.replaced("web", service.kill("web"))
        known[key] = launch_again(service, key)
        assert launch_again(service, key) == known[key]
    client = service.client()
    executions = client.get("/executions", workflow="under-a-key")["executions"]
    assert {e["id"] for e in executions} == set(known.values())
    assert len(executions) == len(known)
    for key, id_ in known.items():
        ended = client.wait(id_)
        assert (ended["status"], ended["inputs"]["key"]) == ("SUCCESS", key)
    assert sorted(ran.read_text(encoding="utf-8").split()) == sorted(known)


def launch_again(service: Service, key: str) -> str:
    """Send a launch again under its key, and return the id of its execution."""
    return client_of(service).launch("under-a-key", {"key": key}, key)


def client_of(service: Service) -> Client:
    """A new connection, once the new web process answers."""

    def healthy() -> Client | None:
        client = service.client()
        with suppress(requests.ConnectionError):
            return client if client.send("GET", "/health").ok else None
        return None

    return await_that(healthy, "the web process answers")


def post_and_leave(service: Service, key: str, delay: float) -> None:
    """Send a launch and give no attention to the answer."""
    body = f'{{"inputs": {{"key": "{key}"}}}}'
    send_and_leave(
        service, "POST /workflows/under-a-key", body, delay, f"Idempotency-Key: {key}\r\n"
    )


def put_and_leave(
    service: Service, definition: Mapping[str, Any], delay: float, *, answered: bool = False
) -> None:
    """Upload a definition and give no attention to more than the first bytes of the answer."""
    target = f"PUT /workflows/{definition['id']}"
    send_and_leave(service, target, json.dumps(definition), delay, answered=answered)


def send_and_leave(
    service: Service, target: str, body: str, delay: float, headers: str = "", *,
    answered: bool = False,
) -> None:  # fmt: skip
    address = urlsplit(service.url)
    request = (
        f"{target} HTTP/1.1\r\nHost: {address.netloc}\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(request.encode())
        if answered:
            assert connection.recv(12) == b"HTTP/1.1 200"
        time.sleep(delay)
