"""What known_hosts files and fingerprints say of a server."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from pathlib import Path

import pytest

from app.clients._ssh_hosts import HostKeys, fingerprint, key_type, read_known_hosts
from app.clients._ssh_opens import Opens
from app.clients._ssh_terms import HostKeyRefused, SshCredential, SshTarget
from app.errors import ConfigError, UpstreamUnreachable

HOST = SshTarget("login.example.org", "ada")
ODD = SshTarget("login.example.org", "ada", port=2222)


def blob(kind: str, rest: str) -> bytes:
    return len(kind).to_bytes(4, "big") + kind.encode() + rest.encode()


ED, RSA, EVIL = (
    blob("ssh-ed25519", "one"), blob("ssh-rsa", "two"), blob("ssh-ed25519", "evil")
)  # fmt: skip


def line(names: str, key: bytes, mark: str = "") -> str:
    return f"{mark} {names} {key_type(key)} {b64encode(key).decode()} a comment\n".lstrip()


def hashed(address: str) -> str:
    salt = b"12345678901234567890"
    digest = hmac.new(salt, address.encode(), hashlib.sha1).digest()
    return f"|1|{b64encode(salt).decode()}|{b64encode(digest).decode()}"


def known(tmp_path: Path, text: str, **pins: list[str]) -> HostKeys:
    file = tmp_path / "known_hosts"
    file.write_text(text)
    return HostKeys(file, {(HOST.host, 22): pins["pins"]} if pins else None)


@pytest.mark.parametrize(
    ("names", "target", "fits"),
    [
        ("login.example.org", HOST, True),
        ("LOGIN.example.org", HOST, True),
        ("other,login.example.org", HOST, True),
        ("*.example.org", HOST, True),
        ("login?.example.org", HOST, False),
        ("*.example.org,!login.example.org", HOST, False),
        ("!other.example.org", HOST, False),
        ("login.example.org", ODD, False),
        ("[login.example.org]:2222", ODD, True),
        ("[*.example.org]:2222", ODD, True),
        ("[login.example.org]:2222", HOST, False),
        (hashed("login.example.org"), HOST, True),
        (hashed("[login.example.org]:2222"), ODD, True),
        (hashed("login.example.org"), ODD, False),
        ("|1|%%%|%%%", HOST, False),
        ("|2|YQ==|YQ==", HOST, False),
        ("|1|YQ==", HOST, False),
    ],
)
def test_names_of_a_line(tmp_path: Path, names: str, target: SshTarget, fits: bool) -> None:
    expected = known(tmp_path, line(names, ED)).expected(target)

    assert bool(expected.keys) is fits


def test_lines_without_sense_are_left_out() -> None:
    text = "\n".join(
        [
            "",
            "# login.example.org ssh-ed25519 AAAA",
            "login.example.org",
            "login.example.org ssh-ed25519 %%%",
            "login.example.org ssh-rsa " + b64encode(ED).decode(),
            "@other login.example.org ssh-ed25519 " + b64encode(ED).decode(),
            "@revoked",
            "\x00\xff",
        ]
    )

    assert not list(read_known_hosts(text))


def test_what_is_known_is_asked_for_first(tmp_path: Path) -> None:
    asked = known(tmp_path, line(HOST.host, RSA)).expected(HOST).algorithms

    assert asked[:3] == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519")
    assert not any("cert" in each for each in asked)


def test_certificates_are_asked_for_where_somebody_may_vouch(tmp_path: Path) -> None:
    asked = known(tmp_path, line("*", ED, "@cert-authority")).expected(HOST).algorithms

    assert asked[0] == "ssh-ed25519-cert-v01@openssh.com"


def test_a_known_key_is_taken(tmp_path: Path) -> None:
    expected = known(tmp_path, line(HOST.host, RSA) + line(HOST.host, ED)).expected(HOST)

    assert expected.check(ED) == fingerprint(ED)
    assert expected.check(RSA) == fingerprint(RSA)


def test_another_key_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    with pytest.raises(HostKeyRefused) as caught:
        known(tmp_path, line(HOST.host, ED)).expected(HOST).check(EVIL)

    assert fingerprint(EVIL) in caught.value.message
    assert fingerprint(ED) in caught.value.message
    assert not caught.value.retryable


def test_an_unknown_key_is_refused_with_what_would_accept_it(tmp_path: Path) -> None:
    with pytest.raises(HostKeyRefused) as caught:
        HostKeys().expected(ODD).check(ED)
    accepted = known(tmp_path, caught.value.line)
    pinned = HostKeys(None, {(ODD.host, ODD.port): [caught.value.fingerprint]})

    assert accepted.expected(ODD).check(ED) == fingerprint(ED)
    assert pinned.expected(ODD).check(ED) == fingerprint(ED)


@pytest.mark.parametrize("pinned", [False, True])
def test_a_revoked_key_is_never_taken(tmp_path: Path, pinned: bool) -> None:
    text = line(HOST.host, ED) + line("*", ED, "@revoked")
    host_keys = known(tmp_path, text, **({"pins": [fingerprint(ED)]} if pinned else {}))

    with pytest.raises(HostKeyRefused, match="revoked"):
        host_keys.expected(HOST).check(ED)


def test_a_pin_counts_more_than_the_file(tmp_path: Path) -> None:
    expected = known(tmp_path, line(HOST.host, ED), pins=[fingerprint(RSA)]).expected(HOST)

    assert expected.check(RSA) == fingerprint(RSA)
    with pytest.raises(HostKeyRefused, match="pinned"):
        expected.check(ED)


def test_the_type_of_a_pin_is_asked_for_first(tmp_path: Path) -> None:
    expected = known(tmp_path, "", pins=[f"ssh-rsa {fingerprint(RSA)}"]).expected(HOST)

    assert expected.algorithms[0] == "rsa-sha2-512"
    assert expected.check(RSA) == fingerprint(RSA)


@pytest.mark.parametrize(
    "pin", ["", "MD5:00:11", "SHA256:", "SHA256:abc", "dsa " + fingerprint(ED), fingerprint(ED)[1:]]
)
def test_a_pin_that_is_none_is_refused(pin: str) -> None:
    with pytest.raises(ConfigError, match="SHA256:<43 characters>"):
        HostKeys(None, {("h", 22): [pin]})


def test_a_file_that_is_away_refuses_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(HostKeyRefused) as caught:
        HostKeys(tmp_path / "away").expected(HOST)

    assert str(tmp_path) not in caught.value.message


def test_a_certificate_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    certificate = blob("ssh-ed25519-cert-v01@openssh.com", "rubbish")

    with pytest.raises(HostKeyRefused, match="cannot be read"):
        known(tmp_path, line("*", ED, "@cert-authority")).expected(HOST).check(certificate)


def test_too_many_opens_are_refused_until_a_minute_is_over() -> None:
    now = [0.0]
    opens = Opens(2, lambda: now[0])
    opens.take(HOST)
    now[0] = 20.0
    opens.take(HOST)
    opens.take(ODD)

    with pytest.raises(UpstreamUnreachable) as caught:
        opens.take(HOST)
    assert caught.value.retry_after_seconds == 40.0
    now[0] = 60.0
    opens.take(HOST)


def test_a_credential_shows_nothing() -> None:
    assert repr(SshCredential("secret", "too")) == "SshCredential()"
