"""Keys and certificates of users, with a real sshd."""

from __future__ import annotations

import gc
import logging
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)
from kit.servers.sshd import OTHER, USER, SshServer, fingerprint, made_key, signed

from app.clients._ssh import HostKeys, LoginRefused, SshCredential, SshPool, SshTarget
from app.errors import UpstreamUnreachable


@pytest.fixture
def pool(ssh_server: SshServer, tmp_path: Path) -> SshPool:
    file = tmp_path / "known_hosts"
    file.write_text(ssh_server.known_hosts())
    return SshPool(HostKeys(file))


def refusal(pool: SshPool, target: SshTarget, credential: SshCredential) -> str:
    with pool, pytest.raises(LoginRefused) as caught:
        pool.try_login(target, lambda: credential)
    assert credential.private_key not in f"{caught.value!r} {caught.value.detail}"
    return caught.value.message


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_keys_of_each_type(ssh_server: SshServer, pool: SshPool, tmp_path: Path, kind: str) -> None:
    key = made_key(tmp_path / "key", kind)
    ssh_server.authorize(USER, key)

    with pool:
        assert pool.try_login(ssh_server.target, lambda: ssh_server.credential(key))


def test_a_key_as_pkcs8(ssh_server: SshServer, pool: SshPool) -> None:
    key = load_ssh_private_key(ssh_server.key.read_bytes(), None)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    with pool:
        assert pool.try_login(ssh_server.target, lambda: SshCredential(text))


def test_a_wrong_key(ssh_server: SshServer, pool: SshPool, tmp_path: Path) -> None:
    key = made_key(tmp_path / "key")

    said = refusal(pool, ssh_server.target, ssh_server.credential(key))
    assert fingerprint(key) in said
    assert "authorized_keys" in said


def test_an_account_that_does_not_exist(ssh_server: SshServer, pool: SshPool) -> None:
    target = SshTarget(ssh_server.target.host, "nobody-here", ssh_server.port)

    assert "does the account exist" in refusal(pool, target, ssh_server.credential())


def test_a_revoked_key(ssh_server: SshServer, pool: SshPool, tmp_path: Path) -> None:
    key = made_key(tmp_path / "key")
    ssh_server.authorize(USER, key)
    ssh_server.revoke(key)

    assert "revoked" in refusal(pool, ssh_server.target, ssh_server.credential(key))


@pytest.mark.parametrize("text", ["", "rubbish", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_key_that_is_none(ssh_server: SshServer, pool: SshPool, text: str) -> None:
    with pool, pytest.raises(LoginRefused, match="cannot be read"):
        pool.try_login(ssh_server.target, lambda: SshCredential(text))


def test_a_server_that_takes_no_keys(tmp_path: Path) -> None:
    server = SshServer("AuthenticationMethods any", "PubkeyAuthentication no")
    try:
        (tmp_path / "known_hosts").write_text(server.known_hosts())
        with SshPool(HostKeys(tmp_path / "known_hosts")) as pool:
            with pytest.raises(LoginRefused, match="takes no keys"):
                pool.try_login(server.target, server.credential)
    finally:
        server.end()


def test_a_valid_certificate(ssh_server: SshServer, pool: SshPool, tmp_path: Path) -> None:
    key = made_key(tmp_path / "key")
    certificate = signed(key, ssh_server.authority, "-n", USER)

    with pool:
        assert pool.try_login(ssh_server.target, lambda: ssh_server.credential(key, certificate))


def test_an_expired_certificate_is_not_even_offered(
    ssh_server: SshServer, pool: SshPool, tmp_path: Path
) -> None:
    key = made_key(tmp_path / "key")
    certificate = signed(key, ssh_server.authority, "-n", USER, "-V", "20200101:20200102")

    said = refusal(pool, ssh_server.target, ssh_server.credential(key, certificate))
    assert "has expired at 2020-01-" in said
    assert fingerprint(key) in said


def test_a_certificate_for_somebody_else(
    ssh_server: SshServer, pool: SshPool, tmp_path: Path
) -> None:
    key = made_key(tmp_path / "key")
    certificate = signed(key, ssh_server.authority, "-n", OTHER)

    said = refusal(pool, ssh_server.target, ssh_server.credential(key, certificate))
    assert f"it is for {OTHER}" in said


def test_a_certificate_of_another_key(ssh_server: SshServer, pool: SshPool, tmp_path: Path) -> None:
    key, other = made_key(tmp_path / "key"), made_key(tmp_path / "other")
    certificate = signed(other, ssh_server.authority, "-n", USER)

    said = refusal(pool, ssh_server.target, ssh_server.credential(key, certificate))
    assert "is of another key" in said


def test_a_failure_to_give_the_key_is_told_as_it_is(ssh_server: SshServer, pool: SshPool) -> None:
    def away() -> SshCredential:
        raise UpstreamUnreachable("Vault cannot be reached.")

    with pool, pytest.raises(UpstreamUnreachable, match="Vault"):
        pool.try_login(ssh_server.target, away)


def test_the_key_is_asked_for_at_each_connection_and_kept_nowhere(
    ssh_server: SshServer, pool: SshPool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked: list[int] = []

    def credential() -> SshCredential:
        asked.append(1)
        return ssh_server.credential()

    with pool:
        for _ in range(3):
            pool.run(ssh_server.target, credential, "true", timeout_seconds=60, most_bytes=9)
        gc.collect()
        kept = [each for each in gc.get_objects() if isinstance(each, SshCredential)]
        from paramiko import PKey  # noqa: PLC0415

        signing = [k for k in gc.get_objects() if isinstance(k, PKey) and k.can_sign()]
    secret = ssh_server.key.read_text().splitlines()[2]
    assert asked == [1]
    assert not kept
    assert not signing
    assert secret not in caplog.text
