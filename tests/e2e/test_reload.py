"""SIGHUP: the settings are read again, and nobody who is connected is left without an answer."""

from __future__ import annotations

import base64
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from kit.certificates import Authority
from kit.guarded import root_looks_into_them
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service, clean_environment, is_alive, run_slipway, slipway

Make = Callable[..., Service]

ADA, BOB = {"username": "ada", "password": "one"}, {"username": "bob", "password": "two"}


class File:
    """A settings file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "slipway.yaml"
        self.path.touch(0o600)

    def write(self, *users: dict[str, Any], **api: Any) -> None:
        auth = {"type": "basic", "users": list(users), "recheck": "200ms"}
        self.path.write_text(yaml.safe_dump({"api": {**api, "auth": auth}}), encoding="utf-8")


def started(new_service: Make, file: File, tmp_path: Path, processes: int = 2) -> Service:
    env = {"SLIPWAY_WEB__PROCESSES": str(processes), "SLIPWAY_DATA_DIR": str(tmp_path / "data")}
    return new_service(env=env, arguments=["--config", file.path]).start()


def status(service: Service, user: dict[str, Any], password: str = "") -> int:
    auth = (user["username"], password or user["password"])
    answer = requests.get(f"{service.url}/workflows", auth=auth, timeout=PATIENCE_SECONDS)
    return answer.status_code


def always(service: Service, user: dict[str, Any], wanted: int, password: str = "") -> bool:
    """Whether every process says so; the kernel spreads connections over them."""
    return {status(service, user, password) for _ in range(12)} == {wanted}


@pytest.mark.cold
def test_users_are_others_on_every_process_and_no_request_is_lost(
    new_service: Make, tmp_path: Path
) -> None:
    file = File(tmp_path)
    file.write(ADA, BOB)
    service = started(new_service, file, tmp_path)
    before = set(service.children("web"))
    assert status(service, BOB) == 200
    file.write({**ADA, "password": "new"})
    service.send(signal.SIGHUP)

    def is_taken_up() -> bool:
        assert status(service, ADA, "new") in {200, 401, 429}, "each request is answered"
        return len(set(service.children("web")) - before) == 2

    await_that(is_taken_up, "both processes are new ones")
    await_that(lambda: always(service, ADA, 200, "new"), "the new password counts everywhere")
    assert status(service, ADA) == 401
    assert status(service, BOB) == 401
    assert is_alive(service.pid)


def test_a_file_with_faults_keeps_what_was_before_and_says_each(
    new_service: Make, tmp_path: Path
) -> None:
    file = File(tmp_path)
    file.write(ADA)
    service = started(new_service, file, tmp_path, 1)
    web, conductor = service.child("web"), service.child("conductor")
    file.write({**ADA, "roles": ["king"]}, max_body_bytes="x", cors={"origins": ["*"]})
    service.send(signal.SIGHUP)
    await_that(lambda: "the settings have faults" in service.log, "they are told")
    for fault in ("api.max_body_bytes", "api.cors.origins[0]", "api.auth.users[0].roles[0]"):
        await_that(lambda fault=fault: fault in service.log, fault)
    assert status(service, ADA) == 200
    assert (service.child("web"), service.child("conductor")) == (web, conductor)


def test_a_new_certificate_is_taken_up_and_connections_go_on(
    new_service: Make, tmp_path: Path
) -> None:
    authority, file = Authority(tmp_path / "ca"), File(tmp_path)
    pair = authority.issue("localhost")
    file.write(ADA, tls={"enabled": True, "cert": "ca/localhost.cert.pem", "key": str(pair.key)})
    service = started(new_service, file, tmp_path, 1)
    web, port = service.child("web"), int(service.url.rpartition(":")[2])

    def connect() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        return authority.client().wrap_socket(plain, server_hostname="localhost")

    def serial() -> Any:
        with connect() as made:
            return made.getpeercert()["serialNumber"]  # type: ignore[index]

    with connect() as kept:
        first = serial()
        good = pair.cert.read_bytes()
        pair.cert.write_bytes(b"rubbish")
        service.send(signal.SIGHUP)
        await_that(lambda: "api.tls.cert: must hold a certificate" in service.log, "it is told")
        assert serial() == first, "the old one stays"
        pair.cert.write_bytes(good)
        authority.issue("localhost")
        service.send(signal.SIGHUP)
        await_that(lambda: serial() != first, "the new one is shown")
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert kept.recv(100).startswith(b"HTTP/1.1 200 ")
    assert service.child("web") == web


def test_a_stream_goes_on_with_another_process_where_it_was(
    new_service: Make, tmp_path: Path
) -> None:
    file = File(tmp_path)
    file.write(ADA)
    service = started(new_service, file, tmp_path, 1)
    web = service.child("web")
    with requests.get(
        f"{service.url}/executions/events", auth=("ada", "one"), stream=True,
        headers={"Accept": "text/event-stream"}, timeout=PATIENCE_SECONDS,
    ) as stream:  # fmt: skip
        assert stream.status_code == 200
        file.write(ADA, BOB)
        os.kill(service.pid, signal.SIGHUP)
        told = b"".join(stream.iter_content(None))
    assert b"moved" in told, "it is told where to go on"
    await_that(lambda: service.children("web") not in ([], [web]), "another process")
    await_that(lambda: status(service, BOB) == 200, "the new user")


@pytest.mark.parametrize("command", ["serve", "web", "conductor"])
def test_hangups_end_no_process_that_starts_or_becomes_another(
    command: str, tmp_path: Path
) -> None:
    file = File(tmp_path)
    file.write(ADA)
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    env = clean_environment(
        {"NOTIFY_SOCKET": str(tmp_path / "notify"), "SLIPWAY_WEB__PROCESSES": "1"}
    )
    options = ["--config", file.path, "--data-dir", tmp_path / "data"]
    assert run_slipway("migrate", *options).returncode == 0
    more = [] if command == "conductor" else ["--port", "0"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            slipway(command, *options, *more), env=env, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log,
        )  # fmt: skip
    try:
        await_that(lambda: is_ignored(process.pid, signal.SIGHUP), "it survives SIGHUP")

        def is_ready() -> bool:
            assert process.poll() is None
            process.send_signal(signal.SIGHUP)
            return b"READY=1" in received(told)

        await_that(is_ready, "it is at work")
        if command != "serve":  # whose processes have a supervisor
            file.write(ADA, BOB)
            await_that(is_ready, "it has become one with the new settings")
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        told.close()


def test_a_conductor_that_becomes_another_one_still_has_the_master_key(tmp_path: Path) -> None:
    """It leaves the environment, where commands could find it, and waits in memory for its use."""
    root_looks_into_them()
    key = base64.b64encode(b"the master key of these tests 32")
    file, folder = tmp_path / "slipway.yaml", tmp_path / "data"
    file.write_text("observability: {log_level: INFO}\n")
    options = ["--config", file, "--data-dir", folder]
    assert run_slipway("migrate", *options).returncode == 0
    process = subprocess.Popen(
        slipway("conductor", *options), env=clean_environment({"SLIPWAY_MASTER_KEY": key.decode()}),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    environ, command = (Path(f"/proc/{process.pid}/{name}") for name in ("environ", "cmdline"))
    try:
        await_that(lambda: held_keys(process.pid) == {(key, True)}, "it has it")
        await_that(lambda: key not in environ.read_bytes(), "and the environment has not")
        file.write_text("observability: {log_level: WARNING}\n")

        def is_another() -> bool:
            process.send_signal(signal.SIGHUP)
            return b"--master-key-fd" in command.read_bytes()

        await_that(lambda: catches(process.pid, signal.SIGHUP), "it can read its settings again")
        await_that(is_another, "it has become another one")
        await_that(lambda: held_keys(process.pid) == {(key, True)}, "which has it, and hands it on")
        assert key not in environ.read_bytes()
        await_that(lambda: catches(process.pid, signal.SIGTERM), "it can be stopped")
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def held_keys(pid: int) -> set[tuple[bytes, bool]]:
    """Return what a process holds in files in memory, and whether its children get none of it."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if "memfd:master-key" in str(link.readlink()):
                flags = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split("flags:")[1]
                is_closed = bool(int(flags.split()[0], 8) & os.O_CLOEXEC)
                found.add((link.read_bytes(), is_closed))
    return found


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal: proc(5), SigCgt."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) & 1 << (number - 1))


def is_ignored(pid: int, number: int) -> bool:
    """Whether a process ignores a signal: proc(5), SigIgn."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return bool(int(status.partition("SigIgn:")[2].split()[0], 16) & 1 << (number - 1))


def received(told: socket.socket) -> set[bytes]:
    """Take all that has come."""
    found = set()
    with suppress(BlockingIOError):
        while True:
            found.add(told.recv(4096, socket.MSG_DONTWAIT))
    return found
