"""Trying keys, and replacing them, with a real sshd."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kit.clock import Clock
from kit.ports import free_port
from kit.servers.sshd import HOST, OTHER, USER, SshServer, made_key, public, signed

from app.clients._ssh_terms import SshCredential
from app.clients.stored_key_reader import StoredKeyReader
from app.domain import JSON, AuditFilter, Operation, OperationState, SshKey
from app.engine.launchers.slurm.accounts import ClusterAccounts
from app.engine.launchers.slurm.options import SlurmOptions
from app.errors import InvalidRequest, UpstreamRefused, UpstreamUnreachable
from app.services.clusters import KnownCluster
from app.services.key_trials import KeyTrials
from app.settings.schema import Choice
from app.store.audit import AuditLog
from app.store.database import Database
from app.store.keys import SshKeys

MADE = datetime(2026, 1, 1, tzinfo=UTC)


class Halves:
    """Private halves that a test made."""

    def __init__(self) -> None:
        self.kept: dict[str, SshCredential] = {}
        self.broken = False

    def get(self, key_id: str) -> SshCredential:
        if self.broken:
            raise UpstreamUnreachable("Vault is sealed.")
        return self.kept[key_id]

    def remove(self, key_id: str) -> None:
        if self.broken:
            raise UpstreamUnreachable("Vault is sealed.")
        self.kept.pop(key_id, None)

    def close(self) -> None:
        pass


class Stage:
    """Trials of ada's keys at a cluster ``hpc``."""

    def __init__(self, server: SshServer, database: Database, folder: Path) -> None:
        self.server, self.folder, self.clock = server, folder, Clock()
        self.records, self.log, self.halves = SshKeys(database), AuditLog(database), Halves()
        self.reader = StoredKeyReader(self.records, lambda: self.halves)
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(server.known_hosts())
        self.number = 0
        self.trials = self.open()

    def open(self, **more: Any) -> KeyTrials:
        given = {
            "type": "slurm", "host": HOST, "port": self.server.port, "connect_timeout": "5s",
            "known_hosts": str(self.known_hosts),
            "user_map": [{"user": "ada", "account": USER}], **more,
        }  # fmt: skip
        field = Choice(lambda _: SlurmOptions, (), load_default="slurm")
        options: SlurmOptions = field.deserialize(given).options
        cluster = KnownCluster("hpc", options, ClusterAccounts(options, "hpc"))
        self.trials = KeyTrials(
            {"hpc": cluster}, self.reader, self.records, self.log, clock=self.clock
        )
        return self.trials

    def key(
        self, *, let_in: bool = True, replaces: str | None = None, certificate: str | None = None
    ) -> tuple[str, Path]:
        self.number += 1
        path = made_key(self.folder / f"key-{self.number}")
        if let_in:
            self.server.authorize(USER, path)
        id_ = f"{self.number:08d}-0000-4000-8000-000000000000"
        record = SshKey(
            id_, "ada", "ed25519", "SHA256:x", {"cluster": "hpc"}, MADE, public(path),
            replaces=replaces,
        )  # fmt: skip
        self.records.add(record, 100)
        self.halves.kept[id_] = SshCredential(path.read_text(), certificate)
        return id_, path

    def test(self, key: str, owner: str = "ada") -> Any:
        return self.trials.test(asked(owner, key=key, cluster="hpc"))

    def rotate(self, old: str, new: str, *, is_new: bool = False) -> Any:
        about = {"key": old, "new": new, "cluster": "hpc", "is_new": is_new}
        return self.trials.rotate(asked("ada", **about))

    def of(self, key: str) -> SshKey:
        return next(each for each in self.records.of("ada") if each.id == key)


def asked(owner: str, **arguments: JSON) -> Operation:
    """Return what somebody asks for."""
    return Operation("op-1", "x", owner, "x", arguments, OperationState.RUNNING, MADE)


@pytest.fixture
def stage(ssh_server: SshServer, database: Database, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(ssh_server, database, tmp_path)
    yield made
    made.trials.close()


def test_a_key_that_logs_in(stage: Stage) -> None:
    key, _ = stage.key()
    told = stage.test(key)
    assert (told["logs_in"], told["reason"], told["account"]) == (True, None, USER)
    assert told["host_key"].startswith("SHA256:")
    assert stage.of(key).last_used_at
    assert stage.of(key).last_succeeded_at
    [event], _ = stage.log.page(AuditFilter(), None, 10)
    assert (event.event.username, event.event.action) == ("ada", "ssh_keys:test")
    assert event.event.detail == "hpc: logged in"


def test_after_a_refusal_none_is_tried_for_a_while(stage: Stage) -> None:
    wrong, _ = stage.key(let_in=False)
    right, _ = stage.key()
    told = stage.test(wrong)
    assert (told["logs_in"], told["reason"]) == (False, "login_refused")
    assert "authorized_keys" in told["message"]
    assert stage.of(wrong).last_used_at
    assert stage.of(wrong).last_succeeded_at is None
    logins = stage.server.log.count("Connection from")
    for key in (wrong, right):
        assert stage.test(key)["reason"] == "paused"
    assert stage.server.log.count("Connection from") == logins, "nobody was asked"
    stage.clock.now += 61
    assert stage.test(right)["logs_in"]
    assert stage.test(wrong)["reason"] == "login_refused", "a success ends the pause"


def test_pauses_grow(stage: Stage) -> None:
    wrong, _ = stage.key(let_in=False)
    waited = []
    for _ in range(5):
        assert stage.test(wrong)["reason"] == "login_refused"
        waited.append(stage.test(wrong)["retry_after_seconds"])
        stage.clock.now += waited[-1] + 1
    assert waited == [60, 120, 240, 480, 600]


def test_a_revoked_key(stage: Stage) -> None:
    key, path = stage.key()
    stage.server.revoke(path)
    told = stage.test(key)
    assert told["reason"] == "login_refused"
    assert "revoked" in told["message"]


def test_an_expired_certificate(stage: Stage) -> None:
    path = made_key(stage.folder / "certified")
    line = signed(path, stage.server.authority, "-n", USER, "-V", "20200101:20200102")
    key, _ = stage.key(let_in=False)
    stage.halves.kept[key] = SshCredential(path.read_text(), line)
    told = stage.test(key)
    assert told["reason"] == "login_refused"
    assert "a new one is needed" in told["message"]


def test_a_wrong_host_key(stage: Stage) -> None:
    key, _ = stage.key()
    other = made_key(stage.folder / "other-host")
    stage.known_hosts.write_text(f"[{HOST}]:{stage.server.port} {public(other)}\n")
    told = stage.test(key)
    assert told["reason"] == "host_key_refused"
    assert "Nothing was sent" in told["message"] or "nothing was sent" in told["message"]
    stage.known_hosts.write_text(stage.server.known_hosts())
    assert stage.test(key)["logs_in"], "no key of the user was refused, so there is no pause"


def test_a_host_that_is_down_or_says_nothing(stage: Stage) -> None:
    key, _ = stage.key()
    stage.open(port=free_port())
    assert stage.test(key)["reason"] == "unreachable"
    with socket.create_server((HOST, 0)) as silent:
        stage.open(port=silent.getsockname()[1], connect_timeout="1s")
        assert stage.test(key)["reason"] == "unreachable"


def test_one_at_a_time_is_tried_of_a_user(stage: Stage) -> None:
    key, _ = stage.key()
    with socket.create_server((HOST, 0)) as silent:
        stage.open(port=silent.getsockname()[1], connect_timeout="5s")
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(stage.test, key)
            connection, _ = silent.accept()
            second = stage.test(key)
            connection.close()
            assert (second["reason"], second["message"]) == (
                "paused", "Another key of yours is being tried there.",
            )  # fmt: skip
            assert first.result()["reason"] == "unreachable"


def test_who_has_no_account_there_and_whose_account_another_key_opens(stage: Stage) -> None:
    key, _ = stage.key()
    with pytest.raises(InvalidRequest, match="no account"):
        stage.test(key, owner="bob")
    stage.open(key="ffffffff-0000-4000-8000-000000000000", user_map=[], user=USER)
    with pytest.raises(InvalidRequest, match="another key logs in"):
        stage.test(key)
    stage.open(key=key, user_map=[], user=USER)
    assert stage.test(key)["logs_in"]


def test_a_private_half_that_cannot_be_read_is_no_answer(stage: Stage) -> None:
    key, _ = stage.key()
    stage.halves.broken = True
    with pytest.raises(UpstreamUnreachable, match="sealed"):
        stage.test(key)
    stage.halves.broken = False
    assert stage.test(key)["logs_in"]


class TestRotation:
    def test_the_new_one_is_tried_before_the_old_one_goes(self, stage: Stage) -> None:
        old, _ = stage.key()
        new, path = stage.key(let_in=False, replaces=old)
        logins = stage.server.log.count("Connection from")
        told = stage.rotate(old, new, is_new=True)
        assert (told["state"], told["login"]) == ("PREPARED", None)
        assert told["authorized_keys"] == f"restrict {public(path)}"
        assert stage.server.log.count("Connection from") == logins, "nobody can have installed it"

        told = stage.rotate(old, new)
        assert told["state"] == "PREPARED"
        assert told["login"]["reason"] == "login_refused"
        assert {key.id for key in stage.records.of("ada")} == {old, new}
        assert stage.reader.newest_for("ada", "hpc") == old, "the old one stays in use"

        stage.server.authorize(USER, path)
        stage.clock.now += 61
        told = stage.rotate(old, new)
        assert told["state"] == "ROTATED"
        [left] = stage.records.of("ada")
        assert (left.id, left.replaces) == (new, None)
        assert stage.reader.newest_for("ada", "hpc") == new
        assert old not in stage.halves.kept
        assert stage.reader.read(old) == stage.halves.kept[new], "its id stands for the new one"
        assert stage.rotate(old, new)["state"] == "ROTATED", "asked again it is done"
        entries, _ = stage.log.page(AuditFilter(), None, 10)
        assert [each.event.detail for each in entries] == ["hpc: logged in", "hpc: login_refused"]

    def test_ids_of_all_before_stand_for_the_last(self, stage: Stage) -> None:
        first, _ = stage.key()
        second, _ = stage.key(replaces=first)
        stage.rotate(first, second)
        third, _ = stage.key(replaces=second)
        stage.rotate(second, third)
        assert {stage.records.current(key) for key in (first, second, third)} == {third}
        stage.open(key=first, user_map=[], user=USER)
        assert stage.test(third)["logs_in"], "the settings know it by its first id"
        stage.records.remove(third)
        with pytest.raises(UpstreamRefused, match="no such SSH key"):
            stage.reader.read(first)

    def test_an_old_half_that_cannot_be_removed_now_goes_later(self, stage: Stage) -> None:
        old, _ = stage.key()
        new, _ = stage.key(replaces=old)
        remove, stage.halves.remove = stage.halves.remove, broken  # type: ignore[method-assign]
        assert stage.rotate(old, new)["state"] == "ROTATED"
        assert stage.trials.clear() == 0
        assert old in stage.halves.kept
        stage.halves.remove = remove  # type: ignore[method-assign]
        assert (stage.trials.clear(), stage.trials.clear()) == (1, 0)
        assert old not in stage.halves.kept

    def test_what_was_revoked_meanwhile_is_said(self, stage: Stage) -> None:
        old, _ = stage.key()
        new, _ = stage.key(replaces=old)
        stage.records.remove(new)
        with pytest.raises(InvalidRequest, match="new key is gone"):
            stage.rotate(old, new)
        new, _ = stage.key(replaces=old)
        stage.records.remove(old)
        assert stage.of(new).replaces is None, "it is a key like any other then"


def broken(key_id: str) -> None:
    raise UpstreamUnreachable("Vault is sealed.")


def test_another_account_lets_it_in_no_more_than_its_own(stage: Stage) -> None:
    key, _ = stage.key()
    stage.open(user_map=[{"user": "ada", "account": OTHER}])
    assert stage.test(key)["reason"] == "login_refused"
