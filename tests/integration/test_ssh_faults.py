"""Servers that end, hang or never speak, and networks that are cut."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.patience import PATIENCE_SECONDS, await_that, in_time
from kit.servers.cable import Cable
from kit.servers.sshd import HOST, SshServer

from app.clients._ssh import HostKeys, Ran, SshLimits, SshPool, SshTarget
from app.errors import UpstreamTimeout, UpstreamUnreachable

QUICK = SshLimits(connect_seconds=5, channel_seconds=5, keep_alive_seconds=1, silence_seconds=4)


@pytest.fixture
def host_keys(ssh_server: SshServer, tmp_path: Path) -> HostKeys:
    (tmp_path / "known_hosts").write_text(ssh_server.known_hosts())
    return HostKeys(tmp_path / "known_hosts")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t for t in set(threading.enumerate()) - before if t.name.startswith("ssh")]
    assert not left


def run(
    pool: SshPool, server: SshServer, command: str, seconds: float = PATIENCE_SECONDS,
    target: SshTarget | None = None,
) -> Ran:  # fmt: skip
    return pool.run(
        target or server.target, server.credential, command, timeout_seconds=seconds,
        most_bytes=9999,
    )  # fmt: skip


def login(pool: SshPool, server: SshServer, host: str, port: int) -> None:
    pool.try_login(SshTarget(host, server.target.user, port), server.credential)


def test_a_server_that_is_not_there(ssh_server: SshServer, host_keys: HostKeys) -> None:
    ssh_server.stop()
    try:
        with SshPool(host_keys) as pool, pytest.raises(UpstreamUnreachable, match="refused"):
            run(pool, ssh_server, "true")
    finally:
        ssh_server.start()


def test_a_name_that_nobody_has(ssh_server: SshServer, host_keys: HostKeys) -> None:
    with SshPool(host_keys, QUICK) as pool, pytest.raises(UpstreamUnreachable, match="name"):
        login(pool, ssh_server, "nowhere.invalid", 22)


@pytest.mark.parametrize("says", [b"", b"hello\r\n", b"SSH-2.0-mute\r\n"])
def test_a_server_that_never_speaks(
    ssh_server: SshServer, host_keys: HostKeys, says: bytes
) -> None:
    with socket.create_server((HOST, 0)) as listener, SshPool(host_keys, QUICK) as pool:
        with ThreadPoolExecutor(1) as threads:
            trying = threads.submit(login, pool, ssh_server, HOST, listener.getsockname()[1])
            connection, _ = listener.accept()
            with connection:
                connection.sendall(says)
                with pytest.raises(UpstreamUnreachable, match="does not answer"):
                    trying.result(PATIENCE_SECONDS)


def test_a_server_that_speaks_for_ever(ssh_server: SshServer, host_keys: HostKeys) -> None:
    with socket.create_server((HOST, 0)) as listener, SshPool(host_keys) as pool:
        with ThreadPoolExecutor(2) as threads:
            threads.submit(_speak, listener)
            with pytest.raises(UpstreamUnreachable):
                login(pool, ssh_server, HOST, listener.getsockname()[1])


def _speak(listener: socket.socket) -> None:
    for _ in range(3):
        connection, _ = listener.accept()
        with connection:
            try:
                while True:
                    connection.sendall(b"x" * 4096)
            except OSError:
                pass


def test_closing_ends_an_attempt_to_connect(ssh_server: SshServer, host_keys: HostKeys) -> None:
    pool = SshPool(host_keys, SshLimits(connect_seconds=3600))
    with socket.create_server((HOST, 0)) as listener, ThreadPoolExecutor(1) as threads:
        target = SshTarget(HOST, ssh_server.target.user, listener.getsockname()[1])
        trying = threads.submit(run, pool, ssh_server, "true", 3600, target)
        connection, _ = listener.accept()
        with connection:
            in_time(pool.close)
            with pytest.raises(UpstreamUnreachable):
                trying.result(PATIENCE_SECONDS)


def test_the_end_of_the_server_in_the_middle(ssh_server: SshServer, host_keys: HostKeys) -> None:
    with SshPool(host_keys) as pool, ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, pool, ssh_server, "echo begun; sleep 90")
        await_that(lambda: pool.counts().get(ssh_server.target) == (1, 1))
        await_that(lambda: "Starting session" in ssh_server.log)
        ssh_server.signal_sessions(signal.SIGKILL)
        with pytest.raises(UpstreamTimeout):
            running.result(PATIENCE_SECONDS)
        assert run(pool, ssh_server, "echo next").stdout == b"next\n"


def test_a_server_that_stands_still_in_the_middle(
    ssh_server: SshServer, host_keys: HostKeys
) -> None:
    with SshPool(host_keys, QUICK) as pool, ThreadPoolExecutor(1) as threads:
        process = pool.open(ssh_server.target, ssh_server.credential, "cat")
        ssh_server.signal_sessions(signal.SIGSTOP)
        try:
            with pytest.raises(UpstreamTimeout):
                threads.submit(process.read, 9, 3600.0).result(PATIENCE_SECONDS)
        finally:
            ssh_server.signal_sessions(signal.SIGCONT)
            process.close()
        assert run(pool, ssh_server, "echo next").stdout == b"next\n"


@pytest.fixture
def cable(ssh_server: SshServer, tmp_path: Path) -> Iterator[Cable]:
    made = Cable(ssh_server.port)
    (tmp_path / "known_hosts").write_text(ssh_server.known_hosts(port=made.port))
    yield made
    made.close()


def through(cable: Cable, server: SshServer) -> SshTarget:
    return SshTarget(HOST, server.target.user, cable.port)


def test_a_cut_is_noticed_by_who_reads(
    ssh_server: SshServer, host_keys: HostKeys, cable: Cable
) -> None:
    with SshPool(host_keys, QUICK) as pool:
        process = pool.open(through(cable, ssh_server), ssh_server.credential, "cat")
        cable.go_silent()
        with pytest.raises(UpstreamTimeout):
            process.read(9, 3600.0)
        process.close()


def test_a_cut_is_noticed_by_who_writes(
    ssh_server: SshServer, host_keys: HostKeys, cable: Cable
) -> None:
    with SshPool(host_keys, QUICK) as pool:
        process = pool.open(through(cable, ssh_server), ssh_server.credential, "cat >/dev/null")
        cable.go_silent()
        with pytest.raises(UpstreamTimeout):
            process.write(b"x" * 30_000_000, 3600.0)


def test_a_kept_connection_that_was_cut_costs_no_command(
    ssh_server: SshServer, host_keys: HostKeys, cable: Cable
) -> None:
    with SshPool(host_keys, SshLimits(channel_seconds=3)) as pool:
        target = through(cable, ssh_server)
        run(pool, ssh_server, "true", target=target)
        cable.go_silent()
        marker = ssh_server.machine.home(ssh_server.target.user) / "runs"
        ran = run(pool, ssh_server, "echo once >> runs; cat runs", target=target)

        assert ran.stdout == b"once\n"
        marker.unlink()


def test_a_network_that_is_down(ssh_server: SshServer, host_keys: HostKeys, cable: Cable) -> None:
    with SshPool(host_keys, QUICK) as pool:
        cable.die()
        with pytest.raises(UpstreamUnreachable):
            run(pool, ssh_server, "true", target=through(cable, ssh_server))
        cable.mend()
        assert run(pool, ssh_server, "echo up", target=through(cable, ssh_server)).exit_status == 0


def test_who_waits_for_an_attempt_shares_its_failure(
    ssh_server: SshServer, host_keys: HostKeys, cable: Cable
) -> None:
    cable.die()
    with SshPool(host_keys, QUICK) as pool, ThreadPoolExecutor(20) as threads:
        target = through(cable, ssh_server)
        ended = [threads.submit(run, pool, ssh_server, "true", 240, target) for _ in range(20)]
        told = [each.exception(PATIENCE_SECONDS) for each in ended]

    assert all(isinstance(each, UpstreamUnreachable) for each in told)
    assert not any("begun within a minute" in str(each) for each in told)
