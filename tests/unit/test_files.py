from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import threading
from pathlib import Path

import pytest

from app import files


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_is_for_its_owner_only(tmp_path, umask):
    files.make_private_folder(tmp_path / "a" / "b")
    files.write_whole(tmp_path / "a" / "b" / "c", b"x")
    files.make_private_file(tmp_path / "a" / "d")
    files.read_or_make(tmp_path / "e" / "f", lambda: "x")
    assert [mode(tmp_path / path) for path in ("a", "a/b", "e")] == [0o700] * 3
    assert [mode(tmp_path / path) for path in ("a/b/c", "a/d", "e/f")] == [0o600] * 3


def test_it_is_told_which_folders_hold_a_new_name(tmp_path):
    made = files.make_private_folder(tmp_path / "a" / "b" / "c")
    assert made == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert files.make_private_folder(tmp_path / "a" / "d") == [tmp_path / "a"]
    assert files.make_private_folder(tmp_path / "a" / "d") == []


def test_folders_that_are_there_stay_as_they_are(tmp_path):
    (tmp_path / "a").mkdir(mode=0o755)
    files.make_private_folder(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o755


def test_a_file_is_replaced_or_left(tmp_path):
    path = tmp_path / "a"
    files.write_whole(path, b"one", replace=False)
    with pytest.raises(FileExistsError):
        files.write_whole(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    files.write_whole(path, b"three")
    assert path.read_bytes() == b"three"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there_before(tmp_path, monkeypatch, call):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a"
    path.write_bytes(b"before")
    monkeypatch.setattr(os if call == "fsync" else Path, call, full)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, b"x")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_files():
    """Let the kernel refuse what makes a file longer than 64 KiB: setrlimit(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_can_be_written_in_part_only_does_not_appear(tmp_path, small_files):
    with pytest.raises(OSError, match="too large"):
        files.write_whole(tmp_path / "a", b"x" * 200_000)
    assert list(tmp_path.iterdir()) == []


def test_what_is_made_once_is_the_same_for_all(tmp_path):
    path = tmp_path / "folder" / "a"
    made = []

    def make():
        made.append(str(len(made)))
        return made[-1]

    found = []
    threads = [
        threading.Thread(target=lambda: found.append(files.read_or_make(path, make)))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["0"] * 20
    assert made == ["0"]


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_what_was_begun_on_a_full_disk_is_made_anew(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert files.read_or_make(tmp_path / "a", lambda: "x") == "x"
    assert files.read_or_make(tmp_path / "a", lambda: "y") == "x"


def test_the_umask_of_the_start_is_remembered(monkeypatch):
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(files, "_inherited", [])
        assert files.inherited_umask() == 0o027
        files.set_private_umask()
        files.set_private_umask()
        assert files.inherited_umask() == 0o027
        assert os.umask(0o022) == 0o077
    finally:
        os.umask(before)
