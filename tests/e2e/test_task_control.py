"""Single tasks are started, stopped and restarted; no two trees of one ever run at once."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kit.client import Client
from kit.deaths import die_at
from kit.definitions import script, workflow
from kit.guides import blocks, require_programs
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service, clean_environment
from kit.trees import Tree

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "tasks.md"
LAUNCHER, DRIVING = "app.engine.launchers.local", "app.store.driving"
POINTS = {
    "before the wish is read": ("app.store.task_wishes", "TaskWishes.of", "before"),
    "once the wish is read": ("app.store.task_wishes", "TaskWishes.of", "after"),
    "before the old run is told": (LAUNCHER, "LocalLauncher.cancel", "before"),
    "once the old run is told": (LAUNCHER, "LocalLauncher.cancel", "after"),
    "before the new run is prepared": (LAUNCHER, "LocalLauncher.prepare", "before", "only/2"),
    "once the new run is prepared": (LAUNCHER, "LocalLauncher.prepare", "after", "only/2"),
    "before the new run is stored": (DRIVING, "DrivenExecutions.record", "before", "run 1"),
    "once the new run is stored": (DRIVING, "DrivenExecutions.record", "after", "run 1"),
    "before the new run begins": (LAUNCHER, "LocalLauncher.start", "before", "only/2"),
    "once the new run has begun": (LAUNCHER, "LocalLauncher.start", "after", "only/2"),
}


@pytest.fixture
def quick(new_service: Callable[..., Service]) -> Service:
    """A service that is not patient with what ignores SIGTERM, with two web processes."""
    env = {"SLIPWAY_ENGINE__KILL_GRACE": "0.3s", "SLIPWAY_WEB__PROCESSES": "2"}
    return new_service(env=env).start()


@pytest.fixture
def running(quick: Service, tmp_path: Path) -> Tree:
    return Tree(quick.client(), tmp_path)


@pytest.mark.usefixtures("no_faults")
def test_a_restart_is_one_run_more_and_what_needs_it_waits_for_that(running: Tree) -> None:
    assert running.post("restart") == 202
    running.await_runs(2)
    running.await_run(1)
    assert (running.only["error"], running.only["attempts"]) == (None, 2)
    assert not (running.folder / "next").exists()
    ended = running.end()
    assert (ended["state"], ended["outputs"]) == ("SUCCESS", {"attempt": "2"})
    assert (running.began, running.only["exit_code"]) == (["1", "2"], 0)
    running.assert_never_twice()
    assert "Task 'only' started, run 1, attempt 2" in [
        entry["content"] for entry in running.client.follow(running.id)
    ]


@pytest.mark.usefixtures("no_faults")
def test_each_of_many_restarts_that_is_accepted_is_one_run_more(
    quick: Service, running: Tree
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: running.post("restart", client=quick.client()), range(8)))
    accepted = answers.count(202)
    assert set(answers) <= {202, 409}
    assert accepted >= 1
    running.await_runs(1 + accepted)
    running.await_run(accepted)
    assert running.end()["state"] == "SUCCESS"
    assert len(running.began) == 1 + accepted
    running.assert_never_twice()


@pytest.mark.usefixtures("no_faults")
def test_a_stop_ends_the_whole_tree_and_what_needs_it_never_runs(running: Tree) -> None:
    assert running.post("stop") == 202
    ended = running.client.wait(running.id)
    assert (ended["state"], ended["error"]) == ("CANCELLED", None)
    tasks = running.client.tasks(running.id)
    assert [tasks[name]["status"] for name in ("only", "next")] == ["CANCELLED", "SKIPPED"]
    assert running.is_free()
    assert not (running.folder / "next").exists()
    assert [running.post("stop"), running.post("stop", "next")] == [202, 409]


@pytest.mark.usefixtures("no_faults")
def test_what_was_stopped_goes_on_in_another_execution(running: Tree) -> None:
    running.post("stop")
    running.client.wait(running.id)
    created = running.client.send("POST", f"/executions/{running.id}/retry")
    assert created.status_code == 201
    first, running.id = running.id, created.headers["Location"].rpartition("/")[2]
    running.await_runs(2)
    ended = running.end()
    assert (ended["state"], ended["continues"]) == ("SUCCESS", first)
    assert ended["outputs"] == {"attempt": "1"}
    assert running.client.execution(first)["state"] == "CANCELLED"
    running.assert_never_twice()


def test_what_an_abandoned_execution_left_behind_is_ended_first(
    quick: Service, running: Tree
) -> None:
    assert running.client.send("POST", f"/executions/{running.id}/abandon").status_code == 204
    assert not running.is_free(), "it goes on, unobserved"
    created = running.client.send("POST", f"/executions/{running.id}/tasks/only/restart")
    assert created.status_code == 201
    running.id = created.headers["Location"].rpartition("/")[2]
    running.await_runs(2)
    assert running.end()["state"] == "CANCELLED", "the other task has not run"
    running.assert_never_twice()
    assert not (running.folder / "next").exists()


@pytest.mark.parametrize("point", POINTS)
def test_a_conductor_that_is_killed_in_a_restart_leaves_one_run_more(
    new_service: Callable[..., Service], tmp_path: Path, point: str
) -> None:
    deadly = tmp_path / "deadly"
    deadly.mkdir()
    env = {"SLIPWAY_ENGINE__KILL_GRACE": "0.3s", **die_at(deadly, *POINTS[point])}
    service = new_service(env=env).start()
    running = Tree(service.client(), tmp_path)
    assert running.post("restart") == 202
    await_that((deadly / "died").exists, "the conductor has died")
    running.await_runs(2)
    running.await_run(1)
    ended = running.end()
    assert (ended["state"], ended["outputs"]) == ("SUCCESS", {"attempt": "2"})
    assert running.began == ["1", "2"]
    running.assert_never_twice()
    assert running.only["error"] is None


@pytest.mark.parametrize("role", ["web", "conductor"])
def test_a_wish_outlives_who_took_it_and_who_was_to_follow_it(
    new_service: Callable[..., Service], tmp_path: Path, role: str
) -> None:
    service = new_service(env={"SLIPWAY_ENGINE__KILL_GRACE": "0.3s"}).start()
    running = Tree(service.client(), tmp_path)
    for number in range(1, 4):
        assert running.post("restart") == 202
        old = service.kill(role)
        running.await_runs(number + 1)
        service.replaced(role, old)
        running.client = service.client()
        await_that(lambda: service.client().send("GET", "/ready").ok, "it is ready")
        running.await_run(number)
    assert running.end()["state"] == "SUCCESS"
    assert running.began == ["1", "2", "3", "4"]
    running.assert_never_twice()


def test_a_single_task_of_a_failed_chain_and_then_the_rest(client: Client, tmp_path: Path) -> None:
    fails_once = f'[ -e {tmp_path}/mended ] || exit 3\necho n=5 >> "$SLIPWAY_OUTPUT"'
    chain = workflow(
        "chain",
        script("a", fails_once),
        script(
            "b", f"echo b$N >> {tmp_path}/ran", needs=["a"], env={"N": "${{ steps.a.outputs.n }}"}
        ),
        script("c", f"echo c >> {tmp_path}/ran", needs=["b"]),
    )

    def goes_on(path: str) -> Any:
        created = client.send("POST", path)
        assert created.status_code == 201
        return client.wait(created.headers["Location"].rpartition("/")[2])

    first = client.wait(client.run(chain))
    assert first["state"] == "FAILED"
    (tmp_path / "mended").touch()
    second = goes_on(f"/executions/{first['id']}/tasks/a/restart")
    assert [task["status"] for task in second["tasks"]] == ["SUCCESS", "SKIPPED", "SKIPPED"]
    assert (second["state"], "has not run" in second["error"]) == ("CANCELLED", True)
    assert not (tmp_path / "ran").exists(), "nobody else has run"
    third = goes_on(f"/executions/{second['execution_id']}/retry")
    assert (tmp_path / "ran").read_text(encoding="utf-8").split() == ["b5", "c"]
    assert third["state"] == "SUCCESS"
    assert [task["continued_from"] for task in third["tasks"]] == [second["id"], None, None]
    refused = client.send("POST", f"/executions/{third['id']}/retry")
    assert refused.status_code == 409


def test_files_of_what_succeeded_are_there_for_what_goes_on(client: Client) -> None:
    definition = workflow(
        "files",
        script("a", "echo data > raw.txt"),
        script("b", "[ -e mended ] || { touch mended; exit 1; }; cat raw.txt", needs=["a"]),
    )
    first = client.wait(client.run(definition))
    created = client.send("POST", f"/executions/{first['id']}/retry")
    second = created.headers["Location"].rpartition("/")[2]
    assert client.wait(second)["state"] == "SUCCESS"
    assert client.lines(second, "b") == ["data"]


@pytest.mark.runs("docs/guides/tasks.md")
def test_the_lines_of_the_guide_do_what_it_says(service_url: str, tmp_path: Path) -> None:
    require_programs("curl")
    lines = "\n".join(blocks(GUIDE.read_text(encoding="utf-8")))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines], cwd=tmp_path, capture_output=True,
        text=True, env=clean_environment({"URL": service_url, "no_proxy": "*"}),
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert words == ["202", "CANCELLED", "201", "SUCCESS", "true"], done.stdout
