"""SSH keys that people make log in: over the API of a running service, with a real sshd."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import hvac
import pytest
from kit.client import Client
from kit.patience import await_that
from kit.secrets import register
from kit.servers.sshd import HOST, USER, SshServer
from kit.servers.vault import DevVault
from kit.service import Service

from app.cli._process import environment_without_settings
from app.clients.key_opener import open_pair
from app.clients.sealing import Sealing
from app.store.database import Database
from app.store.keys import SealedKeys

POLICIES = Path(__file__).parents[2] / "docker" / "vault"
MASTER_KEY = base64.b64encode(b"the master key of these tests 32").decode()


@pytest.fixture
def cluster(ssh_server: SshServer, tmp_path: Path) -> str:
    """A setting: a cluster, of which only the login is used."""
    made = ssh_server.as_cluster("hpc", tmp_path)
    return json.dumps([{"name": "local", "type": "engine"}, made])


@pytest.fixture
def gateway(new_service: Callable[..., Service], cluster: str) -> Service:
    """A service that has this cluster."""
    env = {"SLIPWAY_ORCHESTRATORS": cluster, "SLIPWAY_MASTER_KEY": MASTER_KEY}
    return new_service(env=env).start()


def asked(client: Client, path: str, **body: Any) -> Any:
    """Ask for something that a conductor does, and return what came of it."""
    answer = client.send("POST", path, json=body)
    if answer.status_code == 202:
        told: Any = {}
        await_that(lambda: told.update(client.get(answer.headers["Location"])) or told["result"])
    else:
        assert answer.status_code == 200, answer.text
        told = answer.json()
    assert told["state"] == "DONE", told
    return told["result"]


def memory_holds(pid: int, *secrets: bytes) -> bool:
    """Whether what a process may write of its memory holds one of some texts."""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"(\w+)-(\w+) rw", line)
            if found is None or "[v" in line:
                continue
            first, last = (int(each, 16) for each in found.groups())
            try:
                memory.seek(first)
                text = memory.read(last - first)
            except (OSError, OverflowError):
                continue
            if any(secret in text for secret in secrets):
                return True
    return False


def private_lines(service: Service, key_id: str) -> list[bytes]:
    """Return the lines of a private key that hold what nobody may know."""
    database = Database(f"sqlite:///{service.data_dir}/slipway.db")
    sealed = SealedKeys(database).get(key_id)
    database.dispose()
    assert sealed
    pair = open_pair(Sealing(base64.b64decode(MASTER_KEY)), key_id, sealed)
    lines = str(pair["private_key"]).splitlines()[3:-1]  # those before hold the public half
    for line in lines:
        register(line)  # so logs, audit and command lines are searched for them, too
    return [line.encode() for line in lines]


def children(pid: int) -> list[int]:
    """Return the processes that a process has begun."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for each in tasks for word in each.read_text().split()]


def command(pid: int) -> str:
    """Return the command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


@pytest.mark.cold
def test_a_key_is_made_tried_rotated_and_seen_in_use(
    gateway: Service, ssh_server: SshServer
) -> None:
    client = gateway.client()
    made = client.send("POST", "/ssh_keys", json={"metadata": {"cluster": "hpc"}}).json()
    ssh_server.let_in(f"restrict {made['public_key']}")
    web = gateway.kill("web")  # which made the pair, and had it in memory
    web = gateway.replaced("web", web)
    client = gateway.client()
    told = asked(client, f"/ssh_keys/{made['id']}/test")
    assert told["logs_in"], told
    private = private_lines(gateway, made["id"])
    assert not memory_holds(web, *private), "no web process reads one"
    kept = [path for path in gateway.data_dir.parent.rglob("*") if path.is_file()]
    assert kept
    assert not any(line in path.read_bytes() for path in kept for line in private)
    assert (told["orchestrator"], told["account"]) == ("hpc", USER)
    [listed] = client.get("/ssh_keys")["ssh_keys"]
    assert listed["last_used_at"]
    assert listed["last_succeeded_at"]
    assert listed["authorized_keys"] == f"restrict {made['public_key']}"

    told = asked(client, f"/ssh_keys/{listed['id']}/rotate")
    assert told["state"] == "PREPARED"
    old, new = (key for key in reversed(client.get("/ssh_keys")["ssh_keys"]))
    assert (new["replaces"], new["id"]) == (old["id"], told["new_key"])
    assert new["authorized_keys"] == told["authorized_keys"]
    ssh_server.let_in(told["authorized_keys"])
    told = asked(client, f"/ssh_keys/{listed['id']}/rotate")
    assert told["state"] == "ROTATED", told
    [left] = client.get("/ssh_keys")["ssh_keys"]
    assert (left["id"], left["replaces"]) == (new["id"], None)
    assert left["metadata"] == {"cluster": "hpc"}
    assert asked(client, f"/ssh_keys/{left['id']}/test", orchestrator="hpc")["logs_in"]

    answers = [client.send("GET", path).content for path in ("/ssh_keys", "/audit", "/system")]
    assert all(answers)
    assert not any(line in answer for answer in answers for line in private)

    conductor = gateway.child("conductor")
    [opener] = [pid for pid in children(conductor) if command(pid).endswith("key_opener")]
    secrets = MASTER_KEY.encode(), base64.b64decode(MASTER_KEY)
    assert memory_holds(opener, *secrets), "so the search finds it where it is"
    assert not memory_holds(conductor, *secrets), "the conductor hands it on unread"
    gateway.end()
    await_that(lambda: not Path(f"/proc/{opener}").exists(), "it has ended with the conductor")


def test_what_cannot_be_tried_is_refused_at_once(gateway: Service) -> None:
    client = gateway.client()
    key = client.send("POST", "/ssh_keys").json()["id"]
    for path in ("test", "rotate"):
        for body in ({}, {"orchestrator": "local"}, {"orchestrator": "elsewhere"}):
            answer = client.send("POST", f"/ssh_keys/{key}/{path}", json=body)
            assert answer.status_code == 422, answer.text
            assert "orchestrator" in answer.text
    unknown = "00000000-0000-4000-8000-000000000000"
    assert client.send("POST", f"/ssh_keys/{unknown}/test").status_code == 404
    [listed] = client.get("/ssh_keys")["ssh_keys"]
    assert listed["last_used_at"] is None


def test_the_command_line_tries_and_rotates(gateway: Service, ssh_server: SshServer) -> None:
    def types(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**environment_without_settings(), "SLIPWAY_URL": gateway.url}
        command = [sys.executable, "-m", "slipway.cli", "keys", *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    made = types("create", "--meta", "cluster=hpc")
    assert made.stdout.startswith("restrict ssh-ed25519 "), made.stderr
    ssh_server.let_in(made.stdout.strip())
    key = gateway.client().get("/ssh_keys")["ssh_keys"][0]["id"]
    tried = types("test", key[:4])
    assert (tried.returncode, tried.stderr) == (0, "")
    assert "logs in to" in tried.stdout
    prepared = types("rotate", key)
    assert (prepared.returncode, prepared.stdout[:21]) == (0, "restrict ssh-ed25519 ")
    ssh_server.let_in(prepared.stdout.strip())
    rotated = types("rotate", key)
    assert rotated.returncode == 0
    assert f"has taken the place of {key}" in rotated.stdout
    assert types("test", "ffff").returncode == 4
    types("create")
    newest = gateway.client().get("/ssh_keys")["ssh_keys"][0]["id"]
    not_let_in = types("test", newest, "--orchestrator", "hpc")
    assert not_let_in.returncode == 1
    assert "authorized_keys" in not_let_in.stdout
    assert types("test", newest).returncode == 2, "nothing says where"


def test_a_key_that_is_not_let_in_says_why(gateway: Service) -> None:
    client = gateway.client()
    key = client.send("POST", "/ssh_keys", json={"metadata": {"cluster": "hpc"}}).json()["id"]
    told = asked(client, f"/ssh_keys/{key}/test")
    assert (told["logs_in"], told["reason"]) == (False, "login_refused")
    assert "authorized_keys" in told["message"]
    assert asked(client, f"/ssh_keys/{key}/test")["reason"] == "paused"
    [listed] = client.get("/ssh_keys")["ssh_keys"]
    assert listed["last_used_at"]
    assert listed["last_succeeded_at"] is None
    events = client.get("/audit")["events"]
    tried = [each for each in events if each["action"] == "ssh_keys:test"]
    assert any("login_refused" in str(each) for each in tried), events


def test_what_takes_long_is_told_at_another_address(
    new_service: Callable[..., Service], cluster: str
) -> None:
    """A host that takes connections and says nothing is given up later than the answer waits."""
    with socket.create_server((HOST, 0)) as silent:
        found = json.loads(cluster)
        found[1]["launcher"] |= {"port": silent.getsockname()[1], "connect_timeout": "25s"}
        service = new_service(env={"SLIPWAY_ORCHESTRATORS": json.dumps(found)}).start()
        client = service.client()
        key = client.send("POST", "/ssh_keys", json={"metadata": {"cluster": "hpc"}}).json()["id"]
        answer = client.send("POST", f"/ssh_keys/{key}/test")
        assert answer.status_code == 202, answer.text
        place = answer.headers["Location"]
        assert place == f"/operations/{answer.json()['id']}"
        told = await_that(
            lambda: (found := client.get(f"{place}?wait=20s"))["state"] == "DONE" and found,
            "it was given up",
        )
        assert told["result"]["reason"] == "unreachable"


def test_keys_in_vault_are_read_by_the_conductor_alone(
    new_service: Callable[..., Service],
    cluster: str,
    ssh_server: SshServer,
    vault_server: DevVault,
) -> None:
    web = vault_server.add_role(f"web-{uuid4()}", (POLICIES / "web-policy.hcl").read_text())
    reader = vault_server.add_role(
        f"conductor-{uuid4()}", (POLICIES / "conductor-policy.hcl").read_text()
    )
    vault = {
        "ADDRESS": vault_server.address, "ROLE_ID": web.role_id, "SECRET_ID": web.secret_id,
        "READER__ROLE_ID": reader.role_id, "READER__SECRET_ID": reader.secret_id,
    }  # fmt: skip
    env = {f"SLIPWAY_SSH_KEYS__VAULT__{name}": value for name, value in vault.items()}
    env |= {"SLIPWAY_SSH_KEYS__STORE": "vault", "SLIPWAY_ORCHESTRATORS": cluster}
    client = new_service(env=env).start().client()
    made = client.send("POST", "/ssh_keys", json={"metadata": {"cluster": "hpc"}}).json()
    ssh_server.let_in(f"restrict {made['public_key']}")
    assert asked(client, f"/ssh_keys/{made['id']}/test")["logs_in"]
    told = asked(client, f"/ssh_keys/{made['id']}/rotate")
    ssh_server.let_in(told["authorized_keys"])
    assert asked(client, f"/ssh_keys/{made['id']}/rotate")["state"] == "ROTATED"
    with pytest.raises(hvac.exceptions.InvalidPath):
        vault_server.root.secrets.kv.v2.read_secret_metadata(f"ssh-credentials/{made['id']}")
