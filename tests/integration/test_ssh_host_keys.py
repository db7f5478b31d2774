"""Whether a server is the one that is meant, with a real sshd."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from kit.patience import PATIENCE_SECONDS
from kit.servers.sshd import HOST, KEY_TYPES, SshServer, fingerprint, made_key, public, signed

from app.clients._ssh import HostKeyRefused, HostKeys, SshPool

CHANGES = pytest.mark.parametrize("kind", KEY_TYPES)


def used() -> None:
    raise AssertionError("the key was used")


def logs_in(server: SshServer, host_keys: HostKeys) -> str:
    with SshPool(host_keys) as pool:
        return pool.try_login(server.target, server.credential).host_key


def refused(server: SshServer, host_keys: HostKeys) -> HostKeyRefused:
    with SshPool(host_keys) as pool, pytest.raises(HostKeyRefused) as caught:
        pool.run(server.target, used, "true", timeout_seconds=PATIENCE_SECONDS, most_bytes=9)
    return caught.value


def in_file(tmp_path: Path, text: str) -> HostKeys:
    file = tmp_path / "known_hosts"
    file.write_text(text)
    return HostKeys(file)


@CHANGES
def test_the_one_key_that_is_known_is_asked_for(
    ssh_server: SshServer, tmp_path: Path, kind: str
) -> None:
    shown = logs_in(ssh_server, in_file(tmp_path, ssh_server.known_hosts([kind])))

    assert shown == fingerprint(ssh_server.keys[kind])


def test_hashed_names_are_found(ssh_server: SshServer, tmp_path: Path) -> None:
    host_keys = in_file(tmp_path, ssh_server.known_hosts())
    subprocess.run(
        ["ssh-keygen", "-H", "-f", tmp_path / "known_hosts"], check=True, capture_output=True
    )
    assert HOST not in (tmp_path / "known_hosts").read_text()

    assert logs_in(ssh_server, host_keys)


def test_a_server_that_nobody_knows_is_refused_before_the_key_is_asked_for(
    ssh_server: SshServer, tmp_path: Path
) -> None:
    error = refused(ssh_server, in_file(tmp_path, ""))

    assert error.fingerprint == fingerprint(ssh_server.keys["ed25519"])
    assert error.fingerprint in error.message
    assert logs_in(ssh_server, in_file(tmp_path, error.line)) == error.fingerprint


def test_a_server_with_another_key_than_before_is_refused(
    ssh_server: SshServer, tmp_path: Path
) -> None:
    other = made_key(tmp_path / "other")
    error = refused(ssh_server, in_file(tmp_path, f"[{HOST}]:{ssh_server.port} {public(other)}"))

    assert fingerprint(other) in error.message
    assert "new key" in error.message


def test_a_change_of_the_file_counts_at_once(ssh_server: SshServer, tmp_path: Path) -> None:
    with SshPool(in_file(tmp_path, "")) as pool:
        with pytest.raises(HostKeyRefused):
            pool.try_login(ssh_server.target, used)  # type: ignore[arg-type]
        in_file(tmp_path, ssh_server.known_hosts())
        assert pool.try_login(ssh_server.target, ssh_server.credential)


@CHANGES
def test_a_pinned_fingerprint_needs_no_file(ssh_server: SshServer, kind: str) -> None:
    key = ssh_server.keys[kind]
    pin = f"{public(key).split()[0]} {fingerprint(key)}"

    assert logs_in(ssh_server, HostKeys(None, {(HOST, ssh_server.port): [pin]}))


def test_a_fingerprint_of_another_key_is_refused(ssh_server: SshServer, tmp_path: Path) -> None:
    other = fingerprint(made_key(tmp_path / "other"))
    error = refused(ssh_server, HostKeys(None, {(HOST, ssh_server.port): [other]}))

    assert other in error.message
    assert error.fingerprint in error.message


def test_a_revoked_host_key_is_refused(ssh_server: SshServer, tmp_path: Path) -> None:
    revoked = f"@revoked * {public(ssh_server.keys['ed25519'])}\n"
    error = refused(ssh_server, in_file(tmp_path, revoked + ssh_server.known_hosts(["ed25519"])))

    assert "revoked" in error.message


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["-h", "-n", HOST], ""),
        (["-h", "-n", "elsewhere"], "it is for elsewhere"),
        (["-h"], "no server by name"),
        (["-n", HOST], "not a certificate of a host"),
        (["-h", "-n", HOST, "-V", "20200101:20200102"], "has expired"),
        (["-h", "-n", HOST, "-V", "20400101:20410101"], "not valid before"),
    ],
)
def test_certificates_of_hosts(tmp_path: Path, options: list[str], fault: str) -> None:
    server = SshServer()
    try:
        signed(server.keys["ed25519"], server.authority, *options)
        server.configure(f"HostCertificate {server.keys['ed25519']}-cert.pub")
        server.stop()
        server.start()
        host_keys = in_file(
            tmp_path, f"@cert-authority [{HOST}]:{server.port} {public(server.authority)}\n"
        )

        if fault:
            assert fault in refused(server, host_keys).message
        else:
            assert logs_in(server, host_keys) == fingerprint(server.keys["ed25519"])
    finally:
        server.end()


def test_somebody_else_cannot_vouch_for_a_host(tmp_path: Path) -> None:
    server = SshServer()
    try:
        signed(server.keys["ed25519"], server.authority, "-h", "-n", HOST)
        server.configure(f"HostCertificate {server.keys['ed25519']}-cert.pub")
        server.stop()
        server.start()
        other = public(made_key(tmp_path / "other"))

        error = refused(server, in_file(tmp_path, f"@cert-authority * {other}\n"))
        assert "@cert-authority" in error.message
    finally:
        server.end()
