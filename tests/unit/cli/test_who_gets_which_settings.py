"""Which settings, and which variables, each kind of process gets."""

import os

import pytest

from app.assembly import read_settings
from app.cli._master_key import held_master_key
from app.cli._settings import CONDUCTOR_ALONE, WEB_ALONE, environment

WRITTEN = """
ssh_keys:
  store: vault
  master_key_file: /run/key
  vault:
    address: http://vault
    role_id: web-role
    secret_id: ${WEB_SECRET}
    reader: {role_id: reader-role, secret_id: '${READER_SECRET}'}
"""
BOTH = {"WEB_SECRET": "secret-of-the-web", "READER_SECRET": "secret-of-the-reader"}


@pytest.fixture
def file(tmp_path):
    written = tmp_path / "slipway.yaml"
    written.write_text(WRITTEN)
    return written


def test_conductors_get_where_keys_are_and_no_login_that_writes(file):
    vault = read_settings(file, {}, {"READER_SECRET": "x"}, WEB_ALONE).ssh_keys.vault
    assert (vault.address, vault.role_id, vault.secret_id) == ("http://vault", None, None)
    assert (vault.reader.role_id, vault.reader.secret_id) == ("reader-role", "x")


def test_web_processes_get_no_login_that_reads(file):
    vault = read_settings(file, {}, {"WEB_SECRET": "x"}, CONDUCTOR_ALONE).ssh_keys.vault
    assert (vault.role_id, vault.secret_id, vault.reader) == ("web-role", "x", None)


@pytest.mark.parametrize(
    ("without", "kept", "gone"),
    [
        (WEB_ALONE, {"READER_SECRET"}, {"WEB_SECRET", "SLIPWAY_SSH_KEYS__VAULT__TOKEN"}),
        (CONDUCTOR_ALONE, {"WEB_SECRET"}, {"READER_SECRET"}),
    ],
)
def test_nor_do_their_environments_have_them(file, monkeypatch, without, kept, gone):
    more = {"SLIPWAY_SSH_KEYS__VAULT__TOKEN": "t", "SLIPWAY_MASTER_KEY": "m"}
    for name, value in {**BOTH, **more}.items():
        monkeypatch.setenv(name, value)
    names = set(environment(file, {}, without))
    assert kept <= names
    assert not gone & names
    assert ("SLIPWAY_MASTER_KEY" in names) == (without is CONDUCTOR_ALONE)


def test_a_text_with_both_of_them_is_cut(tmp_path):
    text = "{address: 'http://v', role_id: r, secret_id: s, reader: {role_id: q, secret_id: t}}"
    environ = {"SLIPWAY_SSH_KEYS__VAULT": text}
    vault = read_settings(None, {"data_dir": str(tmp_path)}, environ, WEB_ALONE).ssh_keys.vault
    assert (vault.secret_id, vault.reader.secret_id) == (None, "t")


def test_conductors_never_get_the_master_key(file):
    environ = {"READER_SECRET": "x", "SLIPWAY_MASTER_KEY": "a2V5"}
    assert read_settings(file, {}, environ, WEB_ALONE).master_key is None


class TestTheHeldMasterKey:
    def test_it_comes_through_a_pipe_or_the_environment(self, monkeypatch):
        monkeypatch.delenv("SLIPWAY_MASTER_KEY", raising=False)
        assert held_master_key(None) is None
        reading, writing = os.pipe()
        os.write(writing, b"through-the-pipe")
        os.close(writing)
        held = held_master_key(reading)
        assert os.pread(held, 100, 0) == b"through-the-pipe"
        assert held_master_key(held) == held, "a process that has become another one keeps it"
        os.close(held)
        monkeypatch.setenv("SLIPWAY_MASTER_KEY", "of-the-environment")
        held = held_master_key(None)
        assert os.pread(held, 100, 0) == b"of-the-environment"
        os.close(held)
