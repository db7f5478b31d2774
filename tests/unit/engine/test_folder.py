import errno
import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from definitions_kit import source, store
from sqlalchemy import update
from structlog.testing import capture_logs

from app.engine import folder as module
from app.engine.compiled import MAX_BYTES
from app.store.schema import workflow_files

__all__ = ["store"]


def put(path, name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (path / name).write_text(text, encoding="utf-8")


def age(path):
    """Make a file older than any tick of its file system's clock."""
    then = time.time() - 3600
    os.utime(path, (then, then))


@pytest.fixture
def folder(tmp_path, store):
    return store.folder(tmp_path)


def large(workflow_id="large", **changes):
    """A definition that takes long enough to be read beside the calls."""
    return source(workflow_id, description="x" * 40_000, **changes)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def faults(folder):
    return {
        fault.name: [field.message for field in fault.error.fields] for fault in folder.faults()
    }


def test_a_missing_folder_is_empty(tmp_path, store):
    folder = store.folder(tmp_path / "missing")
    assert folder.all() == []
    assert folder.faults() == []
    assert folder.find("w") is None
    assert not (tmp_path / "missing").exists()


def test_offers_every_definition_by_id(folder, tmp_path):
    put(tmp_path, "x.json", source("c"))
    put(tmp_path, "y.yaml", source("a"))
    put(tmp_path, "z.yml", source("b"))
    put(tmp_path, "notes.txt", "no definition")
    put(tmp_path, ".hidden.yaml", "no definition")
    (tmp_path / "folder.yaml").mkdir()
    assert [definition.id for definition in folder.all()] == ["a", "b", "c"]
    assert folder.find("b").name == "b"
    assert folder.faults() == []


def test_a_faulty_file_hides_no_other(folder, tmp_path):
    put(tmp_path, "a.yaml", "id: a\nsteps: [")
    put(tmp_path, "b.yaml", source("b"))
    assert [definition.id for definition in folder.all()] == ["b"]
    (message,) = faults(folder)["a.yaml"]
    assert "(line 2)" in message


def test_of_two_files_with_one_id_the_first_by_name_counts(folder, tmp_path):
    put(tmp_path, "b.yaml", source("w", name="second"))
    put(tmp_path, "a.yaml", source("w", name="first"))
    assert folder.find("w").name == "first"
    (fault,) = folder.faults()
    (field,) = fault.error.fields
    assert (fault.name, fault.id, fault.offered) == ("b.yaml", "w", False)
    assert (field.path, field.message) == ("id", "is the id of 'a.yaml' too")


def test_edited_files_are_picked_up(folder, tmp_path):
    for name in "abcdefgh":  # of the same size, and as fast as can be
        put(tmp_path, "w.yaml", source(name=name))
        assert folder.find("w").name == name
    (tmp_path / "w.yaml").unlink()
    assert folder.all() == []


def test_a_file_that_rests_is_read_once(folder, tmp_path):
    put(tmp_path, "w.yaml", source())
    age(tmp_path / "w.yaml")
    assert folder.find("w") is folder.find("w")


def test_the_most_files_are_offered_and_more_are_told(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILES", 2)
    for name in "cab":
        put(tmp_path, f"{name}.yaml", source(name))
    assert [w.id for w in folder.all()] == ["a", "b"]
    assert "more than 2 definitions" in faults(folder)["."][0]


def test_the_files_of_an_id_are_named(folder, tmp_path):
    put(tmp_path, "b.yaml", source())
    put(tmp_path, "a.json", source())
    put(tmp_path, "c.yaml", source("other"))
    assert folder.names_of("w") == ["a.json", "b.yaml"]
    assert folder.names_of("none") == []


def test_what_is_uploaded_too_is_told(folder, tmp_path):
    put(tmp_path, "w.yaml", source())
    assert folder.faults({"other"}) == []
    (fault,) = folder.faults({"w"})
    (field,) = fault.error.fields
    assert (fault.name, fault.id, fault.offered) == ("w.yaml", "w", False)
    assert (field.path, field.message) == ("id", "is the id of an uploaded definition too")
    put(tmp_path, "w.yaml", "nonsense")
    assert [fault.offered for fault in folder.faults()] == [True]
    assert [fault.offered for fault in folder.faults({"w"})] == [False]


class TestFileSystemFaults:
    """What is wrong with one entry of the folder is a fault of that entry only."""

    @staticmethod
    def loop(path):
        path.symlink_to(path.name)

    @staticmethod
    def dangling(path):
        path.symlink_to("nowhere")

    @staticmethod
    def fifo(path):
        os.mkfifo(path)

    @staticmethod
    def too_large(path):
        path.write_text(f"id: w # {'x' * MAX_BYTES}\n")

    @staticmethod
    def not_utf8(path):
        path.write_bytes(b"\xff")

    @staticmethod
    def device(path):
        path.symlink_to("/dev/zero")

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (loop, "Too many levels of symbolic links"),
            (dangling, "the link leads nowhere"),
            (fifo, "it is no regular file"),
            (device, "it is no regular file"),
            (too_large, "is larger than 1024 KiB"),
            (not_utf8, "is not UTF-8"),
        ],
    )
    def test_each_is_told_and_hides_no_other(self, folder, tmp_path, make, reason):
        put(tmp_path, "b.yaml", source("b"))
        make(tmp_path / "bad.yaml")
        for _ in range(2):
            assert [w.id for w in folder.all()] == ["b"]
            assert reason in eventually(lambda: faults(folder))["bad.yaml"][0]
        put(tmp_path, "c.yaml", source("c"))
        (tmp_path / "b.yaml").unlink()
        assert [w.id for w in folder.all()] == ["c"]

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
    @pytest.mark.parametrize("where", ["stat", "read"])
    def test_errors_of_the_file_system(self, folder, tmp_path, monkeypatch, number, where):
        put(tmp_path, "a.yaml", source("a"))
        put(tmp_path, "b.yaml", source("b"))
        original = Path.stat if where == "stat" else module.read_definition

        def fail(path, *args, **kwargs):
            if path.name == "a.yaml":
                raise OSError(number, os.strerror(number))
            return original(path, *args, **kwargs)

        target, name = (Path, "stat") if where == "stat" else (module, "read_definition")
        monkeypatch.setattr(target, name, fail)
        assert [w.id for w in folder.all()] == ["b"]
        assert faults(folder) == {"a.yaml": [f"cannot be read: {os.strerror(number)}"]}
        monkeypatch.undo()
        assert [w.id for w in folder.all()] == ["a", "b"]
        assert folder.faults() == []

    def test_a_file_that_vanishes_is_gone(self, folder, tmp_path, monkeypatch):
        put(tmp_path, "a.yaml", source("a"))

        def vanish(path):
            path.unlink()
            raise FileNotFoundError

        monkeypatch.setattr(module, "read_definition", vanish)
        assert folder.all() == []
        assert folder.faults() == []

    def test_a_name_that_is_no_unicode(self, folder, tmp_path):
        (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("nonsense")
        assert faults(folder)["\ufffd.yaml"]

    def test_a_folder_that_cannot_be_read_keeps_what_was_good(self, store, tmp_path, monkeypatch):
        put(tmp_path, "a.yaml", source("a"))
        assert [w.stale for w in store.folder(tmp_path).all()] == [False]

        def fail(_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "scandir", fail)
        folder = store.folder(tmp_path)
        assert [(w.id, w.stale) for w in folder.all()] == [("a", True)]
        assert "Permission denied" in faults(folder)["."][0]
        monkeypatch.undo()
        assert [(w.id, w.stale) for w in folder.all()] == [("a", False)]
        assert folder.faults() == []


class TestLastGood:
    def test_goes_on_being_offered_also_by_another_process(self, folder, tmp_path, store):
        put(tmp_path, "w.yaml", source(name="good"))
        good = folder.find("w")
        put(tmp_path, "w.yaml", "id: w\nsteps: [")
        for each in (folder, store.folder(tmp_path)):
            found = each.find("w")
            assert (found.name, found.digest, found.stale) == ("good", good.digest, True)
            (fault,) = each.faults()
            assert (fault.name, fault.id, fault.offered) == ("w.yaml", "w", True)
        put(tmp_path, "w.yaml", source(name="better"))
        assert (folder.find("w").name, folder.find("w").stale) == ("better", False)
        assert folder.faults() == []

    def test_is_gone_with_its_file(self, folder, tmp_path):
        put(tmp_path, "w.yaml", source())
        assert folder.all()
        (tmp_path / "w.yaml").unlink()
        assert folder.all() == []
        put(tmp_path, "w.yaml", "nonsense")
        assert folder.all() == []

    def test_gives_way_to_a_good_file_of_the_same_id(self, folder, tmp_path):
        put(tmp_path, "a.yaml", source(name="old"))
        assert folder.all()
        put(tmp_path, "a.yaml", "nonsense")
        put(tmp_path, "b.yaml", source(name="new"))
        assert [w.name for w in folder.all()] == ["new"]

    def test_is_that_of_the_machine(self, folder, tmp_path, store):
        """Another one may have another folder of the same path."""
        put(tmp_path, "w.yaml", source())
        assert folder.all()
        put(tmp_path, "w.yaml", "nonsense")
        assert [w.stale for w in store.folder(tmp_path).all()] == [True]
        assert store.folder(tmp_path, mark="another machine").all() == []

    def test_is_remembered_from_before_machines_were_told_apart(self, folder, tmp_path, store):
        put(tmp_path, "w.yaml", source())
        assert folder.all()
        before, after = (digest(f"{mark}{tmp_path}") for mark in ("", "this machine:"))
        back = update(workflow_files).where(workflow_files.c.folder == after)
        back = back.values(id=digest(f"{before}/w.yaml"), folder=before)
        assert store.database.write(lambda c: c.execute(back).rowcount) == 1
        put(tmp_path, "w.yaml", "nonsense")
        assert [w.stale for w in store.folder(tmp_path).all()] == [True]
        (tmp_path / "w.yaml").unlink()
        again = store.folder(tmp_path)
        put(tmp_path, "w.yaml", "nonsense")
        assert [w.stale for w in again.all()] == [True]
        (tmp_path / "w.yaml").unlink()
        assert again.all() == []
        put(tmp_path, "w.yaml", "nonsense")
        assert again.all() == []

    def test_a_fault_is_logged_once(self, folder, tmp_path, store):
        put(tmp_path, "w.yaml", "nonsense")
        with capture_logs() as logs:
            for _ in range(3):
                folder.all()
                folder.faults()
            store.folder(tmp_path).all()
        assert [log["event"] for log in logs] == ["a workflow file is faulty"]
        put(tmp_path, "w.yaml", "other nonsense")
        with capture_logs() as logs:
            folder.all()
        assert len(logs) == 1


class TestLargeFiles:
    def test_are_read_beside_the_calls(self, folder, tmp_path):
        put(tmp_path, "a.yaml", large("a"))
        put(tmp_path, "b.yaml", source("b"))
        assert "b" in [w.id for w in folder.all()]
        assert folder.find("a").id == "a"
        assert [w.id for w in folder.all()] == ["a", "b"]

    def test_are_found_that_have_been_read_between_two_looks(self, folder, tmp_path, monkeypatch):
        settle = folder.settle

        def settle_late():
            assert eventually(lambda: folder.all() and not folder._reading)
            return settle()

        monkeypatch.setattr(folder, "settle", settle_late)
        put(tmp_path, "a.yaml", large("a"))
        os.utime(tmp_path / "a.yaml", (1, 1))  # else it would be read once more
        assert folder.find("a").id == "a"

    def test_are_checked_once_for_all_processes(self, folder, tmp_path, store):
        put(tmp_path, "a.yaml", large("once"))
        folder.find("once")
        del store.checked[:]
        again = store.folder(tmp_path)
        assert again.find("once").digest == folder.find("once").digest
        assert again._compiler.details(again.find("once")).steps[0].name == "a"
        assert store.checked == []

    def test_a_faulty_one_is_checked_once_too(self, folder, tmp_path, store):
        put(tmp_path, "a.yaml", large("faulty", stray=1))
        assert eventually(lambda: faults(folder))
        del store.checked[:]
        assert eventually(lambda: faults(store.folder(tmp_path)))
        assert store.checked == []


def eventually(look):
    deadline = time.monotonic() + 30
    while not (seen := look()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return seen


def test_what_cannot_be_read_for_now_is_tried_again(folder, tmp_path, monkeypatch):
    put(tmp_path, "a.yaml", source("a"))
    put(tmp_path, "b.yaml", source("b"))
    original = module.read_definition

    def fail(path):
        raise RuntimeError(path.name)

    monkeypatch.setattr(module, "read_definition", fail)
    assert folder.all() == []
    monkeypatch.setattr(module, "read_definition", original)
    assert [w.id for w in folder.all()] == ["a", "b"]


def test_a_caller_who_is_ended_in_the_middle_holds_up_no_other(folder, tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        put(tmp_path, f"{name}.json", source(name))

    class Ended(BaseException):
        """As gevent ends the greenlet of a request whose client went away."""

    def end(_):
        raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(module, "_await", end)
        with pytest.raises(Ended):
            folder.all()
    assert [found.id for found in folder.all()] == ["a", "b", "c"]
