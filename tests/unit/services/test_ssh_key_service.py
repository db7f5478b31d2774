import base64
import logging
import re
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from app.assembly import check_secrets, make_sealing
from app.clients.key_opener import open_pair
from app.clients.key_store import KeyStore
from app.clients.master_key import load_master_key
from app.clients.sealing import Sealing
from app.domain import Identity, Role
from app.errors import (
    Ambiguous,
    ConfigError,
    Conflict,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    UpstreamGarbled,
    UpstreamUnreachable,
)
from app.observability import configure_logging
from app.services.ssh_keys import ALGORITHMS, SshKeyService
from app.store.database import Database
from app.store.keys import SealedKeys, SshKeys

ADA = Identity("ada", frozenset({Role.USER}))
BOB = Identity("bob", frozenset({Role.USER}))
ADMIN = Identity("root", frozenset({Role.ADMIN}))


class InlinePool:
    def run(self, function, *args):
        return function(*args)


@pytest.fixture
def keys(service):
    return service.services.ssh_keys


def private_key(service, key_id):
    sealed = SealedKeys(service.web.database).get(key_id)
    if sealed is None:
        return None
    sealing = make_sealing(service.settings, service.web.database)
    return open_pair(sealing, key_id, sealed)["private_key"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_two_halves_belong_together(service, keys, algorithm, tmp_path):
    key_id, public = keys.create({}, ADA, algorithm)
    text = private_key(service, key_id)
    private = load_ssh_private_key(text.encode(), None)
    expected = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert public == f"{expected.decode()} slipway-{key_id[:8]}"
    [listed] = keys.of(ADA)
    assert listed.algorithm == algorithm
    if shutil.which("ssh-keygen"):
        (tmp_path / "key").write_text(text)
        (tmp_path / "key").chmod(0o600)
        (tmp_path / "key.pub").write_text(public)
        assert openssh("-y", "-f", tmp_path / "key").split()[:2] == public.split()[:2]
        assert listed.fingerprint in openssh("-l", "-f", tmp_path / "key.pub").split()


def openssh(*arguments):
    """Ask OpenSSH what it makes of a key."""
    return subprocess.run(
        ["ssh-keygen", *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_without_an_algorithm_the_configured_one_is_taken(make_service):
    keys = make_service(ssh_keys__algorithm="ecdsa-p256").services.ssh_keys
    assert keys.create({}, ADA)[1].startswith("ecdsa-sha2-nistp256 ")


def test_an_unknown_algorithm_makes_no_key(keys):
    with pytest.raises(InvalidRequest) as caught:
        keys.create({}, ADA, "dsa")
    assert [fault.path for fault in caught.value.fields] == ["algorithm"]
    assert keys.of(ADA) == []


def test_metadata_are_kept_but_for_the_reserved_names(keys):
    given = {
        "a": {"deep": [1, None, "\u00e4"]},
        "privateKey": "x",
        "publicKey": "y",
        "PrivateKey": "z",
    }
    keys.create(given, ADA)
    assert keys.of(ADA)[0].metadata == {"a": {"deep": [1, None, "\u00e4"]}, "PrivateKey": "z"}


def test_metadata_cannot_take_the_place_of_the_key(service, keys):
    key_id, _ = keys.create({"privateKey": "mine", "publicKey": "mine"}, ADA)
    assert private_key(service, key_id).startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_lists_show_the_own_keys_and_never_the_whole_id(keys):
    key_id, public = keys.create({}, ADA)
    keys.create({}, BOB)
    [listed] = keys.of(ADA)
    assert listed.id == key_id[:8]
    assert (listed.public_key, listed.authorized_keys) == (public, f"restrict {public}")
    assert key_id not in repr(listed)
    assert keys.of(ADMIN) == []


def pieces(service, key_id):
    """Return what would betray a private key: its lines, and its bytes."""
    pem = private_key(service, key_id)
    body = [line for line in pem.splitlines() if not line.startswith("-----")]
    raw = base64.b64decode("".join(body))
    private = load_ssh_private_key(pem.encode(), None)
    # In OpenSSH's format public parts come first; the last lines hold the secret ones.
    secret = getattr(private, "private_bytes_raw", lambda: raw[-48:-16])()
    return [line.encode() for line in body[2:]] + [secret, secret.hex().encode()]


@pytest.mark.parametrize(
    ("algorithm", "log_format"), [("ed25519", "console"), ("ed25519", "json"), ("rsa-3072", "json")]
)
def test_a_private_key_is_in_no_answer_no_log_and_no_file(
    make_service, capfd, tmp_path, algorithm, log_format
):
    configure_logging("DEBUG", log_format)
    service = make_service()
    answer = service.client.post("/ssh_keys", json={"algorithm": algorithm, "metadata": {"a": "b"}})
    listed = service.client.get("/ssh_keys")
    revoked = service.client.delete("/ssh_keys/nothing")
    said = capfd.readouterr()
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.name.startswith("slipway.db") for path in files)
    texts = {
        "answer": answer.data + str(answer.headers).encode(),
        "list": listed.data,
        "error": revoked.data,
        "stdout": said.out.encode(),
        "stderr": said.err.encode(),
        **files,
    }
    assert b"/ssh_keys" in texts["stderr"]
    for place, text in texts.items():
        assert b"PRIVATE KEY" not in text, place
        for piece in pieces(service, answer.json["id"]):
            assert piece not in text, place


class UnreachableKeyStore(KeyStore):
    """Stores nothing and forgets nothing."""

    def put(self, key_id, pair, metadata):
        raise UpstreamUnreachable("No connection.")

    def delete(self, key_id):
        raise UpstreamUnreachable("No connection.")

    def health(self):
        raise UpstreamUnreachable("No connection.")


def test_a_key_that_could_not_be_stored_is_told_to_nobody(service):
    keys = SshKeyService(
        SshKeys(service.web.database), UnreachableKeyStore(), "ed25519", InlinePool()
    )
    with pytest.raises(UpstreamUnreachable):
        keys.create({}, ADA)
    assert keys.of(ADA) == []


def test_a_key_that_could_not_be_deleted_is_still_there(service, keys):
    key_id, _ = keys.create({}, ADA)
    broken = SshKeyService(
        SshKeys(service.web.database), UnreachableKeyStore(), "ed25519", InlinePool()
    )
    with pytest.raises(UpstreamUnreachable):
        broken.revoke(key_id, ADA)
    assert len(keys.of(ADA)) == 1


class TestRevoke:
    @pytest.mark.parametrize("length", [8, 36])
    def test_by_the_prefix_that_is_shown_or_the_whole_id(self, service, keys, length):
        key_id, _ = keys.create({}, ADA)
        keys.revoke(key_id[:length], ADA)
        assert keys.of(ADA) == []
        assert private_key(service, key_id) is None

    @pytest.mark.parametrize("length", [0, 1, 7, 9, 35])
    def test_by_no_other_part_of_it(self, keys, length):
        key_id, _ = keys.create({}, ADA)
        with pytest.raises(NotFound):
            keys.revoke(key_id[:length], ADA)

    @pytest.mark.parametrize("identity", [BOB, ADMIN])
    def test_never_somebody_elses(self, service, keys, identity):
        key_id, _ = keys.create({}, ADA)
        for reference in (key_id, key_id[:8]):
            with pytest.raises(NotFound):
                keys.revoke(reference, identity)
        assert private_key(service, key_id)

    def test_a_prefix_that_fits_several_is_ambiguous(self, service, keys):
        records = SshKeys(service.web.database)
        keys.create({}, ADA)
        [one] = records.of("ada")
        twin = one.id[:8] + "-0000-4000-8000-000000000000"
        records.add(type(one)(twin, "ada", "ed25519", "SHA256:x", {}, one.created_at), 10)
        with pytest.raises(Ambiguous):
            keys.revoke(one.id[:8], ADA)
        keys.revoke(one.id, ADA)
        assert [k.id for k in records.of("ada")] == [twin]


class TestMasterKey:
    def test_it_is_made_once_readable_by_nobody_else(self, service):
        file = service.settings.master_key_file
        assert file.stat().st_mode & 0o777 == 0o600
        before = file.read_text()
        check_secrets(service.settings, service.web.database)
        assert file.read_text() == before
        assert len(base64.b64decode(before)) == 32

    def test_a_file_that_others_can_read_is_refused(self, service):
        file = service.settings.master_key_file
        file.chmod(0o640)
        with pytest.raises(ConfigError) as caught:
            check_secrets(service.settings, service.web.database)
        assert caught.value.fields[0].path == "ssh_keys.master_key_file"

    @pytest.mark.parametrize("text", ["short", "!" * 44, base64.b64encode(b"x" * 31).decode()])
    def test_a_key_that_is_none_is_refused_and_not_repeated(self, make_settings, text):
        settings = make_settings(environ={"SLIPWAY_MASTER_KEY": text})
        with pytest.raises(ConfigError) as caught:
            check_secrets(settings, Database(settings.database_url))
        assert caught.value.fields[0].path == "SLIPWAY_MASTER_KEY"
        assert text not in str(caught.value.fields)

    def test_another_master_key_opens_nothing(self, service, keys, tmp_path):
        key_id, _ = keys.create({}, ADA)
        other = Sealing(load_master_key(tmp_path / "other.key", None))
        with pytest.raises(UpstreamGarbled):
            open_pair(other, key_id, SealedKeys(service.web.database).get(key_id))

    @pytest.mark.parametrize("content", [None, ""])
    def test_one_that_is_lost_is_not_made_anew_where_keys_depend_on_it(
        self, service, keys, content
    ):
        file = service.settings.master_key_file
        file.unlink()
        if content is not None:
            file.write_text(content)
            file.chmod(0o600)
        key_id, _ = keys.create({}, ADA)
        with pytest.raises(ConfigError) as caught:
            check_secrets(service.settings, service.web.database)
        assert "restore it" in caught.value.fields[0].message
        assert not file.exists() or not file.read_text()
        SealedKeys(service.web.database).delete(key_id)
        check_secrets(service.settings, service.web.database)

    def test_rows_cannot_be_swapped(self, service, keys):
        one, two = keys.create({}, ADA)[0], keys.create({}, BOB)[0]
        sealed = SealedKeys(service.web.database)
        stolen = sealed.get(one)
        sealed.delete(two)
        sealed.put(two, stolen)
        with pytest.raises(UpstreamGarbled):
            private_key(service, two)


def test_a_key_that_cannot_be_written_down_is_not_left_in_the_store(service, keys, monkeypatch):
    stored = []
    put = service.web.key_store.put

    def remember(key_id, *rest):
        stored.append(key_id)
        put(key_id, *rest)

    def fail(key, most, beginning):
        raise UpstreamUnreachable("The store does not answer at the moment.")

    monkeypatch.setattr(service.web.key_store, "put", remember)
    monkeypatch.setattr(keys._keys, "add", fail)
    with pytest.raises(UpstreamUnreachable):
        keys.create({}, ADA)
    [key_id] = stored
    assert private_key(service, key_id) is None


def test_the_log_holds_no_whole_id_of_a_key(keys, capfd):
    configure_logging("INFO", "json")
    key_id, _ = keys.create({}, ADA)
    logging.getLogger("x").info("request path=/ssh_keys/%s status=503", key_id)
    written = capfd.readouterr().err
    assert f"/ssh_keys/{key_id[:8]}***" in written
    assert key_id not in written


def test_ids_are_random(keys):
    ids = {keys.create({}, ADA)[0] for _ in range(20)}
    assert len(ids) == 20
    pattern = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(pattern.fullmatch(id_) for id_ in ids)


@pytest.fixture(autouse=True)
def quiet_again():
    """Put the logging back that a test configured."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


class TestBounds:
    @pytest.fixture
    def keys(self, service):
        return SshKeyService(
            SshKeys(service.web.database), service.web.key_store, "ed25519", InlinePool(),
            most_of=lambda _: 3, max_metadata_bytes=20,
        )  # fmt: skip

    def test_who_has_as_many_keys_as_he_may_must_revoke_one_first(self, keys):
        ids = [keys.create({}, ADA)[0] for _ in range(3)]
        for algorithm in ("ed25519", "rsa-4096"):
            with pytest.raises(Conflict, match="revoke one"):
                keys.create({}, ADA, algorithm)
        keys.create({}, BOB)
        keys.revoke(ids[0], ADA)
        keys.create({}, ADA)

    def test_one_too_many_leaves_nothing_in_the_store(self, service, keys, monkeypatch):
        for _ in range(3):
            keys.create({}, ADA)
        monkeypatch.setattr(keys._keys, "require_room", lambda *_: None)
        stored, put = [], service.web.key_store.put
        monkeypatch.setattr(
            service.web.key_store, "put", lambda id_, *rest: (stored.append(id_), put(id_, *rest))
        )
        with pytest.raises(Conflict):
            keys.create({}, ADA)
        assert private_key(service, stored[0]) is None

    def test_metadata_have_a_largest_size(self, keys):
        keys.create({"a": "x" * 12}, ADA)
        keys.create({"a": "x" * 12, "privateKey": "is left out" * 100}, ADA)
        for metadata in ({"a": "x" * 13}, {"a": "\u00e9" * 3}, {"a" * 16: 1}):
            with pytest.raises(InvalidRequest) as caught:
                keys.create(metadata, ADA)
            assert caught.value.fields[0].path == "metadata"


def test_users_have_turns_at_keys_that_take_long(service):
    """One user asks for many; another's is made next, and one that takes no time at once."""
    began, go_on = threading.Event(), threading.Event()
    made = []

    class SlowPool:
        def run(self, function, algorithm, comment):
            made.append(threading.current_thread().name)
            began.set()
            assert go_on.wait(30)
            return function("ed25519", comment)

    keys = SshKeyService(
        SshKeys(service.web.database), service.web.key_store, "ed25519", SlowPool()
    )  # fmt: skip
    with ThreadPoolExecutor(10) as pool:
        many = [pool.submit(keys.create, {}, ADA, "rsa-4096") for _ in range(5)]
        assert began.wait(30)
        while waiting(keys) < 4:
            time.sleep(0.005)
        with pytest.raises(LimitExceeded):
            keys.create({}, ADA, "rsa-4096")
        keys.create({}, BOB, "ed25519")
        keys.create({}, ADA, "ecdsa-p256")
        one = pool.submit(
            lambda: (setattr(threading.current_thread(), "name", "bob"),
                     keys.create({}, BOB, "rsa-2048"))
        )  # fmt: skip
        while waiting(keys) < 5:
            time.sleep(0.005)
        go_on.set()
        one.result(30)
        for each in many:
            each.result(30)
    assert made.index("bob") == 1


def waiting(keys):
    return sum(len(q) for sides in keys._places._queues.values() for q in sides.values())
