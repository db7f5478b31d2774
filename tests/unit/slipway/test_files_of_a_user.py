"""Files that nobody but their owner may read."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from slipway.private_files import locked, private_folder, write_private


def mode(path):
    return path.stat().st_mode & 0o777


def test_a_file_and_its_folder_are_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "folder" / "file", "text")
    finally:
        os.umask(before)
    assert mode(tmp_path / "folder") == 0o700
    assert mode(tmp_path / "folder" / "file") == 0o600
    assert [*(tmp_path / "folder").iterdir()] == [tmp_path / "folder" / "file"]


def test_a_folder_that_others_can_read_is_closed(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    private_folder(folder)
    assert mode(folder) == 0o700


def test_what_cannot_be_written_leaves_what_was_before(tmp_path, monkeypatch):
    file = tmp_path / "file"
    write_private(file, "before")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_private(file, "after")
    assert file.read_text() == "before"
    assert [*tmp_path.iterdir()] == [file]


def test_a_link_leads_to_what_is_written(tmp_path):
    real = tmp_path / "dotfiles" / "profiles.json"
    write_private(real, "before")
    link = tmp_path / "profiles.json"
    link.symlink_to(real)
    write_private(link, "after")
    assert link.is_symlink()
    assert real.read_text() == "after"


def test_one_program_at_a_time(tmp_path):
    """Forty programs that each add one to a number lose none."""
    file = tmp_path / "number"
    write_private(file, "0")
    code = (
        "import sys; from pathlib import Path; from slipway.private_files import *\n"
        "file = Path(sys.argv[1])\n"
        "for _ in range(10):\n"
        "    with locked(file): write_private(file, str(int(file.read_text()) + 1))\n"
    )
    programs = [subprocess.Popen([sys.executable, "-c", code, str(file)]) for _ in range(4)]
    assert [program.wait() for program in programs] == [0] * 4
    assert file.read_text() == "40"


def test_a_lock_that_is_not_given_back_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("slipway.private_files._LOCK_SECONDS", 0.0)
    file = tmp_path / "file"
    with locked(file), pytest.raises(TimeoutError, match="Another program holds"), locked(file):
        pytest.fail("it must not come to it")


def test_a_folder_that_a_link_leads_to_stays_open_to_others(tmp_path):
    real = tmp_path / "shared" / "profiles.json"
    real.parent.mkdir()
    real.parent.chmod(0o755)
    link = tmp_path / "config" / "profiles.json"
    link.parent.mkdir()
    link.symlink_to(real)
    write_private(link, "text")
    assert (mode(real.parent), mode(link.parent), mode(real)) == (0o755, 0o700, 0o600)
