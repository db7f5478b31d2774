"""A step is begun once, whatever becomes of its folder and of whoever drives it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.fencing import LEASE, assert_a_stopped_driver_begins_nothing
from kit.patience import await_that
from kit.service import Service


@pytest.fixture
def began(tmp_path: Path) -> Path:
    """Where the steps note, outside of their folders, that they began."""
    return tmp_path / "began"


def times(began: Path) -> int:
    return len(began.read_text(encoding="utf-8").splitlines()) if began.exists() else 0


def lasting(began: Path, **more: object) -> dict[str, object]:
    """A workflow of one step that notes its beginning, and lasts in two process groups."""
    text = f'echo "$$" >> {began}\nsetsid sleep 300 &\nsleep 300\n'
    return workflow("once", script("only", text, **more))


def begin(client: Client, began: Path, **more: object) -> str:
    execution = client.run(lasting(began, **more))
    await_that(lambda: times(began) == 1, "the step has begun")
    return execution


def processes(execution: str) -> list[str]:
    """Everything that runs for an execution, by what it was given at its start."""
    mark = f"SLIPWAY_EXECUTION_ID={execution}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            if f"{execution}/tasks".encode() in command or mark in (entry / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def nothing_is_left(execution: str) -> None:
    """Wait until nothing of it runs: a shim ends a moment after it has said how its command did."""
    await_that(lambda: not processes(execution), "nothing of it runs")


def job_folder(service: Service, execution: str) -> Path:
    return service.data_dir / "executions" / execution / "tasks" / "only" / "1"


def purge(folder: Path) -> None:
    """Remove a folder, although somebody may write into it at the same time."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "purged": lambda job: purge(job.parents[1]),
    "all purged": lambda job: purge(job.parents[3]),
    "claim empty": lambda job: (job / "claim.json").write_bytes(b""),
    "a file": lambda job: (purge(job), job.touch()),
}


@pytest.mark.usefixtures("no_faults")
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_lost_its_folder_fails_and_ends(service: Service, began: Path, damage: str) -> None:
    client = service.client()
    execution = begin(client, began)
    await_that(lambda: client.tasks(execution)["only"]["started_at"], "it was seen")
    DAMAGES[damage](job_folder(service, execution))
    ended = client.wait(execution)
    reason = "claim.json is damaged" if damage == "claim empty" else "its folder was removed"
    assert (ended["state"], ended["error"]) == ("FAILED", f"Task 'only' failed: {reason}")
    assert times(began) == 1
    nothing_is_left(execution)
    assert client.tasks(execution)["only"]["attempts"] == 1


@pytest.mark.usefixtures("no_faults")
def test_what_runs_is_ended_before_a_retry_begins(service: Service, began: Path) -> None:
    client = service.client()
    execution = begin(client, began, retries=1, retry_delay="0s")
    purge(job_folder(service, execution).parents[1])
    await_that(lambda: times(began) == 2, "the retry has begun")
    first, second = map(int, began.read_text(encoding="utf-8").split())
    assert not Path(f"/proc/{first}").exists()
    assert Path(f"/proc/{second}").exists()
    client.cancel(execution)
    assert client.wait(execution)["state"] == "CANCELLED"
    nothing_is_left(execution)


@pytest.mark.usefixtures("no_faults")
def test_a_folder_purged_while_nothing_ran_is_no_reason_to_begin_again(
    service: Service, began: Path
) -> None:
    execution = begin(service.client(), began)
    service.kill_all()
    purge(job_folder(service, execution).parents[1])
    client = service.start().client()
    assert client.wait(execution)["state"] == "FAILED"
    assert times(began) == 1
    nothing_is_left(execution)


@pytest.mark.usefixtures("no_faults")
@pytest.mark.parametrize("end", ["exit 0", "sleep 300"])
def test_a_command_that_removes_its_own_folder_runs_once(
    service: Service, began: Path, end: str
) -> None:
    text = f'echo "$$" >> {began}\nrm -rf "$(dirname "$SLIPWAY_OUTPUT")"\n{end}\n'
    client = service.client()
    ended = client.wait(client.run(workflow("once", script("only", text))))
    assert ended["error"] == "Task 'only' failed: its folder was removed"
    assert times(began) == 1
    nothing_is_left(ended["id"])


@pytest.mark.usefixtures("no_faults")
def test_a_cancel_ends_what_lost_its_folder(service: Service, began: Path) -> None:
    client = service.client()
    execution = begin(client, began)
    conductor = service.child("conductor")
    os.kill(conductor, signal.SIGSTOP)  # so that both are found at once
    purge(job_folder(service, execution).parents[1])
    client.cancel(execution)
    os.kill(conductor, signal.SIGCONT)
    assert client.wait(execution)["state"] in {"FAILED", "CANCELLED"}
    assert times(began) == 1
    nothing_is_left(execution)


@pytest.mark.usefixtures("no_faults")
def test_outputs_that_were_purged_are_missed(service: Service, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    client = service.client()
    execution = client.run(
        workflow(
            "flow",
            script("only", 'echo n=1 >> "$SLIPWAY_OUTPUT"'),
            script("wait", f"until [ -e {gate} ]; do sleep 0.02; done", needs=["only"]),
            outputs={"n": "${{ steps.only.outputs.n | default(7) }}"},
        )
    )
    await_that(lambda: client.tasks(execution)["wait"]["started_at"], "the next one runs")
    purge(job_folder(service, execution))
    gate.touch()
    ended = client.wait(execution)
    assert ended["state"] == "FAILED"
    assert "The outputs of step 'only' were removed from its folder." in ended["error"]


def test_a_driver_that_stood_still_begins_nothing_that_was_cancelled(
    new_service: Callable[..., Service], tmp_path: Path
) -> None:
    data = ["--data-dir", tmp_path / "data"]
    env = {"SLIPWAY_CONDUCTOR__LEASE": LEASE}
    first, second = (new_service(env=env, arguments=data).start() for _ in range(2))
    assert_a_stopped_driver_begins_nothing(first, second, tmp_path / "began")


@pytest.mark.usefixtures("no_faults")
def test_what_only_the_next_driver_knows_of_is_begun_once(service: Service, began: Path) -> None:
    """Conductors that are killed at any moment of a beginning."""
    client = service.client()
    client.upload(workflow("quick", script("only", f"echo x >> {began}")))
    executions = []
    for number in range(6):
        executions.append(client.launch("quick"))
        time.sleep(0.01 * number)
        service.kill("conductor")
    for execution in executions:
        assert client.wait(execution)["state"] == "SUCCESS"
    assert times(began) == len(executions)
