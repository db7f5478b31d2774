"""Reading keys of the embedded store, by the real process that has the master key."""

import base64
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)
from kit.guarded import root_looks_into_them
from kit.patience import PATIENCE_SECONDS, await_that

from app.assembly import key_reader, make_sealing
from app.cli._master_key import held_master_key
from app.clients.opener_link import _Opener
from app.domain import Identity, Role
from app.errors import UpstreamRefused, UpstreamUnreachable
from app.identity.own_keys import make_signing_key
from app.store.keys import SealedKeys

ADA = Identity("ada", frozenset({Role.USER}))


@pytest.fixture
def keys(service):
    return service.services.ssh_keys


@pytest.fixture
def reader(service):
    made = key_reader(service.settings, service.web.database)
    yield made
    made.close()


def is_there(pid):
    """Whether a process is there that has not ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def holds(pid, *secrets):
    """Whether any memory of a process that it can write holds one of some texts."""
    found = False
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            first, last, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if not rights.startswith("rw"):
                continue
            try:
                memory.seek(int(first, 16))
                text = memory.read(int(last, 16) - int(first, 16))
            except (OSError, OverflowError, ValueError):
                continue
            found |= any(secret in text for secret in secrets)
    return found


def is_stopped(pid):
    """Whether a process stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def impatient(ask):
    """Wait a moment only for a process that is stopped."""

    def shortly(opener, message, seconds=None):
        return ask(opener, message, 0.2 if is_stopped(opener.pid) else PATIENCE_SECONDS)

    return shortly


def test_it_reads_what_the_web_stored(keys, reader):
    key_id, public = keys.create({"cluster": "hpc"}, ADA)
    found = reader.read(key_id)
    assert found.private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    private = load_ssh_private_key(found.private_key.encode(), None).public_key()
    assert private.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() in public
    assert found.certificate is None
    assert found.private_key not in repr(found)
    assert reader.newest_for("ada", "hpc") == key_id
    assert reader.newest_for("ada", "other") is reader.newest_for("bob", "hpc") is None


def test_the_newest_of_several_counts(keys, reader):
    keys.create({"cluster": "hpc"}, ADA)
    second, _ = keys.create({"cluster": "hpc"}, ADA)
    keys.create({"cluster": ["hpc"]}, ADA)
    assert reader.newest_for("ada", "hpc") == second


def test_a_certificate_that_is_stored_with_it_is_read_too(keys, reader):
    line = "ssh-ed25519-cert-v01@openssh.com AAAA ada"
    key_id, _ = keys.create({"certificate": line}, ADA)
    assert reader.read(key_id).certificate == line
    key_id, _ = keys.create({"certificate": "of birth"}, ADA)
    assert reader.read(key_id).certificate is None


def test_what_was_revoked_is_refused(keys, reader):
    key_id, _ = keys.create({}, ADA)
    reader.read(key_id)
    keys.revoke(key_id, ADA)
    with pytest.raises(UpstreamRefused, match="no such SSH key"):
        reader.read(key_id)


def test_nothing_is_begun_before_the_first_key(reader):
    with pytest.raises(UpstreamRefused, match="no such SSH key"):
        reader.read("00000000-0000-4000-8000-000000000000")
    assert reader.private.pid is None


def test_a_process_that_was_killed_or_hangs_is_replaced(keys, reader, monkeypatch):
    key_id, _ = keys.create({}, ADA)
    first = reader.read(key_id)
    pid = reader.private.pid
    os.kill(pid, signal.SIGKILL)
    assert reader.read(key_id) == first
    assert reader.private.pid != pid
    pid = reader.private.pid
    os.kill(pid, signal.SIGSTOP)
    await_that(lambda: is_stopped(pid), "it stands still")
    monkeypatch.setattr("app.clients.opener_link._Opener.ask", impatient(_Opener.ask))
    assert reader.read(key_id) == first
    assert reader.private.pid != pid
    await_that(lambda: not is_there(pid), "the one that hung has ended")


def test_it_ends_with_the_reader(keys, reader):
    key_id, _ = keys.create({}, ADA)
    reader.read(key_id)
    pid = reader.private.pid
    reader.private._opener._link.close()  # as when the process of the reader is killed
    await_that(lambda: not is_there(pid), "it saw that nobody is there any more")


def test_threads_share_one(keys, reader):
    made = [keys.create({}, ADA)[0] for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(reader.read, made * 4))
    assert len({each.private_key for each in found}) == 4
    assert found[:4] == found[4:8]


def test_a_master_key_that_is_lost_or_open_is_said(service, keys, reader):
    key_id, _ = keys.create({}, ADA)
    file = service.settings.master_key_file
    file.chmod(0o644)
    with pytest.raises(UpstreamUnreachable) as caught:
        reader.read(key_id)
    assert "readable by its owner only" in caught.value.detail
    text = file.read_text()
    file.unlink()
    with pytest.raises(UpstreamUnreachable) as caught:
        reader.read(key_id)
    assert "restore it" in caught.value.detail
    assert not file.exists(), "none is made in its place"
    file.write_text(text)
    file.chmod(0o600)
    assert reader.read(key_id), "it goes on once the file is back"


def test_another_master_key_is_no_crash(service, keys, reader):
    key_id, _ = keys.create({}, ADA)
    service.settings.master_key_file.write_text(base64.b64encode(bytes(32)).decode())
    with pytest.raises(UpstreamRefused, match="cannot be read"):
        reader.read(key_id)


def test_what_signs_tokens_is_not_opened(service, keys, reader):
    key_id, _ = keys.create({}, ADA)
    reader.read(key_id)
    signing = make_signing_key(make_sealing(service.settings, service.web.database))
    halves = SealedKeys(service.web.database)
    for name in (f"signing key {signing.kid}", signing.kid, key_id[:8]):
        answer = reader.private._opened(name, signing.sealed)
        assert answer == {"error": "That is not the id of an SSH key."}
    assert "private_key" not in reader.private._opened(key_id, signing.sealed)
    assert "private_key" in reader.private._opened(key_id, halves.get(key_id))


def test_the_memory_of_who_asks_never_has_the_master_key(service, keys, monkeypatch):
    """A conductor gets it through a pipe, and hands it on within the kernel."""
    root_looks_into_them()
    key_id, _ = keys.create({}, ADA)
    text = service.settings.master_key_file.read_bytes().strip()
    monkeypatch.delenv("SLIPWAY_MASTER_KEY", raising=False)
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    held = held_master_key(reading)
    assert held is not None
    assert os.pread(held, 100, 0) == text
    assert held_master_key(held) == held, "a process that becomes another one keeps it"
    service.settings.master_key_file.unlink()
    made = key_reader(service.settings, service.web.database, held)
    try:
        assert made.read(key_id).private_key
        pid = made.private.pid
        assert holds(pid, text, base64.b64decode(text)), "so the search finds it where it is"
        os.kill(pid, signal.SIGKILL)
        assert made.read(key_id).private_key, "one that replaces it finds the key, too"
    finally:
        made.close()
        os.close(held)
