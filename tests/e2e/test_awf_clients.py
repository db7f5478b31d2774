"""Clients of the AWF API and of the other one, on one running service, as they are written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from kit.client import Client
from kit.guides import blocks, require_programs
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service, clean_environment

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "awf.md"
ANALYZE = {
    "id": "analyze-code",
    "inputs": {"file_path": {"type": "string"}},
    "steps": [
        {
            "id": "look",
            "type": "command",
            "config": {"command": "echo", "args": ["looking at", "${{ inputs.file_path }}"]},
        }
    ],
}
ENDLESS = {
    "id": "endless",
    "steps": [{"id": "wait", "type": "command", "config": {"command": "sleep", "args": ["600"]}}],
}
NAME = re.compile(r"analyze-code-(\d{4})(\d{2})(\d{2})-(\d{2})(\d{2})(\d{2})(-\d+)?")
FINAL = {"completed", "failed", "cancelled"}

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_faults")]


@pytest.fixture
def curl(shared_service: Service) -> Callable[..., str]:
    """Call curl as people do; it sends ``Accept: */*``."""
    require_programs("curl")

    def call(path: str, *arguments: str) -> str:
        command = ["curl", "-sS", *arguments, f"{shared_service.url}{path}"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS,
            env=clean_environment({"no_proxy": "*"}),
        )  # fmt: skip
        return done.stdout

    return call


def run(curl: Callable[..., str]) -> dict[str, Any]:
    """Run the workflow, as the document of the API has it."""
    answer = curl(
        "/workflows/analyze-code/run", "-X", "POST",
        "-H", "Authorization: Bearer some.token.here", "-H", "Content-Type: application/json",
        "-d", '{"inputs": {"file_path": "app.py"}}',
    )  # fmt: skip
    launched: dict[str, Any] = json.loads(answer)
    return launched


def test_the_requests_of_the_document_hold(client: Client, curl: Callable[..., str]) -> None:
    client.upload(ANALYZE)
    launched = run(curl)
    name = launched["execution_id"]
    stamp = NAME.fullmatch(name)
    assert stamp
    year, month, day, hour, minute, second, _ = stamp.groups()
    started_at = f"{year}-{month}-{day}T{hour}:{minute}:{second}Z"
    assert launched == {"execution_id": name, "status": "running", "started_at": started_at}

    log = curl(f"/executions/{name}/logs", "-N")
    events = re.findall(r"^event: (\w+)$", log, re.MULTILINE)
    assert events[0] == "status"
    assert events[-1] == "end"
    assert '"content":"looking at app.py"' in log
    assert re.findall(r"^id: (\d+)$", log, re.MULTILINE) == [
        str(n) for n in range(events.count("log") + 1)
    ]

    seen = json.loads(curl(f"/executions/{name}"))
    assert (seen["execution_id"], seen["status"]) == (name, "completed")
    assert seen["started_at"] == started_at
    listed = json.loads(curl("/executions"))["executions"]
    assert name in {execution["execution_id"] for execution in listed}
    assert "analyze-code" in {
        workflow["name"] for workflow in json.loads(curl("/workflows"))["workflows"]
    }
    assert json.loads(curl("/workflows/analyze-code"))["name"] == "analyze-code"


def test_clients_of_both_apis_work_on_one_service(client: Client, curl: Callable[..., str]) -> None:
    client.upload(ANALYZE)
    by_id = client.launch("analyze-code", {"file_path": "lib.py"})
    by_name = run(curl)["execution_id"]
    entries = client.follow(by_id)
    assert "looking at lib.py" in [entry["content"] for entry in entries]
    seen = client.wait(by_id)
    assert (seen["id"], seen["status"]) == (by_id, "SUCCESS")
    page = client.send("GET", f"/executions/{by_id}/logs?from=0&timeout=1m&size=-1&levels=0").json()
    assert page["total_results"] == len(page["logs"]) == len(client.page(by_id, levels=14)["logs"])
    # The same execution by its other name, and the other one by the parameters of a page.
    assert json.loads(curl(f"/executions/{seen['execution_id']}"))["status"] == "completed"
    curl(f"/executions/{by_name}/logs", "-N")
    page = json.loads(curl(f"/executions/{by_name}/logs?from=0&timeout=1m&size=-1&levels=0"))
    assert "looking at app.py" in [entry["content"] for entry in page["logs"]]
    other = next(e for e in client.get("/executions")["executions"] if e["execution_id"] == by_name)
    assert client.execution(other["id"])["status"] == "SUCCESS"


def test_a_client_that_asks_until_it_reads_an_end_gets_there(client: Client) -> None:
    client.upload(ENDLESS)
    response = client.send("POST", "/workflows/endless/run")
    assert response.status_code == 201
    name = response.json()["execution_id"]
    assert response.headers["Location"] == f"/executions/{name}"
    client.wait(name, "RUNNING")
    assert client.execution(name)["status"] == "running"
    ended = client.send("DELETE", f"/executions/{name}")
    assert (ended.status_code, ended.content) == (202, b"")
    status = await_that(
        lambda: (found := client.execution(name)["status"]) in FINAL and found, "it has ended"
    )
    assert status == "cancelled"


def test_names_outlast_a_kill_of_every_process(service: Service, client: Client) -> None:
    client.upload(ANALYZE)
    body = {"inputs": {"file_path": "app.py"}}
    name = client.send("POST", "/workflows/analyze-code/run", json=body).json()["execution_id"]
    service.kill_all()
    service.start()
    again = service.client()
    assert again.wait(name, "SUCCESS")["execution_id"] == name
    started_at = again.execution(name)["started_at"]
    assert (
        started_at
        == datetime.strptime(  # noqa: DTZ007
            name[len("analyze-code-") :][:15], "%Y%m%d-%H%M%S"
        ).strftime("%Y-%m-%dT%H:%M:%SZ")
    )


def test_web_processes_that_launch_at_once_give_each_execution_a_name(
    start: Callable[..., Service],
) -> None:
    service = start(WEB__PROCESSES=2)
    service.client().upload({**ENDLESS, "steps": ANALYZE["steps"], "inputs": ANALYZE["inputs"]})
    body = {"inputs": {"file_path": "app.py"}}

    def launch(_: int) -> str:
        # A connection of its own each time, so that both processes are asked.
        response = Client(service.url).send("POST", "/workflows/endless/run", json=body)
        assert response.status_code == 201, response.text
        return str(response.json()["execution_id"])

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(launch, range(40)))
    assert len(set(names)) == 40
    by_second: dict[str, set[int]] = {}
    for name in names:
        second, number = re.fullmatch(r"(endless-\d{8}-\d{6})-?(\d*)", name).groups()  # type: ignore[union-attr]
        by_second.setdefault(second, set()).add(int(number or 1))
    for numbers in by_second.values():
        assert numbers == set(range(1, len(numbers) + 1))


@pytest.mark.runs("docs/guides/awf.md")
def test_the_lines_of_the_guide_do_what_it_says(service_url: str, tmp_path: Path) -> None:
    require_programs("curl")
    (block,) = blocks(GUIDE.read_text(encoding="utf-8"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, capture_output=True, text=True,
        env=clean_environment({"URL": service_url, "no_proxy": "*"}),
        timeout=2 * PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r'"execution_id":"diamond-\d{8}-\d{6}', done.stdout)
    assert "event: end" in done.stdout
    assert '"status":"completed","state":"SUCCESS"' in done.stdout
    assert '"primes":9592' in done.stdout
    assert re.search(r"^20\S+Z INFO  ", done.stdout, re.MULTILINE)
    assert '"status":"cancelled"' in done.stdout.splitlines()[-1]


def test_the_published_yaml_is_what_is_served(client: Client) -> None:
    published = GUIDE.parents[2] / "openapi" / "root.yaml"
    served = client.send("GET", "/openapi.yaml")
    assert served.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(served.text) == yaml.safe_load(published.read_text(encoding="utf-8"))


@pytest.fixture
def awf() -> str:
    """The command that AWF's users type."""
    found = Path(sys.executable).with_name("awf")
    assert found.exists(), "the package is installed without its commands"
    return str(found)


@pytest.fixture
def served(awf: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [awf, "server", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    process = subprocess.Popen(
        command, env=clean_environment({"SLIPWAY_WEB__PROCESSES": "1"}), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)


def test_awf_server_starts_the_service(served: subprocess.Popen[str]) -> None:
    assert served.stdout
    found = re.search(r"http://[\d.]+:\d+", served.stdout.readline())
    assert found
    assert Client(found[0]).get("/health")
    served.terminate()
    assert served.wait(PATIENCE_SECONDS) == 0


def test_the_other_name_of_the_command_is_in_no_list(awf: str) -> None:
    def said(*arguments: str) -> str:
        return subprocess.run(
            [awf, *arguments], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS
        ).stdout

    assert "server" not in said("--help").split()
    assert said("server", "--help").replace("server", "serve", 1) == said("serve", "--help")
