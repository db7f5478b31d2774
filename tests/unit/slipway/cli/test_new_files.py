"""Files for what is shown only once."""

from __future__ import annotations

import errno
import os

import pytest

from slipway.cli.codes import Failure
from slipway.cli.new_files import NewFile


def test_what_is_written_is_there_with_its_mode_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        with NewFile(tmp_path / "made", 0o644) as file:
            assert file.write("text\n")
    finally:
        os.umask(before)
    file.complain()
    assert (tmp_path / "made").read_text() == "text\n"
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o644


def test_what_is_there_is_not_written_over(tmp_path):
    (tmp_path / "made").write_text("before")
    with pytest.raises(Failure, match="is there already"), NewFile(tmp_path / "made", 0o644):
        pytest.fail("it must not come to it")
    assert (tmp_path / "made").read_text() == "before"


def test_a_file_that_nothing_came_into_goes_again(tmp_path):
    with pytest.raises(ZeroDivisionError), NewFile(tmp_path / "made", 0o644):
        raise ZeroDivisionError
    assert not (tmp_path / "made").exists()


def test_a_full_disk_is_said_after_all_is_shown(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with NewFile(tmp_path / "made", 0o644) as file:
        monkeypatch.setattr(os, "write", full)
        assert not file.write("text\n"), "so it is to be shown"
    assert not (tmp_path / "made").exists()
    with pytest.raises(Failure, match="No space left") as failure:
        file.complain()
    assert failure.value.code == 1


def test_no_file_is_no_fault():
    with NewFile(None, 0o644) as file:
        assert not file.write("text\n")
    file.complain()
