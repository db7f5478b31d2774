"""The machine is given another name, or its data are restored on another one."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from kit.definitions import script, workflow
from kit.elsewhere import elsewhere
from kit.held import held
from kit.patience import await_that
from kit.service import Service, run_slipway
from kit.work import MARK, await_marks, marks, wait_for_gate

_AS = 'hostname "$0" && exec "$@"'
_ELSEWHERE = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && hostname box-b && exec "$@"'

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0
    or shutil.which("unshare") is None
    or subprocess.run(["unshare", "--uts", "--mount", "true"], check=False).returncode != 0,
    reason="a machine of another name needs root and namespaces",
)


def named(host: str) -> list[str]:
    """What runs a command on this machine under another name."""
    return ["unshare", "--uts", "sh", "-c", _AS, host]


def another_machine(folder):
    """What runs a command on what counts as another machine."""
    kernel = folder / "boot_id"
    kernel.write_text("00000000-0000-4000-8000-000000000000\n", encoding="ascii")
    return ["unshare", "--uts", "--mount", "sh", "-c", _ELSEWHERE, str(kernel)]


@pytest.fixture
def service(tmp_path):
    made = Service(tmp_path, {"SLIPWAY_CONDUCTOR__LEASE": "1s"})
    made.within = named("box-a")
    made.start()
    yield made
    made.end()


def begin(service: Service) -> str:
    """Launch something that runs until its gate is opened."""
    document = workflow("gated", script("only", MARK + wait_for_gate("gate")))
    execution = service.client().run(document)
    await_marks(service, execution, 1)
    return execution


def test_what_ran_under_the_old_name_is_taken_over(service):
    cancelled, goes_on = begin(service), begin(service)
    service.stop()
    service.within = named("box-b")
    service.start()
    client = service.client()
    client.cancel(cancelled)
    client.wait(cancelled, "CANCELLED")
    (service.work(goes_on) / "gate").touch()
    client.wait(goes_on, "SUCCESS")
    assert marks(service, goes_on) == ["only"]


def test_what_stayed_on_another_machine_says_so_and_can_be_ended(service, tmp_path):
    execution, other = begin(service), begin(service)
    service.stop()
    service.within = another_machine(tmp_path)
    service.start()
    client = service.client()
    client.cancel(execution)
    told = await_that(lambda: client.execution(execution)["error"], "it says so")
    assert told.startswith("This execution belongs to machine box-a, which no conductor serves")
    ready = client.send("GET", "/ready")
    assert ready.status_code == 200
    [check] = [c for c in ready.json()["checks"] if c["name"] == "executions"]
    assert check["problem"].startswith("2 executions belong to machine box-a, which no")

    assert client.send("POST", f"/executions/{execution}/abandon").status_code == 204
    ended = client.execution(execution)
    assert ended["status"] == "FAILED"
    assert ended["error"].startswith("Abandoned by 'anonymous'")
    assert ended["tasks"][0]["status"] == "FAILED"
    assert client.send("POST", f"/executions/{execution}/abandon").status_code == 409

    listed = run_slipway("abandon", "--data-dir", service.data_dir)
    assert listed.stdout.startswith("1 execution belongs to machine box-a, which no")
    done = run_slipway("abandon", "--data-dir", service.data_dir, "--machine", "box-a")
    assert (done.returncode, done.stdout) == (0, f"{other}: abandoned\n")
    client.wait(other, "FAILED")


def test_of_what_runs_elsewhere_only_requests_stay(tmp_path):
    """What another machine runs is looked at from any; what was asked for here, from here."""
    made = elsewhere(tmp_path, tmp_path)
    made["env"]["SLIPWAY_CONDUCTOR__LEASE"] = "1s"
    service = Service(tmp_path, **made)
    service.within = named("box-a")
    with held() as web:
        try:
            service.start()
            client = service.client()
            config = {"method": "POST", "url": web.url, "body": "x"}
            ask = client.run(workflow("ask", {"id": "ask", "type": "http", "config": config}))
            moves = client.run(workflow("gated", script("only", wait_for_gate("gate"))))
            client.wait(moves, "RUNNING")
            await_that(lambda: web.got, "the request is under way")
            service.stop()

            service.within = another_machine(tmp_path)
            service.start()
            client = service.client()
            (tmp_path / "root" / moves / "work" / "gate").touch()
            client.wait(moves, "SUCCESS")
            told = await_that(lambda: client.execution(ask)["error"], "it says so")
            assert told.startswith("This execution belongs to machine box-a")
            assert client.execution(ask)["status"] == "RUNNING"
            service.stop()

            service.within = named("box-a")
            service.start()
            web.let.set()
            service.client().wait(ask, "SUCCESS")
            assert len(web.got) == 1
        finally:
            service.end()


@pytest.mark.parametrize("arguments", [("--machine", "box-z"), ("no-such-execution",)])
def test_abandoning_what_is_not_there_is_an_error(shared_service, arguments):
    refused = run_slipway("abandon", "--data-dir", shared_service.data_dir, *arguments)
    assert refused.returncode == 1
    assert arguments[-1] in refused.stderr
