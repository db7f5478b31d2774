"""Steering executions, and finding them by what people type, from a shell."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.people import Person
from kit.service import Service

LASTING = workflow(
    "steered", script("low", "sleep 600"), script("high", "echo $INPUT_WHO; sleep 600"),
    inputs={"who": {"type": "string", "default": "world"}},
)  # fmt: skip


@pytest.fixture
def anybody(person: Person, service_url: str, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody whose commands are for the shared service."""
    monkeypatch.setenv("SLIPWAY_URL", service_url)
    return person


@pytest.fixture
def lasting(client: Client) -> Iterator[str]:
    """An execution that runs until it is steered to its end."""
    execution = client.run(LASTING)
    client.wait(execution, "RUNNING")
    yield execution
    if client.send("GET", f"/executions/{execution}").status_code == 200:
        client.cancel(execution)


def ended(client: Client, text: str = "true", id_: str = "ended", **more: object) -> str:
    execution = client.run(workflow(id_, script("only", text), **more))
    client.wait(execution)
    return execution


class TestIds:
    def test_an_execution_has_many_names(self, anybody, client):
        execution = ended(client)
        name = client.execution(execution)["execution_id"]
        for reference in (execution, execution[:8], execution[:13].upper(), name, "@latest",
                          "@latest:ended"):  # fmt: skip
            done = anybody.types("status", reference, "--query", "id")
            assert (done.code, done.out) == (0, f"{execution}\n"), reference
        assert anybody.types("status", "--query", "id").out == f"{execution}\n"

    def test_what_can_mean_several_names_them(self, anybody, client):
        ids = [ended(client) for _ in range(17)]
        first = next(c for c in "0123456789abcdef" if sum(i.startswith(c) for i in ids) > 1)
        done = anybody.types("status", first)
        assert done.code == 2
        assert f"'{first}' can mean " in done.err
        assert f"{first}" in done.err.splitlines()[1]
        assert "(ended SUCCESS " in done.err

    @pytest.mark.parametrize(
        "reference",
        ["ffffffff-0000-4000-8000-000000000000", "zzzz", "@latest:nowhere", "exec-000000000000"],
    )
    def test_what_is_not_there_is_4_and_says_where_to_look(self, anybody, reference):
        for words in (["status"], ["logs", "-f"], ["wait"], ["cancel"], ["tasks"], ["bundle"]):
            done = anybody.types(*words, reference)
            assert done.code == 4, words
            assert "slipway ps -a" in done.err
            assert len(done.err.splitlines()) <= 3

    @pytest.mark.parametrize("word", ["cancel", "purge", "pause", "status"])
    def test_a_variable_that_is_not_set_is_not_the_latest(self, anybody, client, word):
        execution = ended(client)
        done = anybody.types(word, "")
        assert (done.code, done.out) == (2, "")
        assert "'' is no id of an execution." in done.err
        assert client.execution(execution)["state"] == "SUCCESS"

    @pytest.mark.parametrize(
        "reference", ["a b", "../x", "@later", "x" * 200, "\x1b[2J", "@latest:"]
    )
    def test_what_can_be_none_is_wrong_usage(self, anybody, reference):
        done = anybody.types("status", reference)
        assert done.code == 2
        assert "\x1b" not in done.err

    def test_an_operator_s_latest_is_the_own_one(
        self, person: Person, start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        users = [
            {"username": "ana", "password": "a", "roles": ["user", "developer"]},
            {"username": "ops", "password": "o", "roles": ["user", "developer", "operator"]},
        ]
        service = start(API__AUTH__TYPE="basic", API__AUTH__USERS=json.dumps(users))
        ops, ana = service.client("ops", "o"), service.client("ana", "a")
        own = ended(ops)
        other = ended(ana, id_="hers")
        monkeypatch.setenv("SLIPWAY_URL", service.url)
        monkeypatch.setenv("SLIPWAY_PASSWORD", "o")
        assert person.types("-u", "ops", "status", "--query", "id").out == f"{own}\n"
        assert person.types("-u", "ops", "ps", "-o", "name").out.split() == [other, own]
        assert person.types("-u", "ops", "ps", "--owner", "@me", "-o", "name").out.split() == [own]
        monkeypatch.setenv("SLIPWAY_PASSWORD", "a")
        denied = person.types("-u", "ana", "status", own[:8])
        assert denied.code == 4
        monkeypatch.setenv("SLIPWAY_PASSWORD", "wrong")
        assert person.types("-u", "ana", "ps").code == 4


class TestSteering:
    def test_a_pause_a_resume_and_an_end(self, anybody, client, lasting):
        assert anybody.types("pause", lasting[:8]).code == 0
        client.wait(lasting, "PAUSED")
        assert anybody.types("resume", lasting).code == 0
        client.wait(lasting, "RUNNING")
        done = anybody.types("cancel", lasting)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(lasting[:8])
        client.wait(lasting, "CANCELLED")
        assert anybody.types("cancel", lasting).code == 0
        paused = anybody.types("pause", lasting)
        assert paused.code == 2
        assert "cannot be paused" in paused.err
        assert len(paused.err.splitlines()) == 1

    def test_what_is_over_already_is_said_and_the_others_are_cancelled(
        self, anybody, client, lasting
    ):
        over = ended(client)
        done = anybody.types("cancel", over, lasting)
        assert done.code == 0
        assert done.out.splitlines()[0] == f"{over[:8]} was over already (SUCCESS)."
        client.wait(lasting, "CANCELLED")

    def test_several_are_asked_for_on_a_terminal_and_never_in_a_pipe(
        self, anybody, client, lasting
    ):
        other = client.run(LASTING)
        child = anybody.sits_at("cancel", lasting, other, SLIPWAY_URL=client.url)
        child.expect_exact("Cancel 2 executions? [y/N]")
        child.sendline("n")
        child.expect_exact("Nothing was done.")
        child.expect(pexpect.EOF)
        assert client.execution(lasting)["state"] == "RUNNING"
        child = anybody.sits_at("cancel", lasting, other, "--yes", SLIPWAY_URL=client.url)
        child.expect(pexpect.EOF)
        client.wait(lasting, "CANCELLED")
        client.wait(other, "CANCELLED")

    def test_one_that_is_not_there_lets_nothing_be_done(self, anybody, client, lasting):
        assert anybody.types("cancel", lasting, "ffffffff-0000-4000-8000-000000000000").code == 4
        assert client.execution(lasting)["state"] == "RUNNING"

    def test_single_steps(self, anybody, client, lasting):
        assert anybody.types("task", "stop", lasting, "low").out == f"{lasting[:8]} low stops.\n"
        assert anybody.types("task", "restart", lasting, "low").code == 0
        assert anybody.types("task", "start", lasting, "nowhere").code == 4
        client.cancel(lasting)
        client.wait(lasting)
        done = anybody.types("task", "restart", lasting, "low", "-o", "name")
        new = done.out.strip()
        assert done.code == 0
        assert client.execution(new)["continues"] == lasting
        client.cancel(new)

    def test_what_failed_goes_on_in_a_new_one(self, anybody, client, tmp_path):
        flag = tmp_path / "flag"
        failed = ended(client, f"test -e '{flag}'")
        flag.touch()
        done = anybody.types("retry", failed, "--wait")
        assert done.code == 0
        new = done.out.strip()
        assert client.execution(new)["continues"] == failed
        assert anybody.types("status", "@latest", "--query", "id").out == f"{new}\n"

    @pytest.mark.parametrize(
        "words", [["scale", "ID", "3"], ["metrics", "ID"]], ids=lambda words: words[0]
    )
    def test_what_an_execution_cannot_is_one_sentence(self, anybody, lasting, words):
        done = anybody.types(*[lasting if word == "ID" else word for word in words])
        assert (done.code, len(done.err.splitlines())) == (2, 1)
        assert "cannot" in done.err

    def test_nodes(self, anybody):
        assert anybody.types("nodes").code == 0
        listed = json.loads(anybody.types("nodes", "-o", "json").out)
        # Virtual users of other tests may have had the service start its slave.
        assert {node["id"] for node in listed} <= {"local"}
        gone = anybody.types("node", "drain", "n01")
        assert gone.code == 4
        assert "slipway nodes" in gone.err

    def test_what_is_purged_is_gone_and_what_runs_is_not(self, anybody, client, lasting):
        over = ended(client)
        done = anybody.types("purge", over, lasting)
        assert done.code == 2
        assert done.out == f"{over[:8]} is removed for good.\n"
        assert anybody.types("status", over).code == 4
        assert client.execution(lasting)["state"] == "RUNNING"

    def test_what_is_on_a_machine_that_is_there_cannot_be_abandoned_twice(self, anybody, lasting):
        done = anybody.types("abandon", lasting)
        assert (done.code, done.out) == (0, f"{lasting[:8]} is abandoned; it has FAILED.\n")
        assert anybody.types("abandon", lasting).code == 2


class TestComparing:
    def test_what_differs_is_told_and_is_1(self, anybody, client):
        flow = workflow(
            "compared", script("only", "echo $INPUT_N; test $INPUT_N -lt 4"),
            inputs={"n": {"type": "integer"}},
        )  # fmt: skip
        good, bad = client.run(flow, {"n": 3}), client.run(flow, {"n": 5})
        for each in (good, bad):
            client.wait(each)
        done = anybody.types("diff", good, bad[:13])
        assert done.code == 1
        rows = {line.split("  ")[0]: line.split()[-2:] for line in done.out.splitlines()}
        assert rows["status"] == ["SUCCESS", "FAILED"]
        assert rows["input n"] == ["3", "5"]
        assert "log only, line 1" in rows
        assert json.loads(anybody.types("diff", good, bad, "-o", "json").out)["differs"] is True
        same = anybody.types("diff", good, good)
        assert (same.code, same.out) == (0, "")
        assert "do not differ" in same.err
        assert anybody.types("diff", good, "nowhere").code == 4
        child = anybody.sits_at("diff", good, bad, columns=40, SLIPWAY_URL=client.url)
        child.expect_exact("input n   3 -> 5")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 1

    def test_a_bundle_is_one_private_file(self, anybody, client, tmp_path, monkeypatch):
        execution = ended(client, "echo said")
        monkeypatch.chdir(tmp_path)
        done = anybody.types("bundle", execution[:8])
        assert done.code == 0
        file = tmp_path / f"slipway-{execution}.zip"
        assert f"{file.name}" in done.out
        assert file.stat().st_mode & 0o777 == 0o600
        names = {Path(name).name for name in zipfile.ZipFile(file).namelist()}
        assert {"README.txt", "log.txt", "versions.json"} <= names
        (tmp_path / "folder").mkdir()
        assert anybody.types("bundle", execution, "--out", "folder").code == 0
        assert (tmp_path / "folder" / file.name).exists()
        nowhere = anybody.types("bundle", execution, "--out", "missing/x.zip")
        assert nowhere.code == 1
        assert "cannot be written" in nowhere.err
        assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "home", file.name]

    def test_a_bundle_goes_through_a_pipe_that_stands_there(self, anybody, client, tmp_path):
        execution, pipe = ended(client), tmp_path / "pipe"
        os.mkfifo(pipe)
        with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
            done = anybody.types("bundle", execution, "--out", str(pipe))
            if done.code or not pipe.is_fifo():
                reader.kill()  # nobody writes to it any more
            content = reader.communicate()[0]
        assert done.code == 0, done
        assert "README.txt" in str(zipfile.ZipFile(io.BytesIO(content)).namelist())


def test_a_word_alone_that_the_service_has_too_works_on_its_store(
    person: Person, new_service: Callable[..., Service]
) -> None:
    """``purge --older-than`` and ``abandon`` without arguments are the operator's own."""
    service = new_service().start()
    execution = ended(service.client())
    done = person.starts("purge", "--older-than", "0s", "--dry-run",
                         SLIPWAY_DATA_DIR=str(service.data_dir))  # fmt: skip
    assert done.code == 0, done
    assert "1 execution that ended before" in done.out
    assert service.client().execution(execution)["state"] == "SUCCESS"
    listed = person.starts("abandon", SLIPWAY_DATA_DIR=str(service.data_dir))
    assert listed.out.startswith("Every execution that has not ended")
