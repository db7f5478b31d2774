"""The service over TLS, as its users start and use it, with real certificates."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
import websocket
from kit.certificates import Authority
from kit.definitions import script, workflow
from kit.guarded import root_looks_into_them
from kit.patience import PATIENCE_SECONDS
from kit.service import Service, run_slipway

Make = Callable[..., Service]

CERTIFICATE_FIELDS = (
    "X-SSL-Client-Cert", "X-SSL-Client-S-DN", "SSL-Client-Cert", "X-Client-Cert", "Client-Cert",
    "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-ARR-ClientCert", "X-Remote-User",
    "Remote-User", "slipway.certificate",
)  # fmt: skip
"""How proxies tell of a certificate (among them RFC 9440), and what looks like it inside."""
LINES = "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done"
ADA = {"username": "ada", "password": "x"}


def secured(
    new_service: Make, authority: Authority, arguments: Sequence[object] = (), **more: object
) -> Service:
    pair = authority.issue("localhost")
    env = {"ENABLED": "true", "CERT": pair.cert, "KEY": pair.key, "CLIENT_CA": authority.cert}
    made = {f"SLIPWAY_API__TLS__{name}": str(value) for name, value in env.items()}
    texts = {name: str(value) for name, value in more.items()}
    return new_service(env={**made, **texts}, arguments=arguments)


def test_everything_goes_over_it(new_service: Make, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    service = secured(new_service, authority)
    service.workflows_dir.mkdir(parents=True)
    flow = json.dumps(workflow("flow", script("say", LINES)))
    (service.workflows_dir / "flow.yaml").write_text(flow, encoding="utf-8")
    service.start()
    assert service.url.startswith("https://")
    with requests.Session() as session:
        session.verify, session.trust_env = str(authority.cert), False
        launched = session.post(f"{service.url}/workflows/flow", timeout=PATIENCE_SECONDS)
        assert launched.status_code == 201
        execution = launched.headers["Location"].rpartition("/")[2]
        logs = f"{service.url}/executions/{execution}/logs"
        stream = session.get(
            logs, headers={"Accept": "text/event-stream"}, stream=True, timeout=PATIENCE_SECONDS
        )
        told = [line for line in stream.iter_lines() if b'"line ' in line]
        assert len(told) == 5
        page = session.get(f"{logs}?timeout=5s&levels=15", timeout=PATIENCE_SECONDS).json()
        assert sum("line " in json.dumps(entry) for entry in page["logs"]) == 5
    socket = websocket.create_connection(
        f"{service.url.replace('https', 'wss')}/executions/{execution}/ws",
        sslopt={"ca_certs": str(authority.cert)}, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    messages = read_all(socket)
    assert sum('"line ' in message for message in messages) == 5
    assert "Traceback" not in service.log


def read_all(socket: Any) -> list[str]:
    messages = []
    while message := socket.recv():
        messages.append(message)
    return messages


def test_a_client_is_whom_its_certificate_names(new_service: Make, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "other", "other")
    users = tmp_path / "slipway.yaml"
    users.write_text(json.dumps({"api": {"auth": {"type": "certificate", "users": [ADA]}}}))
    users.chmod(0o600)
    service = secured(
        new_service, authority, arguments=["--config", users], SLIPWAY_DATA_DIR=tmp_path / "data",
    )  # fmt: skip
    service.start()

    def status(pair: Any, **claims: str) -> int:
        answer = requests.get(
            f"{service.url}/workflows", verify=str(authority.cert), timeout=PATIENCE_SECONDS,
            cert=pair and (str(pair.cert), str(pair.key)), headers=claims,
        )  # fmt: skip
        return answer.status_code

    assert status(authority.issue("ada")) == 200
    assert status(authority.issue("eve")) == 401
    assert status(None) == 401
    pem = quote(authority.issue("ada").cert.read_text())
    for name in CERTIFICATE_FIELDS:
        for claim in (pem, "CN=ada", "ada", "SUCCESS"):
            assert status(None, **{name: claim, "X-SSL-Client-Verify": "SUCCESS"}) == 401, name
    try:
        refused = status(stranger.issue("ada")) == 401
    except requests.exceptions.ConnectionError as exc:
        refused = isinstance(exc, requests.exceptions.SSLError) or "alert" in str(exc)
    assert refused, "it is signed by somebody else"


def test_nothing_starts_with_files_that_do_not_fit(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, other = authority.issue("localhost"), authority.issue("other")
    env = {
        "SLIPWAY_API__TLS__ENABLED": "true", "SLIPWAY_API__TLS__CERT": str(pair.cert),
        "SLIPWAY_API__TLS__KEY": str(other.key), "SLIPWAY_DATA_DIR": str(tmp_path / "data"),
        "SLIPWAY_API__PORT": "0",
    }  # fmt: skip
    for command in ("serve", "web", "check-config"):
        done = run_slipway(command, env=env)
        assert done.returncode == 2, command
        assert "api.tls.key: does not belong" in done.stderr


def test_without_the_api_there_is_no_listener(new_service: Make, tmp_path: Path) -> None:
    root_looks_into_them()
    service = new_service(env={"SLIPWAY_API__ENABLED": "false"})
    service.start()
    assert service.url == "nowhere"
    assert service.child("conductor")
    assert not [pid for pid in [service.pid, *service.children()] if listens(pid)]
    assert service.stop() >= 0.0
    env = {"SLIPWAY_API__ENABLED": "false", "SLIPWAY_DATA_DIR": str(tmp_path / "data")}
    done = run_slipway("web", env=env)
    assert done.returncode == 2
    assert "api.enabled: is false" in done.stderr


def listens(pid: int) -> bool:
    """Whether a process holds a socket that listens for TCP."""
    inodes = set()
    for path in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{path}").read_text(encoding="ascii").splitlines()[1:]:
            if line.split()[3] == "0A":
                inodes.add(f"socket:[{line.split()[9]}]")
    descriptors = Path(f"/proc/{pid}/fd").iterdir()
    return any(str(fd.readlink()) in inodes for fd in descriptors)
