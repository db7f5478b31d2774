"""Commands over SSH, with a real sshd."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.patience import PATIENCE_SECONDS, await_that, in_time
from kit.servers.sshd import HOST, OTHER, SshServer, made_key, public

from app.clients._ssh import (
    HostKeyRefused,
    HostKeys,
    OutputTooLarge,
    Ran,
    SshLimits,
    SshPool,
    SshTarget,
)
from app.errors import UpstreamTimeout, UpstreamUnreachable

MIB = 1024 * 1024


@pytest.fixture
def host_keys(ssh_server: SshServer, tmp_path: Path) -> HostKeys:
    (tmp_path / "known_hosts").write_text(ssh_server.known_hosts())
    return HostKeys(tmp_path / "known_hosts")


@pytest.fixture
def pool(host_keys: HostKeys) -> Iterator[SshPool]:
    before = set(threading.enumerate())
    with SshPool(host_keys) as made:
        yield made
    assert set(threading.enumerate()) <= before


def run(
    pool: SshPool, server: SshServer, command: str, *, stdin: bytes = b"",
    seconds: float = PATIENCE_SECONDS, most_bytes: int = MIB,
) -> Ran:  # fmt: skip
    return pool.run(
        server.target, server.credential, command, stdin=stdin, timeout_seconds=seconds,
        most_bytes=most_bytes,
    )  # fmt: skip


def test_status_and_both_outputs(ssh_server: SshServer, pool: SshPool) -> None:
    ran = run(pool, ssh_server, "echo out; echo err >&2; exit 7")

    assert ran == Ran(7, b"out\n", b"err\n")


def test_the_end_by_a_signal(ssh_server: SshServer, pool: SshPool) -> None:
    assert run(pool, ssh_server, "kill -TERM $$") == Ran(None, b"", b"", "TERM")


def test_much_on_both_ways(ssh_server: SshServer, pool: SshPool) -> None:
    data = bytes(range(256)) * (6 * MIB // 256)
    ran = run(pool, ssh_server, "tee /dev/stderr", stdin=data, most_bytes=64 * MIB)

    assert ran.stdout == data
    assert ran.stderr == data


def test_input_that_nobody_reads(ssh_server: SshServer, pool: SshPool) -> None:
    before = ssh_server.logins
    for _ in range(20):
        assert run(pool, ssh_server, "exec true", stdin=b"x" * 3 * MIB).exit_status == 0

    assert ssh_server.logins == before + 1  # no connection was lost by that


def test_more_output_than_is_wanted(ssh_server: SshServer, pool: SshPool) -> None:
    with pytest.raises(OutputTooLarge):
        run(pool, ssh_server, "head -c 50000000 /dev/zero", most_bytes=MIB)

    assert run(pool, ssh_server, "echo next").stdout == b"next\n"


def test_a_command_that_takes_too_long(ssh_server: SshServer, pool: SshPool) -> None:
    run(pool, ssh_server, "true")
    with pytest.raises(UpstreamTimeout):
        run(pool, ssh_server, "sleep 60", seconds=3)

    assert run(pool, ssh_server, "echo next").stdout == b"next\n"


def test_commands_that_ignore_their_end_take_no_places_for_ever(
    ssh_server: SshServer, pool: SshPool
) -> None:
    run(pool, ssh_server, "true")
    with ThreadPoolExecutor(4) as threads:
        ended = [
            threads.submit(run, pool, ssh_server, "trap '' HUP TERM PIPE; sleep 90", seconds=3)
            for _ in range(12)
        ]
    assert all(isinstance(e.exception(), UpstreamTimeout | UpstreamUnreachable) for e in ended)

    assert run(pool, ssh_server, "echo next").stdout == b"next\n"


def test_a_login_shell_that_prints(ssh_server: SshServer, pool: SshPool) -> None:
    profile = ssh_server.machine.home("slwuser1") / ".bashrc"
    profile.write_text("echo welcome; echo careful >&2\n")
    try:
        ran = run(pool, ssh_server, "echo real")
    finally:
        profile.unlink()

    assert ran == Ran(0, b"welcome\nreal\n", b"careful\n")


def test_a_login_shell_that_runs_nothing(ssh_server: SshServer, pool: SshPool) -> None:
    ssh_server.machine.set_shell("slwuser1", "/usr/sbin/nologin")
    try:
        ran = run(pool, ssh_server, "echo real")
    finally:
        ssh_server.machine.set_shell("slwuser1", "/bin/bash")

    assert ran.exit_status == 1


def test_a_hundred_commands_of_twenty_threads_share_two_connections(
    ssh_server: SshServer, pool: SshPool
) -> None:
    before = ssh_server.logins
    with ThreadPoolExecutor(20) as threads:
        ran = list(threads.map(lambda n: run(pool, ssh_server, f"echo {n}"), range(100)))

    assert [int(each.stdout) for each in ran] == list(range(100))
    assert ssh_server.logins - before <= 2
    assert pool.counts() == {ssh_server.target: (ssh_server.logins - before, 0)}


@pytest.mark.parametrize("setting", ["MaxSessions 1", "MaxSessions 2", "MaxStartups 1:100:1"])
def test_a_server_that_gives_little_room(tmp_path: Path, setting: str) -> None:
    server = SshServer(setting)
    try:
        (tmp_path / "known_hosts").write_text(server.known_hosts())
        with SshPool(HostKeys(tmp_path / "known_hosts")) as pool:
            with ThreadPoolExecutor(8) as threads:
                ran = list(threads.map(lambda n: run(pool, server, f"echo {n}"), range(32)))
        assert [int(each.stdout) for each in ran] == list(range(32))
    finally:
        server.end()


def test_too_many_connections_a_minute_are_not_even_tried(
    ssh_server: SshServer, host_keys: HostKeys
) -> None:
    with SshPool(host_keys, SshLimits(opens_per_minute=2)) as pool:
        for _ in range(2):
            pool.try_login(ssh_server.target, ssh_server.credential)
        before = ssh_server.log.count("Connection from")
        with pytest.raises(UpstreamUnreachable) as caught:
            run(pool, ssh_server, "true")

        assert caught.value.retry_after_seconds
        assert ssh_server.log.count("Connection from") == before


def test_idle_connections_are_closed(ssh_server: SshServer, host_keys: HostKeys) -> None:
    with SshPool(host_keys, SshLimits(idle_seconds=1)) as pool:
        run(pool, ssh_server, "true")
        await_that(lambda: not pool.counts(), "the connection is closed")


def test_connections_of_different_keys_are_not_shared(ssh_server: SshServer, pool: SshPool) -> None:
    one, two = (
        SshTarget(HOST, ssh_server.target.user, ssh_server.port, identity=name) for name in "ab"
    )
    for target in (one, two):
        pool.run(target, ssh_server.credential, "true", timeout_seconds=60, most_bytes=9)

    assert set(pool.counts()) == {one, two}
    pool.forget(one)
    assert set(pool.counts()) == {two}


def test_a_long_command_is_spoken_to(ssh_server: SshServer, pool: SshPool) -> None:
    with pool.open(ssh_server.target, ssh_server.credential, "cat; echo end >&2; exit 4") as cat:
        for _ in range(3):
            cat.write(b"hello")
            assert cat.read(100, PATIENCE_SECONDS) == b"hello"
        with pytest.raises(TimeoutError):
            cat.read(100, 0.1)
        cat.end_input()
        assert cat.read(100, PATIENCE_SECONDS) == b""
        assert await_that(lambda: cat.exit_status) == 4
        assert cat.errors == b"end\n"


def test_closing_ends_a_read_of_another_thread(ssh_server: SshServer, pool: SshPool) -> None:
    process = pool.open(ssh_server.target, ssh_server.credential, "cat")
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(process.read, 100, 3600.0)
        process.close()
        with pytest.raises(UpstreamTimeout):
            reading.result(PATIENCE_SECONDS)
    process.close()


def test_closing_ends_a_write_of_another_thread(ssh_server: SshServer, pool: SshPool) -> None:
    process = pool.open(ssh_server.target, ssh_server.credential, "sleep 90")
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(process.write, b"x" * 20 * MIB, 3600.0)
        process.close()
        with pytest.raises(UpstreamTimeout):
            writing.result(PATIENCE_SECONDS)


def test_closing_the_pool_ends_what_runs(ssh_server: SshServer, host_keys: HostKeys) -> None:
    before = set(threading.enumerate())
    pool = SshPool(host_keys)
    run(pool, ssh_server, "true")
    thread = ThreadPoolExecutor(1)
    running = thread.submit(run, pool, ssh_server, "sleep 90")
    await_that(lambda: pool.counts()[ssh_server.target] == (1, 1))
    in_time(pool.close)

    assert isinstance(running.exception(PATIENCE_SECONDS), UpstreamTimeout | UpstreamUnreachable)
    thread.shutdown()
    assert set(threading.enumerate()) <= before
    with pytest.raises(UpstreamUnreachable):
        run(pool, ssh_server, "true")


def test_the_way_through_another_host(ssh_server: SshServer, tmp_path: Path) -> None:
    inner = SshServer()
    try:
        inner.authorize(inner.target.user, ssh_server.key)
        file = tmp_path / "known_hosts"
        file.write_text(ssh_server.known_hosts() + inner.known_hosts())
        target = SshTarget(HOST, inner.target.user, inner.port, (ssh_server.target,))
        with SshPool(HostKeys(file)) as pool:
            ran = pool.run(
                target, ssh_server.credential, "echo $SSH_CONNECTION",
                timeout_seconds=PATIENCE_SECONDS, most_bytes=MIB,
            )  # fmt: skip
            assert int(ran.stdout.split()[3]) == inner.port
        file.write_text(ssh_server.known_hosts())
        with SshPool(HostKeys(file)) as pool, pytest.raises(HostKeyRefused, match=str(inner.port)):
            pool.try_login(target, ssh_server.credential)
        file.write_text(inner.known_hosts())
        with SshPool(HostKeys(file)) as pool:
            with pytest.raises(HostKeyRefused, match=str(ssh_server.port)):
                pool.try_login(target, ssh_server.credential)
        inner.stop()
        file.write_text(ssh_server.known_hosts() + inner.known_hosts())
        with SshPool(HostKeys(file)) as pool, pytest.raises(UpstreamUnreachable, match="through"):
            pool.try_login(target, ssh_server.credential)
    finally:
        inner.end()


def test_an_account_is_none_of_another_one(
    ssh_server: SshServer, pool: SshPool, tmp_path: Path
) -> None:
    key = made_key(tmp_path / "key")
    ssh_server.authorize(OTHER, key)
    other = SshTarget(HOST, OTHER, ssh_server.port)

    ran = pool.run(
        other, lambda: ssh_server.credential(key), "id -un", timeout_seconds=60, most_bytes=99
    )
    assert ran.stdout.decode().strip() == OTHER
    assert run(pool, ssh_server, "id -un").stdout.decode().strip() == ssh_server.target.user
    assert public(key)
