import os
from pathlib import Path

import pytest

from app.removal import remove_tree
from app.trees import measure_tree


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    made.mkdir()
    return made


def test_a_folder_goes_with_all_that_is_in_it(folder):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    (folder / "file").write_text("x")
    assert remove_tree(folder, 60)
    assert not folder.exists()
    assert remove_tree(folder, 60)


def test_no_link_is_followed(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (folder / "to a folder").symlink_to(outside)
    (folder / "to a file").symlink_to(outside / "kept")
    (folder / "to nothing").symlink_to("nowhere")
    assert remove_tree(folder, 60)
    assert (outside / "kept").read_text() == "x"


def test_a_link_or_a_file_in_its_place_goes_itself(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for name, make in (("link", lambda p: p.symlink_to(outside)), ("file", Path.touch)):
        place = tmp_path / name
        make(place)
        assert remove_tree(place, 60)
        assert not place.is_symlink()
        assert not place.exists()
    assert outside.is_dir()


def test_what_its_owner_may_not_change_goes_all_the_same(folder):
    inner = folder / "locked" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    inner.chmod(0o000)
    (folder / "locked").chmod(0o500)
    folder.chmod(0o500)
    assert remove_tree(folder, 60)
    assert not folder.exists()


def test_no_depth_is_too_deep(folder):
    here = os.open(folder, os.O_RDONLY)
    for _ in range(3000):  # deeper than Python recurses, and than a path can name
        os.mkdir("a" * 40, dir_fd=here)
        below = os.open("a" * 40, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert remove_tree(folder, 600)
    assert not folder.exists()


def test_what_takes_longer_is_gone_on_with(folder):
    for number in range(20):
        (folder / str(number)).mkdir()
        (folder / str(number) / "file").write_text("x")
    assert not remove_tree(folder, -1)
    assert folder.exists()
    assert remove_tree(folder, 60)


def test_what_files_take_up_is_measured_with_some_apart(folder):
    (folder / "a").mkdir()
    (folder / "a" / "frames").write_bytes(b"x" * 100_000)
    (folder / "a" / "other").write_bytes(b"x" * 300_000)
    (folder / "loop").symlink_to(folder)
    rest, frames = measure_tree(folder, 60, "frames".__eq__)
    assert frames.bytes_ >= 100_000
    assert 300_000 <= rest.bytes_ < 400_000
    assert rest.whole
    assert frames.whole


def test_what_is_not_measured_in_time_is_said_to_be_missing(folder):
    (folder / "file").write_text("x")
    rest, frames = measure_tree(folder, -1)
    assert not rest.whole
    assert not frames.whole


def test_a_folder_that_is_missing_takes_up_nothing(tmp_path):
    rest, _ = measure_tree(tmp_path / "nowhere", 60)
    assert (rest.bytes_, rest.whole) == (0, True)
