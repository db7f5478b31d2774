"""The words, options and output of ``waas``, the command line of eFlows4HPC."""

from __future__ import annotations

import json
import re

import pytest
from kit.client import Client
from kit.people import Person
from kit.service import Service

QUICK = {
    "id": "quick",
    "inputs": {"n": {"type": "integer", "default": 3}, "t": {"type": "string", "default": "x"}},
    "steps": [
        {"id": "say", "type": "script",
         "config": {"script": "echo hello $INPUT_N $INPUT_T; echo '::debug::more'"}}
    ],
}  # fmt: skip
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def user(person: Person, shared_service: Service, client: Client) -> Person:
    """Somebody with the file of ``waas``, and nothing else."""
    client.upload(QUICK)
    (person.home / ".waas").write_text(f"api_url: {shared_service.url}\n")
    return person


def launched(user: Person, *more: str) -> str:
    done = user.types("wf", "trigger", "quick", "-o", "json", *more)
    assert done.code == 0, done.err
    return str(json.loads(done.out))


def test_a_launch_tells_the_id_where_scripts_look_for_it(user):
    done = user.types("wf", "trigger", "quick", "-i", "n=5")
    assert done.code == 0
    assert re.fullmatch(rf"Workflow triggered with execution ID: {UUID}\n", done.out)


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ([], {"n": 3, "t": "x"}),
        (["-i", "n=5"], {"n": 5, "t": "x"}),
        (["-i", "n=5,t=y"], {"n": 5, "t": "y"}),
        (["-i", "n=5", "--inputs", "t=a,b"], {"n": 5, "t": "a,b"}),
        (["-i", '"t=a,b",n=1'], {"n": 1, "t": "a,b"}),
        (["-i", "t=c=d"], {"n": 3, "t": "c=d"}),
    ],
)
def test_inputs_are_read_as_waas_reads_them(user, client, given, inputs):
    assert client.execution(launched(user, *given))["inputs"] == inputs


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (["nothing"], 4), (["quick", "-i", "n"], 2), (["quick", "-i", "n=1", "-i", "n=2"], 2),
        (["quick", "-i", "n=many"], 2), (["quick", "-i", "m=1"], 2), ([], 2),
    ],
)  # fmt: skip
def test_what_cannot_be_launched(user, given, code):
    done = user.types("wf", "trigger", *given)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("slipway: ")


def test_a_status_is_read_by_its_words_or_as_json_on_one_line(user, client):
    execution = launched(user)
    client.wait(execution)
    told = f"Execution ID: {execution}, Status: SUCCESS\n"
    for words in (["exec", "status"], ["e", "s"], ["executions", "get"]):
        assert user.types(*words, execution) == (0, told, "")
    as_json = user.types("exec", "status", execution, "-o", "json").out
    assert as_json.count("\n") == 1
    assert f'"id":"{execution}"' in as_json
    assert '"status":"SUCCESS"' in as_json
    assert user.types("-o", "text", "exec", "status", execution).out == told
    assert user.types("exec", "status", execution, "--query", "status").out == "SUCCESS\n"
    assert user.types("exec", "status", "0" * 8).code == 4


def test_a_status_that_is_followed_ends_with_the_result(user):
    execution = launched(user)
    done = user.types("exec", "status", "-f", execution)
    assert (done.code, done.out) == (0, f"Execution ID: {execution}, Status: SUCCESS\n")


def test_a_log_has_level_time_and_text(user, client):
    execution = launched(user)
    client.wait(execution)
    line = r"INFO: \[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000 UTC\] "
    done = user.types("exec", "logs", execution)
    assert re.search(rf"^{line}hello 3 x$", done.out, re.MULTILINE)
    lines = done.out.splitlines()
    assert user.types("e", "l", execution, "--from", "2").out.splitlines() == lines[2:]
    assert len(user.types("e", "logs", execution, "-d").out.splitlines()) >= len(lines)
    page = json.loads(user.types("exec", "logs", execution, "-o", "json").out)
    assert {"logs", "total_results", "from"} <= page.keys()
    assert page["total_results"] == len(lines)
    assert {"level", "timestamp", "content"} <= page["logs"][0].keys()


def test_a_log_that_is_followed_ends_with_the_execution(user):
    execution = launched(user)
    done = user.types("exec", "logs", "-f", execution)
    assert done.code == 0
    assert done.out.splitlines()[-1].endswith("Execution ended with status SUCCESS")
    assert user.types("exec", "logs", "-f", "--from", "1", execution).code == 2
    at_once = user.types("wf", "run", "quick", "-l")
    assert at_once.code == 0
    assert "hello 3 x" in at_once.out


def test_workflows_are_listed_by_every_word_of_it(user):
    for words in (["wf", "list"], ["workflows", "ls"], ["w", "l"], ["workflow", "list"], ["wf"]):
        assert "quick" in user.types(*words, "-o", "name").out.splitlines(), words
    listed = json.loads(user.types("workflows", "list", "-o", "json").out)
    [quick] = [each for each in listed if each["id"] == "quick"]
    assert {"name", "application_id", "environment_id", "environment_name"} <= quick.keys()


@pytest.mark.parametrize("words", [["ssh_keys", "key-gen"], ["keys", "gen"], ["k", "g"]])
def test_a_key_is_told_where_scripts_look_for_it(user, words):
    done = user.types(*words, "-m", "cluster=hpc1,owner=ana")
    assert done.code == 0
    id_ = re.search(rf"^INFO: SSH key ID:     ({UUID})$", done.out, re.MULTILINE)
    assert id_
    assert re.search(r"^INFO: SSH Public key: ssh-ed25519 \S+ ", done.out, re.MULTILINE)
    [key, *_] = json.loads(user.types("keys", "-o", "json").out)
    assert (key["id"], key["metadata"]) == (id_[1][:8], {"cluster": "hpc1", "owner": "ana"})
    made = json.loads(user.types(*words, "-o", "json").out)
    assert made.keys() == {"id", "public_key"}
    assert user.types("keys", "revoke", made["id"], key["id"]).code == 0


def test_the_address_by_option_variable_and_file(person, shared_service, monkeypatch):
    url = shared_service.url
    assert person.types("--api_url", url, "wf", "list").code == 0
    assert person.types("wf", "list", "--api_url", url).code == 0
    monkeypatch.setenv("HW_API_URL", url)
    assert person.types("wf", "list").code == 0
    (person.home / ".waas").write_text("api_url: http://127.0.0.1:1\n")
    assert person.types("wf", "list").code == 0, "a variable beats the file"


def test_words_of_today_are_helped_with_as_such(user):
    assert user.types("workflows", "--help").out.startswith("Usage: slipway workflows [OPTIONS]")
    told = user.types("exec", "--help").out
    assert "  status   Show a status, as waas does.\n" in told
    assert told.count("Cancel executions.") == 1
    assert "key-gen" not in user.types("keys", "--help").out
    assert not re.search(r"^  (exec|wf|k) ", user.types("--help").out, re.MULTILINE)
