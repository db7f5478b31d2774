"""A workflow whose commands run on another machine, and whose requests are made from this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.definitions import script, workflow
from kit.elsewhere import elsewhere
from kit.held import Held, held
from kit.patience import await_that
from kit.service import Service
from kit.slurm_service import let_in, slurm_service


@pytest.fixture
def web() -> Iterator[Held]:
    with held() as server:
        yield server


@pytest.fixture
def service(new_service, tmp_path) -> Service:
    made: Service = new_service(**elsewhere(tmp_path, tmp_path / "service-0"))
    return made.start()


def mixed(web: Held) -> dict[str, object]:
    """A command, a request with what it found, and a command with what that brought."""
    request = {"method": "POST", "url": web.url, "body": "${{ steps.first.outputs.where }}"}
    return workflow(
        "mixed",
        script("first", 'echo "where=$ELSEWHERE $(cat data.txt)" >> "$SLIPWAY_OUTPUT"'),
        {"id": "ask", "type": "http", "needs": ["first"], "config": request,
         "working_dir": "/there/is/no/such/folder/here"},
        {"id": "last", "type": "command", "needs": ["ask"],
         "config": {"command": "echo", "args": ["got", "${{ steps.ask.outputs.body }}"]}},
        files={"data.txt": "of a file"},
        outputs={"body": "${{ steps.ask.outputs.body }}"},
    )  # fmt: skip


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_step_runs_where_it_belongs(service: Service, web: Held, tmp_path: Path) -> None:
    web.let.set()
    client = service.client()
    execution = client.run(mixed(web))
    ended = client.wait(execution, "SUCCESS")
    assert ended["outputs"] == {"body": "hello"}
    assert web.got == ["yes of a file"]
    assert client.lines(execution, "last") == ["got hello"]
    here = service.data_dir / "executions" / execution
    there = tmp_path / "root" / execution
    assert names(here / "tasks") == {"ask"}
    assert names(there / "tasks") == {"first", "last"}
    assert names(here / "work") == set()
    assert names(there / "work") == {"data.txt"}
    assert (there / "owner").read_text(encoding="utf-8") == ended["owner"]


def test_a_request_goes_on_while_its_conductor_is_killed_and_is_made_once(
    service: Service, web: Held
) -> None:
    client = service.client()
    execution = client.run(mixed(web))
    await_that(lambda: web.got, "the request is under way")
    old = service.kill("conductor")
    web.let.set()
    service.replaced("conductor", old)
    client.wait(execution, "SUCCESS")
    assert web.got == ["yes of a file"]
    assert client.lines(execution, "last") == ["got hello"]


def test_a_cancelled_request_ends(service: Service, web: Held) -> None:
    client = service.client()
    execution = client.run(mixed(web))
    await_that(lambda: web.got, "the request is under way")
    assert len(service.jobs()) == 1
    client.cancel(execution)
    client.wait(execution, "CANCELLED")
    await_that(lambda: not service.jobs(), "nothing of it runs any more")


def test_folders_of_both_are_purged(service: Service, web: Held, tmp_path: Path) -> None:
    web.let.set()
    client = service.client()
    execution = client.run(mixed(web))
    client.wait(execution, "SUCCESS")
    assert client.send("DELETE", f"/executions/{execution}?purge=true").status_code < 300
    folders = [service.data_dir / "executions" / execution, tmp_path / "root" / execution]
    await_that(lambda: not any(folder.exists() for folder in folders), "both are gone")


def test_a_request_between_jobs_of_a_cluster_is_made_from_here(
    new_service, slurm, tmp_path: Path, web: Held
) -> None:
    web.let.set()
    service = slurm_service(new_service, slurm, tmp_path)
    client = service.client()
    let_in(client, slurm)
    definition = mixed(web)
    definition["steps"][0]["env"] = {"ELSEWHERE": "yes"}  # type: ignore[index]
    execution = client.run(definition)
    ended = client.wait(execution, "SUCCESS")
    assert ended["outputs"] == {"body": "hello"}
    assert client.lines(execution, "last") == ["got hello"]
    assert names(service.data_dir / "executions" / execution / "tasks") == {"ask"}


def test_who_has_no_account_on_a_cluster_is_told_at_once(new_service, slurm, tmp_path) -> None:
    nobody = [{"user": "somebody-else", "account": slurm.users[0]}]
    service = slurm_service(new_service, slurm, tmp_path, user=None, user_map=nobody)
    client = service.client()
    execution = client.run(workflow("one", script("only", "true")))
    ended = client.wait(execution, "FAILED")
    assert "has no account on cluster 'hpc'" in ended["error"]
    assert [task["status"] for task in ended["tasks"]] == ["SKIPPED"]
