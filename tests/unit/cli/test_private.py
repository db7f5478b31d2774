"""What is too open is mended at the start, or refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from app.assembly import read_settings
from app.cli import _private
from app.cli._private import keep_private
from app.errors import ConfigError

USERS = "api: {auth: {type: basic, users: [{username: ada, password: x}]}}\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def settings_of(data: Path, text: str = ""):
    config = data.parent / "slipway.yaml"
    config.write_text(f"data_dir: {data}\n{text}", encoding="utf-8")
    config.chmod(0o644)
    return read_settings(config, {}, {}), config


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def faults(data: Path, text: str = "") -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        keep_private(*settings_of(data, text))
    return {fault.path: fault.message for fault in caught.value.fields}


def test_a_data_folder_is_made_for_its_owner_only(data):
    before = os.umask(0)
    try:
        keep_private(*settings_of(data))
    finally:
        os.umask(before)
    assert mode(data) == 0o700


@pytest.mark.parametrize("found", [0o755, 0o777, 0o750, 0o711])
@pytest.mark.parametrize("content", [[], ["workflows"], ["slipway.db", "my-notes"]])
def test_one_that_others_made_is_closed(data, found, content):
    data.mkdir()
    for name in content:
        (data / name).touch()
    data.chmod(found)
    keep_private(*settings_of(data))
    assert mode(data) == 0o700


def test_one_behind_a_link_is_closed(data):
    (data.parent / "elsewhere").mkdir(mode=0o755)
    data.symlink_to(data.parent / "elsewhere")
    keep_private(*settings_of(data))
    assert mode(data.parent / "elsewhere") == 0o700


@pytest.mark.parametrize(("found", "content"), [(0o1777, []), (0o755, ["other"]), (0o775, ["src"])])
def test_one_that_is_not_ours_alone_is_refused_and_left(data, found, content):
    data.mkdir()
    for name in content:
        (data / name).touch()
    data.chmod(found)
    assert "give it its own folder" in faults(data)["data_dir"]
    assert mode(data) == found & 0o7777 if not found & 0o1000 else data.stat().st_mode & 0o1000


def test_the_database_and_all_beside_it_are_closed(data):
    data.mkdir(mode=0o700)
    names = ["slipway.db", "slipway.db-wal", "slipway.db-shm"]
    for name in names:
        (data / name).touch()
        (data / name).chmod(0o666)
    keep_private(*settings_of(data))
    assert [mode(data / name) for name in names] == [0o600] * 3


def test_a_database_elsewhere_is_closed_and_its_folder_left(data, tmp_path):
    place = tmp_path / "db"
    place.mkdir(mode=0o755)
    (place / "real.db").touch(0o644)
    (place / "real.db-wal").touch(0o644)
    (place / "a.db").symlink_to("real.db")
    keep_private(*settings_of(data, f"database: {{url: 'sqlite:///{place / 'a.db'}'}}\n"))
    assert [mode(place / n) for n in ("real.db", "real.db-wal")] == [0o600] * 2
    assert mode(place) == 0o755


def test_the_folders_of_executions_are_closed(data):
    (data / "executions" / "one").mkdir(parents=True)
    keep_private(*settings_of(data))
    assert mode(data / "executions") == mode(data / "executions" / "one") == 0o700


def test_what_lies_in_the_data_folder_is_closed_and_links_are_not_followed(data, tmp_path):
    (data / "workflows").mkdir(parents=True)
    (data / "executions").mkdir()
    (data / "node-id").touch(0o644)
    (data / "executions" / "link").symlink_to(tmp_path)
    tmp_path.chmod(0o755)
    keep_private(*settings_of(data))
    assert mode(data / "workflows") == 0o700
    assert mode(data / "node-id") == 0o600
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (USERS, 0o600),
        ("database: {url: 'postgresql+psycopg://u:secret@h/d'}\n", 0o600),
        ("orchestrators: [{name: a, type: alien4cloud, url: 'http://h', user: u, password: p}]\n",
         0o600),
        ("ssh_keys: {vault: {address: 'http://v', token: t}}\n", 0o600),
        ("database: {url: 'sqlite:////x/y.db'}\n", 0o644),
        ("database: {url: 'postgresql+psycopg://u@h/d'}\n", 0o644),
        ("database: {url: 'postgresql+psycopg://u:${PW:-x}@h/d'}\n", 0o644),
        (USERS.replace("password: x", "password: '${ADA:-x}'"), 0o644),
        ("", 0o644),
    ],
)  # fmt: skip
def test_a_settings_file_with_secrets_is_closed(data, text, wanted):
    settings, config = settings_of(data, text)
    keep_private(settings, config)
    assert mode(config) == wanted


def test_what_cannot_be_closed_is_refused(data, monkeypatch):
    def refuse(self, mode):
        raise PermissionError(1, "Operation not permitted")

    data.mkdir(mode=0o755)
    settings, config = settings_of(data, USERS)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ConfigError) as caught:
        keep_private(settings, config)
    found = {fault.path: fault.message for fault in caught.value.fields}
    assert set(found) == {str(data), "api.auth.users[0].password"}
    assert all("cannot be changed: Operation not permitted" in text for text in found.values())


def test_a_settings_file_of_root_may_be_read_by_the_service_s_group(data, monkeypatch):
    settings, config = settings_of(data, USERS)
    monkeypatch.setattr(_private.os, "geteuid", lambda: os.getuid() + 1)
    config.chmod(0o640)
    keep_private(settings, config)
    assert mode(config) == 0o640


def test_a_data_folder_that_cannot_be_made_is_told(data):
    data.symlink_to("/proc/nothing")
    assert "cannot be made" in faults(data)["data_dir"]
