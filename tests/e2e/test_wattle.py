"""Wattle's API on the running service: what workers really do, and the lines of its guide."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from kit.guides import blocks, require_programs
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service, is_alive

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "wattle.md"
FINAL = {"completed", "failed", "cancelled"}
STUBBORN = """
import os, signal, subprocess, sys, time
lock = os.open("lock", os.O_CREAT | os.O_EXCL)  # fails where another one runs
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
children = [subprocess.Popen([sys.executable, "-c", child], start_new_session=new)
            for new in (False, True)]
def end(*_):
    os.unlink("lock")
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
with open("runs", "a") as runs:
    print(os.getpid(), *(child.pid for child in children), file=runs)
print("at work", flush=True)
time.sleep(600)
"""
_names = count()


class Wattle:
    """A client of this API, and a folder for what its workers do."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.folder = service, folder
        self.name = f"w {next(_names)} é"

    def send(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """Send a request, and return what the envelope holds."""
        response = requests.request(
            method, f"{self.service.url}/api{path}", timeout=PATIENCE_SECONDS, **more
        )
        assert response.status_code == status, response.text
        body = response.json()
        return body["data"] if body["success"] else body["error"]["code"]

    def make(self, *workers: dict[str, Any]) -> None:
        body = {"name": self.name, "working_dir": str(self.folder), "workers": [*workers]}
        self.send("POST", "/workflows", 201, json=body)

    def start(self, status: int = 200) -> Any:
        return self.send("POST", f"/workflows/{self.name}/start", status)

    def worker(self, verb: str, name: str, status: int = 200) -> Any:
        return self.send("POST", f"/workers/{self.name}/{name}/{verb}", status)

    def worker_status(self, verb: str) -> int:
        """Ask for something of the worker ``w``; every answer is fine."""
        url = f"{self.service.url}/api/workers/{self.name}/w/{verb}"
        return requests.post(url, timeout=PATIENCE_SECONDS).status_code

    @property
    def workflow(self) -> Any:
        return self.send("GET", f"/workflows/{self.name}")

    @property
    def statuses(self) -> dict[str, str]:
        return {each["name"]: each["status"] for each in self.entities}

    @property
    def entities(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.send("GET", f"/workflows/{self.name}/workers")
        return found

    def ended(self) -> dict[str, str]:
        """Wait for the end of the run, and return what became of each worker."""
        await_that(lambda: self.workflow["status"] in FINAL, "the workflow has ended")
        return self.statuses

    def runs(self, name: str = "") -> list[str]:
        """The lines that workers wrote about their runs."""
        file = self.folder / "runs"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [line for line in lines if line.startswith(name)]

    def stream(self, worker: str, after: str | None = None) -> requests.Response:
        headers = {} if after is None else {"Last-Event-ID": after}
        response = requests.get(
            f"{self.service.url}/api/workers/{self.name}/{worker}/logs/stream",
            headers=headers, stream=True, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        return response


@pytest.fixture
def wattle(shared_service: Service, tmp_path: Path) -> Wattle:
    return Wattle(shared_service, tmp_path)


def noting(name: str, script: str = "true", **more: Any) -> dict[str, Any]:
    """A worker that notes each of its runs."""
    command = f"sh -c 'echo {name} >> runs; {script}'"
    return {"name": name, "command": command, **more}


def events(response: requests.Response) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the id and the data of each event of a stream, until it ends."""
    with response:
        for block in "".join(response.iter_content(None, decode_unicode=True)).split("\n\n"):
            fields = [line.split(": ", 1) for line in block.splitlines() if line[:1] != ":"]
            found = dict(fields)
            assert "event" not in found
            if "data" in found:
                yield found["id"], json.loads(found["data"])


# The guide


@pytest.mark.runs("docs/guides/wattle.md", "## Two examples")
def test_the_lines_of_the_guide_do_what_it_says(shared_service: Service) -> None:
    require_programs("curl")
    folders = [Path("/tmp/hello-world"), Path("/tmp/data-pipeline")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        for block in blocks(GUIDE.read_text(encoding="utf-8"), "bash"):
            line = block.replace("http://localhost:9240", shared_service.url)
            done = subprocess.run(
                ["bash", "-c", line], capture_output=True, text=True, check=True,
                timeout=PATIENCE_SECONDS,
            )  # fmt: skip
            assert json.loads(done.stdout)["success"], done.stdout
        greeting, result = folders[0] / "greeting.txt", folders[1] / "result.txt"
        assert await_that(lambda: greeting.exists() and greeting.read_text()) == (
            "Hello, Wattle Scheduler!\n"
        )
        assert await_that(lambda: result.exists() and result.read_text()) == "Sum: 15\n"
        log = folders[0] / "greet" / "stdout.log"
        assert log.read_text() == "Hello, Wattle Scheduler!\n"
        logs = requests.get(f"{shared_service.url}/api/workers/hello-world/greet/logs", timeout=9)
        assert logs.json()["data"] == [
            "stdout: /tmp/hello-world/greet/stdout.log",
            "stderr: /tmp/hello-world/greet/stderr.log",
        ]
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


# Runs


def test_workers_begin_when_what_they_need_has_completed(wattle: Wattle) -> None:
    out = {"outputs": {"o": "never-written", "p": "nor this"}}
    wattle.make(
        noting("last", inputs={"x": "left/o", "y": "right/o"}),
        noting("left", inputs={"x": "first/o"}, **out),
        noting("right", inputs={"x": "first/p"}, **out),
        noting("first", **out),
    )
    wattle.start()
    assert set(wattle.ended().values()) == {"completed"}
    runs = wattle.runs()
    assert (runs[0], runs[-1], sorted(runs)) == ("first", "last", sorted({*runs}))
    times = {each["name"]: each for each in wattle.entities}
    assert times["left"]["started_at"] >= times["first"]["completed_at"]
    assert wattle.workflow["completed_at"] >= times["last"]["completed_at"]


def test_a_failure_leaves_what_needs_it_and_nothing_else(wattle: Wattle) -> None:
    out = {"outputs": {"o": "x"}}
    wattle.make(
        noting("bad", "exit 3", **out), noting("behind", inputs={"i": "bad/o"}), noting("beside")
    )
    wattle.start()
    assert wattle.ended() == {"bad": "failed", "behind": "created", "beside": "completed"}
    bad, behind, beside = wattle.entities
    assert "exit code 3" in bad["error_message"]
    assert (behind["started_at"], behind["error_message"]) == (None, None)
    assert beside["error_message"] is None
    assert wattle.workflow["status"] == "failed"
    wattle.start()
    wattle.ended()
    assert len(wattle.runs("beside")) == len(wattle.runs("bad")) == 2, "all run again"


def test_the_environment_is_clean_and_its_own_variables_win(wattle: Wattle) -> None:
    command = "sh -c 'env > env; cat > stdin'"
    own = {"PYTHONUNBUFFERED": "", "OWN": "${{ 1 }} ü"}
    wattle.make({"name": "größe", "command": command, "env_vars": own})
    wattle.start()
    assert wattle.ended() == {"größe": "completed"}
    env = dict(line.split("=", 1) for line in (wattle.folder / "env").read_text().splitlines())
    assert env["OWN"] == "${{ 1 }} ü"
    assert env["PYTHONUNBUFFERED"] == ""
    assert (env["WATTLE_WORKFLOW_NAME"], env["WATTLE_WORKER_NAME"]) == (wattle.name, "größe")
    assert not [name for name in env if name.startswith("SLIPWAY_API")]
    assert (wattle.folder / "stdin").read_bytes() == b""


def test_folders_are_made_and_files_of_users_are_left_alone(wattle: Wattle) -> None:
    (wattle.folder / "mine").write_text("mine")
    wattle.make(
        {"name": "a", "command": "pwd", "working_dir": "deep/er", "outputs": {"o": "out.txt"}},
        {"name": "b", "command": "echo no", "outputs": {"o": str(wattle.folder / "mine")}},
    )
    wattle.start()
    assert set(wattle.ended().values()) == {"completed"}
    where = wattle.folder / "deep" / "er"
    assert (where / "out.txt").read_text() == f"{where}\n"
    assert (wattle.folder / "mine").read_text() == "mine"


def test_an_output_of_the_last_run_is_not_taken_for_one_of_this(wattle: Wattle) -> None:
    (wattle.folder / "word").write_text("first")
    wattle.make({"name": "a", "command": "cat word", "outputs": {"o": "out.txt"}})
    for word in ("first", "second"):
        (wattle.folder / "word").write_text(word)
        wattle.start()
        wattle.ended()
        assert (wattle.folder / "out.txt").read_text() == word


# Single workers


def test_a_worker_that_was_never_started_runs_alone_and_the_start_runs_the_rest(
    wattle: Wattle,
) -> None:
    wattle.make(noting("a", outputs={"o": "x"}), noting("b", inputs={"i": "a/o"}), noting("c"))
    assert wattle.worker("start", "b") == f"Worker '{wattle.name}/b' started"
    assert wattle.ended() == {"a": "created", "b": "completed", "c": "created"}
    assert wattle.runs() == ["b"]
    wattle.start()
    assert set(wattle.ended().values()) == {"completed"}
    assert sorted(wattle.runs()) == ["a", "b", "c"]


def test_what_stands_behind_a_restarted_worker_is_run_by_the_next_start(wattle: Wattle) -> None:
    out = {"outputs": {"o": "x"}}
    wattle.make(
        noting("a", "test -e good", **out),
        noting("b", inputs={"i": "a/o"}, **out),
        noting("c", inputs={"i": "b/o"}),
    )
    wattle.start()
    assert wattle.ended() == {"a": "failed", "b": "created", "c": "created"}
    (wattle.folder / "good").touch()
    wattle.worker("restart", "a")
    assert wattle.ended() == {"a": "completed", "b": "created", "c": "created"}
    assert len(wattle.runs()) == 2, "it starts no other"
    wattle.start()
    assert set(wattle.ended().values()) == {"completed"}
    assert wattle.runs() == ["a", "a", "b", "c"]
    wattle.worker("restart", "a")
    assert set(wattle.ended().values()) == {"completed"}
    a, b, _ = wattle.entities
    assert a["completed_at"] > b["completed_at"], "a reader can see which is older"
    assert wattle.runs() == ["a", "a", "b", "c", "a"]


def test_a_worker_that_is_stopped_before_its_turn_does_not_run(wattle: Wattle) -> None:
    wattle.make(
        noting("a", "until [ -e go ]; do sleep 0.02; done", outputs={"o": "x"}),
        noting("b", inputs={"i": "a/o"}),
        noting("c"),
    )
    wattle.start()
    await_that(lambda: wattle.runs("a") and wattle.statuses["c"] == "completed")
    assert wattle.statuses == {"a": "running", "b": "created", "c": "completed"}
    for name in ("b", "c"):
        assert wattle.worker("stop", name) == f"Worker '{wattle.name}/{name}' stopped"
    (wattle.folder / "go").touch()
    assert wattle.ended() == {"a": "completed", "b": "cancelled", "c": "completed"}
    assert wattle.workflow["status"] == "cancelled"
    assert not wattle.runs("b")


def test_a_stop_ends_the_whole_tree_and_a_restart_runs_once_more(wattle: Wattle) -> None:
    (wattle.folder / "stubborn.py").write_text(STUBBORN)
    wattle.make({"name": "w", "command": "python3 stubborn.py"}, noting("beside"))
    wattle.start()
    await_that(lambda: len([run for run in wattle.runs() if run != "beside"]) == 1)
    assert wattle.worker("start", "w", 409) == "WORKER_RUNNING"
    refused = wattle.send("DELETE", f"/workers/{wattle.name}/w", 409)
    assert refused == "WORKER_RUNNING"
    (pids,) = trees_of(wattle, 1)
    answers = together(2, lambda: wattle.worker_status("restart"))
    accepted = answers.count(200)
    assert accepted >= 1
    assert set(answers) <= {200, 409}
    trees = await_that(lambda: trees_of(wattle, 1 + accepted))
    assert not any(is_alive(int(pid)) for pid in pids)
    assert wattle.workflow["status"] == "running"
    assert next(each for each in wattle.entities if each["name"] == "w")["error_message"] is None
    wattle.worker("stop", "w")
    assert await_that(lambda: wattle.statuses["w"] != "running" and wattle.statuses["w"])
    assert wattle.statuses["w"] == "cancelled"
    assert not any(is_alive(int(pid)) for tree in trees for pid in tree)
    assert wattle.worker("stop", "w") == f"Worker '{wattle.name}/w' stopped", "it changes nothing"
    assert wattle.ended()["w"] == wattle.workflow["status"] == "cancelled"


def trees_of(wattle: Wattle, number: int) -> list[list[str]]:
    found = [run.split() for run in wattle.runs() if run != "beside"]
    return found if len(found) == number else []


def together(number: int, work: Callable[[], int]) -> list[int]:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


# Streams


def test_a_stream_tells_each_line_once_and_waits_for_the_start(wattle: Wattle) -> None:
    script = "echo one; echo; echo two >&2; printf three"
    wattle.make(noting("w", script), noting("other", "echo not this"))
    response = wattle.stream("w")
    wattle.start()
    lines = [(each["type"], each["content"]) for _, each in events(response)]
    assert [text for kind, text in lines if kind == "stdout"] == ["one", "", "three"]
    assert [text for kind, text in lines if kind == "stderr"] == ["two"]
    again = [*events(wattle.stream("w"))]
    assert [(each["type"], each["content"]) for _, each in again] == lines
    assert [*events(wattle.stream("w", after=again[1][0]))] == again[2:]


def test_twenty_thousand_lines_come_in_order(wattle: Wattle) -> None:
    wattle.make({"name": "w", "command": "seq 20000"})
    wattle.start()
    lines = [each["content"] for _, each in events(wattle.stream("w"))]
    assert lines == [str(i) for i in range(1, 20_001)]
    log = wattle.folder / "w" / "stdout.log"
    assert log.read_text() == "".join(f"{i}\n" for i in range(1, 20_001))


def test_a_stream_of_a_worker_that_completed_before_the_last_run_has_its_lines(
    wattle: Wattle,
) -> None:
    wattle.make(noting("a", "echo hello"), noting("b"))
    wattle.start()
    wattle.ended()
    wattle.worker("restart", "b")
    wattle.ended()
    assert [each["content"] for _, each in events(wattle.stream("a"))] == ["hello"]


def test_what_is_unknown_is_told_before_any_event(wattle: Wattle) -> None:
    wattle.make(noting("w"))
    path = f"/workers/{wattle.name}/nobody/logs/stream"
    assert wattle.send("GET", path, 404) == "WORKER_NOT_FOUND"


# Metrics


def test_metrics_are_those_of_the_worker_while_it_runs(wattle: Wattle) -> None:
    busy = "python3 -c 'x = bytearray(40_000_000); import time; time.sleep(600)'"
    wattle.make({"name": "w", "command": busy})

    def metrics() -> dict[str, str]:
        found: dict[str, str] = wattle.send("GET", f"/workers/{wattle.name}/w/metrics")["metrics"]
        return found

    assert metrics() == {
        "cpu_usage": "0.0%", "memory_usage": "0MB", "runtime": "00:00:00", "status": "created",
    }  # fmt: skip
    wattle.start()
    await_that(lambda: int(metrics()["memory_usage"].removesuffix("MB")) >= 38)
    found = metrics()
    assert found["status"] == "running"
    assert re.fullmatch(r"\d+\.\d%", found["cpu_usage"])
    assert re.fullmatch(r"\d\d:\d\d:\d\d", found["runtime"])
    wattle.worker("stop", "w")
    assert wattle.ended() == {"w": "cancelled"}
    assert metrics() == metrics()
    assert metrics()["status"] == "cancelled"


# Crashes


def test_a_crash_of_the_conductor_loses_no_restart(service: Service, tmp_path: Path) -> None:
    wattle = Wattle(service, tmp_path)
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    wattle.make({"name": "w", "command": "python3 stubborn.py"})
    wattle.start()
    await_that(lambda: trees_of(wattle, 1))
    wattle.worker("restart", "w")
    time.sleep(0.05)
    service.kill("conductor")
    await_that(lambda: trees_of(wattle, 2), "it runs once more")
    await_that(lambda: wattle.statuses["w"] == "running")
    wattle.worker("stop", "w")
    assert wattle.ended() == {"w": "cancelled"}
    assert len(trees_of(wattle, 2)) == 2
    assert not any(is_alive(int(pid)) for tree in trees_of(wattle, 2) for pid in tree)


# Crowds


def test_of_many_that_make_one_name_at_once_one_does(wattle: Wattle) -> None:
    body = {"name": wattle.name, "workers": [noting("w")]}
    url = f"{wattle.service.url}/api/workflows"

    def make() -> int:
        return requests.post(url, json=body, timeout=PATIENCE_SECONDS).status_code

    assert sorted(together(8, make)) == [201, *[409] * 7]
    assert wattle.statuses == {"w": "created"}


def test_of_many_that_start_at_once_one_does(wattle: Wattle) -> None:
    wattle.make({"name": "w", "command": "sleep 600"})
    url = f"{wattle.service.url}/api/workflows/{wattle.name}/start"

    def start() -> int:
        return requests.post(url, timeout=PATIENCE_SECONDS).status_code

    assert sorted(together(8, start)) == [200, *[409] * 7]
    await_that(lambda: wattle.statuses["w"] == "running")
    wattle.worker("stop", "w")
    assert wattle.ended() == {"w": "cancelled"}
