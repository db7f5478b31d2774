"""Whether the files for TLS are fit, and what new connections are made by."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from kit.certificates import Authority, Pair
from structlog.testing import capture_logs

from app.cli._tls import check_tls, warn_of_clear_text
from app.cli._tls_socket import tls_context, tls_fields
from app.errors import ConfigError
from app.settings import Settings
from app.settings.edge import TlsSettings


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def settings_of(pair: Pair, **more: object) -> TlsSettings:
    return replace(TlsSettings(enabled=True, cert=pair.cert, key=pair.key), **more)  # type: ignore[arg-type]


def faults_of(tls: TlsSettings) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        check_tls(tls)
    with pytest.raises(ConfigError):
        tls_context(tls)
    return {fault.path: fault.message for fault in caught.value.fields}


def test_fit_files_are_fit(authority: Authority) -> None:
    tls = settings_of(authority.issue("localhost"), client_ca=authority.cert)
    with capture_logs() as logs:
        check_tls(tls)
        context = tls_context(tls)
    assert logs == []
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_OPTIONAL
    old = [c["name"] for c in context.get_ciphers() if c["protocol"] == "TLSv1.2"]
    assert old
    assert all(n.startswith("ECDHE-") and ("GCM" in n or "CHACHA20" in n) for n in old)


def test_files_do_not_count_while_it_is_off() -> None:
    tls = TlsSettings(enabled=False, cert=Path("/nowhere"), key=None, hsts=1.0)
    check_tls(tls)
    assert tls_context(tls) is None


def test_each_faulty_file_is_named(authority: Authority, tmp_path: Path) -> None:
    pair, other = authority.issue("localhost"), authority.issue("other")
    rubbish, empty, pipe = tmp_path / "rubbish", tmp_path / "empty", tmp_path / "pipe"
    rubbish.write_bytes(b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
    empty.touch()
    os.mkfifo(pipe)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    for name in ("cert", "key", "client_ca"):
        for path in (tmp_path / "none", tmp_path, pipe, rubbish, empty, large):
            assert list(faults_of(settings_of(pair, **{name: path}))) == [f"api.tls.{name}"], path
    assert faults_of(settings_of(pair, cert=pair.key)).keys() == {"api.tls.cert"}
    assert faults_of(settings_of(pair, key=pair.cert)).keys() == {"api.tls.key"}
    both = faults_of(TlsSettings(enabled=True))
    assert both == dict.fromkeys(["api.tls.cert", "api.tls.key"], "is needed with 'enabled: true'")
    foreign = faults_of(settings_of(pair, key=other.key))
    assert "does not belong" in foreign["api.tls.key"]
    locked = faults_of(settings_of(authority.issue("locked", password=b"secret")))
    assert locked == {"api.tls.key": "must not need a password"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_cannot_be_read_is_named(authority: Authority) -> None:
    pair = authority.issue("localhost")
    pair.key.chmod(0)
    assert "cannot be read" in faults_of(settings_of(pair))["api.tls.key"]


def test_what_is_doubtful_is_a_warning(authority: Authority) -> None:
    pair = authority.issue("localhost", lasts=timedelta(hours=-1))
    pair.key.chmod(0o644)
    with capture_logs() as logs:
        check_tls(settings_of(pair))
    told = [line["event"] for line in logs]
    assert told == [
        "the certificate has expired",
        "everybody on this machine can read the private key",
    ]


def test_browsers_are_told_for_how_long() -> None:
    assert tls_fields(TlsSettings(hsts=60.0)) == [("Strict-Transport-Security", "max-age=60")]
    assert tls_fields(TlsSettings(hsts=0.0)) == []


@pytest.mark.parametrize(
    ("more", "warns"),
    [
        ({}, True),
        ({"api__host": "127.0.0.1"}, False),
        ({"api__tls": {"enabled": True, "cert": "c", "key": "k"}}, False),
    ],
)
def test_credentials_in_the_clear_are_a_warning(
    make_settings: Callable[..., Settings], more: dict[str, object], warns: bool
) -> None:
    auth = {"type": "basic", "users": [{"username": "ada", "password": "x"}]}
    settings = make_settings(**{"api__auth": auth, "api__host": "0.0.0.0", **more})
    with capture_logs() as logs:
        warn_of_clear_text(settings)
    assert bool(logs) is warns


def test_certificates_of_clients_need_who_signs_them(
    make_settings: Callable[..., Settings],
) -> None:
    for tls in ({}, {"enabled": True, "cert": "c", "key": "k"}, {"client_ca": "ca"}):
        with pytest.raises(ConfigError) as caught:
            make_settings(api__auth={"type": "certificate"}, api__tls=tls)
        assert [fault.path for fault in caught.value.fields] == ["api.tls.client_ca"]
