"""Executions are cancelled, paused and resumed, and their steps fail, as users see it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.patience import await_that
from kit.service import Service, is_alive

TREE = r"""
echo $$ > parent.pid
sleep 600 & echo $! > child.pid
setsid bash -c 'echo $$ > daemon.pid; exec sleep 600' &
bash -c 'trap "" TERM HUP INT; echo $$ > stubborn.pid; while :; do sleep 0.1; done' &
setsid bash -c 'trap "" TERM; (echo $BASHPID > orphan.pid; while :; do sleep 0.1; done) & exit 0'
until [ -s daemon.pid ] && [ -s stubborn.pid ] && [ -s orphan.pid ]; do sleep 0.02; done
echo "the tree stands"
wait
"""
TICKING = "for ((i = 0; i < 6000; i++)); do echo $i >> ticks; echo tick $i; sleep 0.05; done\n"


def read_pid(service: Service, execution: str) -> int:
    return int((service.work(execution) / "pid").read_text(encoding="utf-8"))


def ticks(service: Service, execution: str) -> int:
    file = service.work(execution) / "ticks"
    return len(file.read_text(encoding="utf-8").split()) if file.exists() else 0


def await_ticks(service: Service, execution: str, number: int) -> None:
    await_that(lambda: ticks(service, execution) >= number, f"{number} ticks")


def is_stopped(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return stat.rpartition(")")[2].split()[0] == "T"


def codes(client: Client, execution: str) -> dict[str, int]:
    """What each way of steering answers, none of which may change anything any more."""
    return {
        "cancel": client.cancel(execution).status_code,
        "pause": client.pause(execution).status_code,
        "resume": client.resume(execution).status_code,
    }


def test_a_cancel_ends_the_whole_process_tree(shared_service: Service, client: Client) -> None:
    execution = client.run(workflow("tree", script("grow", TREE)))
    await_that(lambda: client.page(execution, levels=2)["total_results"] >= 3, "the tree stands")
    files = shared_service.work(execution).glob("*.pid")
    pids = {file.stem: int(file.read_text(encoding="utf-8")) for file in files}
    assert set(pids) == {"parent", "child", "daemon", "stubborn", "orphan"}
    assert all(map(is_alive, pids.values()))
    answer = client.cancel(execution)
    assert (answer.status_code, answer.headers["Content-Length"]) == (202, "0")
    ended = client.wait(execution)
    assert ended["status"] == "CANCELLED"
    assert {name for name, pid in pids.items() if is_alive(pid)} == set()
    assert client.tasks(execution)["grow"]["status"] == "CANCELLED"
    assert codes(client, execution) == {"cancel": 202, "pause": 409, "resume": 409}


def test_a_cancel_is_polite_and_lasting(new_service: Callable[..., Service]) -> None:
    service = new_service(env={"SLIPWAY_ENGINE__KILL_GRACE": "1m"}).start()
    client = service.client()
    text = "trap 'until [ -e gate ]; do sleep 0.02; done; echo goodbye; exit 9' TERM\n" + TICKING
    polite = script("polite", text)
    execution = client.run(workflow("polite", polite, script("never", "echo no", needs=["polite"])))
    await_ticks(service, execution, 3)
    assert client.cancel(execution).status_code == 202
    assert client.cancel(execution).status_code == 202, "twice is fine"
    assert client.execution(execution)["status"] == "CANCELLING"
    (service.work(execution) / "gate").touch()
    assert client.wait(execution)["status"] == "CANCELLED"
    tasks = client.tasks(execution)
    assert (tasks["polite"]["status"], tasks["polite"]["exit_code"]) == ("CANCELLED", 9)
    assert tasks["never"]["status"] == "CANCELLED"
    assert "goodbye" in client.lines(execution, "polite")
    assert client.execution(execution)["finished_at"] is not None


def test_a_cancelled_step_is_not_tried_again(shared_service: Service, client: Client) -> None:
    execution = client.run(workflow("no-retry", script("tick", TICKING, retries=5)))
    await_ticks(shared_service, execution, 2)
    client.cancel(execution)
    assert client.wait(execution)["status"] == "CANCELLED"
    assert client.tasks(execution)["tick"]["attempts"] == 1


def test_a_cancel_ends_the_waiting_for_a_retry(client: Client) -> None:
    flaky = script("flaky", "exit 3", retries=3, retry_delay="10m")
    execution = client.run(workflow("flaky", flaky))
    await_that(lambda: client.tasks(execution)["flaky"]["exit_code"] == 3, "the first failure")
    assert client.cancel(execution).status_code == 202
    assert client.wait(execution)["status"] == "CANCELLED"


def test_a_pending_execution_can_be_cancelled_and_never_runs(
    new_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = new_service(env={"SLIPWAY_ENGINE__MAX_PARALLEL_TASKS": "1"}).start()
    client = service.client()
    first = client.run(workflow("first", script("tick", TICKING)))
    await_ticks(service, first, 1)
    ran = tmp_path / "ran"
    second = client.run(workflow("second", script("mark", f"touch {ran}")))
    third = client.run(workflow("third", script("say", "echo my turn")))
    client.wait(second, "PENDING")
    assert client.tasks(second)["mark"]["status"] == "PENDING"
    assert client.cancel(second).status_code == 202
    assert client.wait(second)["status"] == "CANCELLED"
    assert client.execution(third)["state"] == "PENDING"
    client.cancel(first)
    assert client.wait(third)["status"] == "SUCCESS", "the slot is free again"
    assert not ran.exists()


def test_a_pause_stops_the_command_and_a_resume_lets_it_go_on(
    shared_service: Service, client: Client
) -> None:
    execution = client.run(workflow("ticker", script("tick", "echo $$ > pid\n" + TICKING)))
    await_ticks(shared_service, execution, 3)
    pid = read_pid(shared_service, execution)
    assert client.resume(execution).status_code == 409, "it is not paused"
    assert client.pause(execution).status_code == 202
    assert client.pause(execution).status_code == 202, "twice is fine"
    client.wait(execution, "PAUSED")
    await_that(lambda: is_stopped(pid), "the command stands still")
    before = ticks(shared_service, execution)
    await_that(lambda: client.tasks(execution)["tick"]["status"] == "PAUSED", "the task stands")
    waited = client.page(execution, client.page(execution)["total_results"] + 1, timeout="1s")
    assert waited["logs"] == [], "nothing is written meanwhile"
    assert ticks(shared_service, execution) == before
    assert client.resume(execution).status_code == 202
    client.wait(execution, "RUNNING")
    await_ticks(shared_service, execution, before + 3)
    assert client.resume(execution).status_code == 409
    client.cancel(execution)
    assert client.wait(execution)["status"] == "CANCELLED"
    lines = [line for line in client.lines(execution, "tick") if line.startswith("tick")]
    assert lines == [f"tick {i}" for i in range(len(lines))], "no line is lost or twice"


def test_a_paused_execution_can_be_cancelled(shared_service: Service, client: Client) -> None:
    execution = client.run(workflow("ticker", script("tick", "echo $$ > pid\n" + TICKING)))
    await_ticks(shared_service, execution, 2)
    client.pause(execution)
    client.wait(execution, "PAUSED")
    await_that(lambda: client.tasks(execution)["tick"]["status"] == "PAUSED", "the task stands")
    assert client.cancel(execution).status_code == 202
    assert client.pause(execution).status_code == 409
    assert client.resume(execution).status_code == 409
    assert client.wait(execution)["status"] == "CANCELLED"
    assert not is_alive(read_pid(shared_service, execution))


def test_no_step_begins_while_an_execution_is_paused(
    shared_service: Service, client: Client
) -> None:
    gated = script("gated", "until [ -e gate ]; do sleep 0.02; done")
    after = script("after", "echo > begun", needs=["gated"])
    execution = client.run(workflow("paused-chain", gated, after))
    client.wait(execution, "RUNNING")
    await_that(lambda: client.tasks(execution)["gated"]["started_at"], "the first step runs")
    client.pause(execution)
    client.wait(execution, "PAUSED")
    folder = shared_service.work(execution)
    (folder / "gate").touch()
    assert client.execution(execution, wait="1s")["state"] == "PAUSED"
    assert not (folder / "begun").exists()
    client.resume(execution)
    assert client.wait(execution)["status"] == "SUCCESS"


def test_a_failing_step_skips_what_needs_it_and_lets_the_rest_end(client: Client) -> None:
    definition = workflow(
        "failing",
        script("good", "sleep 0.3; echo fine"),
        script("bad", "for i in 1 2 3 4 5 6 7 8; do echo out $i; done; echo no disk >&2; exit 42"),
        script("next", "echo never", needs=["bad"]),
        script("last", "echo never", needs=["next", "good"]),
        script("apart", "sleep 0.3; echo fine", needs=["good"]),
        outputs={"x": "${{ steps.apart.status }}"},
    )
    execution = client.run(definition)
    ended = client.wait(execution)
    assert ended["status"] == "FAILED"
    assert {n: t["status"] for n, t in client.tasks(execution).items()} == {
        "good": "SUCCESS", "bad": "FAILED", "next": "SKIPPED", "last": "SKIPPED",
        "apart": "SUCCESS",
    }  # fmt: skip
    assert client.tasks(execution)["bad"]["exit_code"] == 42
    for words in ("'bad'", "exit code 42", "out 8", "no disk"):
        assert words in ended["error"]
    assert "out 1" not in ended["error"]
    assert client.lines(execution, "next") == client.lines(execution, "last") == []
    assert client.lines(execution, "apart") == ["fine"]
    levels = {e["content"]: e["level"] for e in client.follow(execution)}
    assert (levels["out 8"], levels["no disk"]) == ("INFO", "WARN")


def test_a_step_is_tried_again_until_it_succeeds(client: Client) -> None:
    text = 'echo attempt $SLIPWAY_ATTEMPT; [ "$SLIPWAY_ATTEMPT" = 3 ]'
    flaky = script("flaky", text, retries=3, retry_delay="100ms")
    execution = client.run(workflow("retried", flaky, script("next", "echo on", needs=["flaky"])))
    assert client.wait(execution)["status"] == "SUCCESS"
    task = client.tasks(execution)["flaky"]
    assert (task["attempts"], task["status"], task["exit_code"]) == (3, "SUCCESS", 0)
    attempts = [line for line in client.lines(execution, "flaky") if line.startswith("attempt")]
    assert attempts == ["attempt 1", "attempt 2", "attempt 3"]
    assert client.lines(execution, "next") == ["on"]


def test_a_step_that_never_succeeds_is_tried_no_more_than_told(client: Client) -> None:
    execution = client.run(workflow("hopeless", script("no", "exit 5", retries=1, retry_delay=0)))
    ended = client.wait(execution)
    assert (ended["status"], client.tasks(execution)["no"]["attempts"]) == ("FAILED", 2)
    assert "exit code 5" in ended["error"]


def test_a_step_that_takes_too_long_is_ended(shared_service: Service, client: Client) -> None:
    slow = script("slow", "trap '' TERM\necho $$ > pid\necho begun\n" + TICKING, timeout="1s")
    execution = client.run(workflow("slow", slow))
    ended = client.wait(execution)
    assert ended["status"] == "FAILED"
    assert "not done within 1s" in ended["error"]
    assert not is_alive(read_pid(shared_service, execution))


def test_a_failed_step_that_is_allowed_to_fail_stops_nothing(client: Client) -> None:
    execution = client.run(
        workflow(
            "forgiving",
            script("maybe", "exit 1", allow_failure=True),
            script("next", "echo on", needs=["maybe"]),
        )
    )
    ended = client.wait(execution)
    assert (ended["status"], ended["error"]) == ("SUCCESS", None)
    assert client.tasks(execution)["maybe"]["status"] == "FAILED"


@pytest.mark.parametrize("text", ["exit 0", "exit 1"])
def test_a_finished_execution_cannot_be_steered(client: Client, text: str) -> None:
    execution = client.run(workflow("finished", script("end", text)))
    status = client.wait(execution)["status"]
    assert codes(client, execution) == {"cancel": 409, "pause": 409, "resume": 409}
    assert client.execution(execution)["status"] == status


def test_commands_that_are_killed_by_others_count_as_failed(
    shared_service: Service, client: Client
) -> None:
    execution = client.run(workflow("killed", script("tick", "echo $$ > pid\n" + TICKING)))
    await_ticks(shared_service, execution, 1)
    os.kill(read_pid(shared_service, execution), 9)
    assert client.wait(execution)["status"] == "FAILED"
    assert client.tasks(execution)["tick"]["exit_code"] == 137
