"""The ``slipway`` command as operators use it: starting, refusing to start, and the helpers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from kit.client import Client
from kit.definitions import script, workflow
from kit.patience import await_that
from kit.service import Service, run_slipway

USAGE_ERROR = 2


def write_config(folder: Path, text: str) -> Path:
    path = folder / "slipway.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def workflow_ids(client: Client) -> set[str]:
    return {w["id"] for w in client.get("/workflows")["workflows"]}


def test_a_wrong_configuration_is_refused_with_every_fault_by_its_path(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        "api:\n  port: 99999\n  hots: x\n  auth: {type: magic}\n"
        "logs: {max_timeout: soon}\n"
        "engine: {max_parallel_tasks: 0}\n"
        "orchestrators: [{name: local, type: nonsense}]\n"
        "ssh_keys: {algorithm: dsa}\n",
    )
    refused = run_slipway("serve", "--config", config, "--data-dir", tmp_path / "data")
    assert refused.returncode == USAGE_ERROR
    for path in (
        "api.port: must be 1..65535", "api.hots: ", "api.auth.type: ", "logs.max_timeout: ",
        "engine.max_parallel_tasks: ", "orchestrators[0]", "ssh_keys.algorithm: ",
    ):  # fmt: skip
        assert path in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
    assert not (tmp_path / "data").exists(), "nothing is made before all is known to be right"


def test_a_configuration_that_cannot_be_read_is_refused_in_words(tmp_path: Path) -> None:
    for text in ("api: [1, 2\n", "- a list\n", "api: ${NOT_SET_ANYWHERE}\n", None):
        config = write_config(tmp_path, text) if text else tmp_path / "missing.yaml"
        refused = run_slipway("serve", "--config", config, "--data-dir", tmp_path / "data")
        assert refused.returncode == USAGE_ERROR, refused.stderr
        assert config.name in refused.stderr
        assert "Traceback" not in refused.stderr


def test_wrong_variables_are_refused_by_their_paths(tmp_path: Path) -> None:
    env = {"SLIPWAY_API__PORT": "many", "SLIPWAY_ENGINE__KILL_GRACE": "-3s"}
    refused = run_slipway("serve", "--data-dir", tmp_path / "data", env=env)
    assert refused.returncode == USAGE_ERROR
    assert "api.port" in refused.stderr
    assert "engine.kill_grace" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        refused = run_slipway("serve", "--port", str(port), "--data-dir", tmp_path / "data")
    assert refused.returncode == 1
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "in use" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_without_authentication_only_loopback_is_served(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::"):
        refused = run_slipway(
            "serve", "--host", host, "--port", "0", "--data-dir", tmp_path / "data"
        )
        assert refused.returncode == USAGE_ERROR, (host, refused.stderr)
        assert "--insecure" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_insecure_serves_every_address(new_service: Callable[..., Service], tmp_path: Path) -> None:
    arguments = ["--host", "0.0.0.0", "--insecure", "--data-dir", tmp_path / "data"]
    service = new_service(arguments=arguments).start()
    port = service.url.rpartition(":")[2]
    assert Client(f"http://127.0.0.1:{port}").get("/health")["status"] == "healthy"


def test_edited_definitions_are_picked_up_without_a_restart(
    shared_service: Service, client: Client
) -> None:
    folder = shared_service.workflows_dir
    file = folder / "edited.yaml"
    file.write_text(yaml.safe_dump(workflow("edited", script("say", "echo one"))))
    assert "edited" in workflow_ids(client)
    first = client.launch("edited")
    file.write_text(yaml.safe_dump(workflow("edited", script("say", "echo two"))))
    second = client.launch("edited")
    assert client.wait(first)["status"] == client.wait(second)["status"] == "SUCCESS"
    assert client.lines(first, "say") == ["one"]
    assert client.lines(second, "say") == ["two"]
    file.write_text("id: edited\nsteps: [{id: say, type: nonsense")
    others = workflow_ids(client)
    assert "hello" in others, "a broken file hides no other"
    assert "edited" in others, "what was good goes on being offered"
    third = client.launch("edited")
    client.wait(third)
    assert client.lines(third, "say") == ["two"]
    assert client.lines(first, "say") == ["one"], "what ran is not touched"
    file.write_text(yaml.safe_dump(workflow("edited", script("say", "echo three"))))
    assert client.wait(client.launch("edited"))["status"] == "SUCCESS"
    file.unlink()
    assert "edited" not in workflow_ids(client)


@pytest.mark.cold
def test_what_init_writes_is_a_service_that_works_from_anywhere(
    new_service: Callable[..., Service], tmp_path: Path
) -> None:
    folder, elsewhere = tmp_path / "tour", tmp_path / "elsewhere"
    elsewhere.mkdir()
    written = run_slipway("init", folder)
    assert written.returncode == 0, written.stderr
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert names == {
        "slipway.yaml", "data/workflows/countdown.yaml", "data/workflows/diamond.yaml",
        "data/workflows/hello.yaml",
    }  # fmt: skip
    config = folder / "slipway.yaml"
    config.write_text(config.read_text() + "\n# mine\n")
    (folder / "data" / "workflows" / "countdown.yaml").unlink()
    assert run_slipway("init", folder).returncode == 0
    assert config.read_text().endswith("# mine\n"), "nothing is overwritten"
    assert run_slipway("init", folder).returncode == 1, "there is nothing left to write"
    for definition in (folder / "data" / "workflows").iterdir():
        assert run_slipway("validate", definition).returncode == 0
    relative = os.path.relpath(config, elsewhere)
    service = new_service(arguments=["--config", relative], cwd=elsewhere).start()
    client = service.client()
    assert workflow_ids(client) == {"countdown", "diamond", "hello"}
    ended = client.wait(client.launch("hello", {"name": "Ada"}))
    assert (ended["status"], ended["outputs"]) == ("SUCCESS", {"greeting": "Hello, Ada!"})
    assert (folder / "data" / "slipway.db").exists()
    assert list(elsewhere.iterdir()) == []
    assert (folder / "data" / "master.key").stat().st_mode & 0o777 == 0o600


def test_check_config_names_every_fault_and_starts_nothing(tmp_path: Path) -> None:
    config = write_config(
        tmp_path, "data_dir: data\napi: {prot: 1}\napi: {port: x}\nweb: {processes: 0}\nother: 1\n"
    )
    checked = run_slipway("check-config", "--config", config)
    assert checked.returncode == USAGE_ERROR
    for fault in ("api: stands twice, first in line 2 (line 3)", "web.processes: ", "other: "):
        assert fault in checked.stderr
    config.write_text("data_dir: data\napi: {port: 010000}\n")
    checked = run_slipway("check-config", "--config", config)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "no fault" in checked.stdout
    assert list(tmp_path.iterdir()) == [config]
    assert run_slipway("check-config", "--config", tmp_path / "none").returncode == USAGE_ERROR


def test_validate_names_every_fault_with_its_line(tmp_path: Path) -> None:
    good, bad, worse = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "worse.yaml"
    good.write_text(yaml.safe_dump(workflow("good", script("a", "true"))))
    bad.write_text(
        "id: bad\nsteps:\n"
        "  - {id: a, type: script, needs: [b], config: {script: 'true'}}\n"
        "  - {id: b, type: script, needs: [a], config: {script: 'true'}}\n"
        "  - id: c\n    type: magic\n    config: {}\n"
        "  - id: d\n    type: command\n    needs: [nobody]\n"
        "    config: {command: echo, args: ['${{ inputs.x }}']}\n"
    )
    worse.write_text("id: [\n")
    checked = run_slipway("validate", good, bad, worse)
    assert checked.returncode == 1
    assert f"{good}: 'good' is valid, 1 step(s)" in checked.stdout
    for words in ("steps[2].type", "nobody", "'x'", "a -> b", "line 6", "line 10", "line 11"):
        assert words in checked.stdout, checked.stdout
    assert f"{worse}: " in checked.stdout
    assert "Traceback" not in checked.stdout + checked.stderr
    assert run_slipway("validate", good).returncode == 0
    assert run_slipway("validate", tmp_path / "missing.yaml").returncode == USAGE_ERROR


def test_users_sign_in_and_see_their_own_only(
    new_service: Callable[..., Service], tmp_path: Path
) -> None:
    hashed = run_slipway("hash-password", "--password", "alice's pass: ü")
    assert hashed.returncode == 0
    assert hashed.stdout.startswith("$argon2id$")
    users = [
        {"username": "alice", "password_hash": hashed.stdout.strip(),
         "roles": ["user", "developer"]},
        {"username": "bob", "password": "bob's pass"},
        {"username": "ops", "password": "ops' pass", "roles": ["operator"]},
    ]  # fmt: skip
    data = tmp_path / "data"
    config = {"data_dir": str(data), "api": {"auth": {"type": "basic", "users": users}}}
    file = write_config(tmp_path, yaml.safe_dump(config))
    service = new_service(arguments=["--config", file]).start()
    alice = service.client("alice", "alice's pass: ü".encode())  # type: ignore[arg-type]
    bob, ops = service.client("bob", "bob's pass"), service.client("ops", "ops' pass")
    nobody = service.client()
    assert service.client("alice", "wrong").send("GET", "/workflows").status_code == 401
    assert service.client("mallory", "x").send("GET", "/workflows").status_code == 401
    refused = nobody.send("GET", "/workflows")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    assert nobody.send("GET", "/health").status_code == 200

    waiting = workflow("mine", script("wait", "echo secret; sleep 600"))
    assert bob.send("PUT", "/workflows/mine", json=waiting).status_code == 403
    execution = alice.run(waiting, {})
    alice.wait(execution, "RUNNING")
    assert_hidden_from(bob, nobody, execution)
    assert bob.get("/executions")["executions"] == []
    assert bob.get("/executions", owner="alice")["executions"] == []
    assert [e["id"] for e in alice.get("/executions")["executions"]] == [execution]
    assert [e["id"] for e in ops.get("/executions")["executions"]] == [execution]
    assert alice.execution(execution)["status"] == "RUNNING", "bob's requests did nothing"
    key = alice.send("POST", "/ssh_keys").json()["id"]
    assert bob.send("DELETE", f"/ssh_keys/{key}").status_code == 404
    assert bob.get("/ssh_keys")["ssh_keys"] == []
    assert ops.cancel(execution).status_code == 202
    assert alice.wait(execution)["status"] == "CANCELLED"
    log = service.log
    assert "bob" in log
    assert "clear" in log, "a password in clear is warned about"
    assert not {word for word in ("bob's pass", "ops' pass", "alice's pass") if word in log}


def assert_hidden_from(stranger: Client, nobody: Client, execution: str) -> None:
    """To others an execution does not exist, on any endpoint that there is."""
    endpoints = [
        (method.upper(), path.replace("{name}", "wait"))
        for path, methods in stranger.get("/openapi.json")["paths"].items()
        for method in methods
        if "{execution_id}" in path and method in {"get", "post", "put", "delete", "patch"}
    ]
    assert len(endpoints) >= 7
    for method, template in endpoints:
        path = template.replace("{execution_id}", execution)
        answer = stranger.send(method, path)
        assert answer.status_code == 404, (method, path, answer.text)
        assert "secret" not in answer.text
        missing = stranger.send(method, template.replace("{execution_id}", "nothing"))
        shown = answer.text.replace(execution, "nothing")  # of two, it says which there is not
        assert (missing.status_code, missing.text) == (404, shown), "no difference shows"
        assert nobody.send(method, path).status_code == 401, (method, path)
    for kind in ("text/event-stream", "application/x-ndjson", "text/plain"):
        path = f"/executions/{execution}/logs"
        assert stranger.send("GET", path, headers={"Accept": kind}).status_code == 404


@pytest.mark.cold
def test_two_web_processes_share_one_port(new_service: Callable[..., Service]) -> None:
    service = new_service(env={"SLIPWAY_WEB__PROCESSES": "2"}).start()
    pids = service.children("web")
    assert len(pids) == 2
    client = service.client()
    execution = client.run(workflow("short", script("say", "echo hello")))
    assert service.client().wait(execution)["status"] == "SUCCESS"
    assert all(service.client().send("GET", "/health").ok for _ in range(20))
    service.stop()
    await_that(lambda: not service.jobs(), "nothing is left")


def test_the_demo_does_all_of_it() -> None:
    shown = run_slipway("demo", "--n", "2000")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for words in (
        "slipway run diamond -i n=2000 -f\n", "303", "CANCELLED", "ssh-ed25519", "and it worked",
        "slipway run diamond -i n=3000000 -f\n",
    ):  # fmt: skip
        assert words in shown.stdout
    serve, run = shown.stdout.splitlines()[-2:]
    assert serve.endswith("slipway serve")
    assert run.endswith("slipway run diamond -i n=3000000 -f")


def test_what_is_told_of_an_answer_and_of_a_body_is_what_the_standard_says(
    service: Service,
) -> None:
    client = service.client()
    assert client.send("POST", "/ssh_keys").reason == "Created"
    definition = b"id: cut\nname: Cut\nsteps: []\n"
    body = iter([definition, b"#" * 2_000_000])  # without a length, so it is sent in chunks
    answer = client.send(
        "POST", "/workflows", data=body, headers={"Content-Type": "application/yaml"}
    )
    assert (answer.status_code, answer.reason) == (413, "Request Entity Too Large")
