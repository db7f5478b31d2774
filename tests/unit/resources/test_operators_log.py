"""What operators read in the service's log: launches, cancels, and sign-ins that failed."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from kit.guides import blocks
from service_kit import basic, users

from app.observability import configure_logging

PAGE = Path(__file__).parents[3] / "docs/operations.md"
FORGED = ('zoe"address=198.51.100.9', 'zoe address=198.51.100.9 reason=x" "event": "sign-in failed')


@pytest.fixture
def make(make_service: Callable[..., Any]) -> Iterator[Callable[[str], Any]]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def made(log_format: str) -> Any:
        service = make_service(api__auth=users())
        configure_logging("INFO", log_format)
        return service.client

    yield made
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(told: str, event: str) -> list[str]:
    return [line for line in told.splitlines() if event in line]


def try_names(client: Any) -> None:
    for name in ("ada", *FORGED, "a long password, in the wrong field" + 200 * "x"):
        assert client.get("/executions", headers=basic(name, "wrong")).status_code == 401
    client.get("/executions")  # as browsers do before they ask for a password


def test_each_failed_sign_in_tells_the_name_that_was_tried_and_the_address(make, capsys) -> None:
    client = make("json")
    try_names(client)
    found = [json.loads(line) for line in lines(capsys.readouterr().err, "sign-in failed")]
    # What nobody can be called is a password in the wrong field, or forged.
    assert [each["user"] for each in found] == ["ada", FORGED[0], None, None]
    assert {each["address"] for each in found} == {"127.0.0.1"}
    assert all("wrong" in each["reason"] for each in found)


@pytest.mark.parametrize("prefix", ["", "host slipway[12]: "], ids=["file", "journal"])
@pytest.mark.parametrize("log_format", ["console", "json"])
def test_the_filter_of_the_manual_finds_them_and_nobody_else(
    make, capsys, tmp_path, log_format, prefix
) -> None:
    if shutil.which("fail2ban-regex") is None:
        pytest.skip("no fail2ban on this machine; see .ci/install-servers")
    try_names(make(log_format))
    told = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    (tmp_path / "log").write_text("".join(f"{prefix}{line}\n" for line in told))
    [text] = [each for each in blocks(PAGE.read_text(), "ini") if "failregex" in each]
    (tmp_path / "slipway.conf").write_text(text)
    command = [
        "fail2ban-regex",
        "--out",
        "ip",
        str(tmp_path / "log"),
        str(tmp_path / "slipway.conf"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["127.0.0.1"] * 4


def test_a_launch_and_a_cancel_can_be_found_by_the_execution(
    make, capsys, as_user, write_workflow
) -> None:
    client = make("json")
    write_workflow(
        "id: flow\nsteps: [{id: a, type: command, config: {command: sleep, args: ['9']}}]"
    )
    location = client.post("/workflows/flow", headers=as_user("ada")).headers["Location"]
    execution = location.rpartition("/")[2]
    for _ in range(2):
        assert client.delete(location, headers=as_user("ada")).status_code == 202
    told = capsys.readouterr().err
    [launched] = [json.loads(line) for line in lines(told, "execution launched")]
    assert (launched["execution"], launched["workflow"]) == (execution, "flow")
    assert (launched["user"], launched["address"]) == ("ada", "127.0.0.1")
    assert launched["request_id"]
    steered = [json.loads(line) for line in lines(told, '"steered"')]
    assert {(each["execution"], each["user"]) for each in steered} == {(execution, "ada")}
    log = client.get(f"{location}/logs?size=9", headers=as_user("ada")).json
    said = [entry["content"] for entry in log["logs"] if "requested" in entry["content"]]
    assert said == ["Cancel requested by 'ada'."]
