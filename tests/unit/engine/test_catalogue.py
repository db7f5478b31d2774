import errno
import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from thrift_kit import make_tables

from app.engine import catalogue as module
from app.engine.catalogue import Catalogue
from app.engine.compiled import MAX_BYTES, Compiler
from app.errors import Conflict, NotFound, UpstreamUnreachable
from app.isolation import Isolated
from app.store.compiled import CompiledDefinitions, WorkflowFiles
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots

STEP = {"id": "a", "type": "script", "config": {"script": "echo 'a: b'\ntrue\n"}}


def source(workflow_id="w", **changes):
    return {"id": workflow_id, "steps": [STEP]} | changes


def put(folder, name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")


def names(folder):
    return [path.name for path in folder.iterdir()]


def age(path):
    """Make a file older than any tick of its file system's clock."""
    then = time.time() - 3600
    os.utime(path, (then, then))


class Store:
    """A store, and catalogues over it as web processes have them, each with its own memory."""

    def __init__(self, folder):
        url = f"sqlite:///{folder / 'slipway.db'}"
        make_tables(url)
        self.database = Database(url)
        self.checked = []

    def compiler(self):
        snapshots = DefinitionSnapshots(self.database)
        isolated = CountingIsolated(self.checked, seconds=60)
        return Compiler(CompiledDefinitions(self.database), snapshots, isolated)

    def catalogue(self, folder):
        return Catalogue(folder, self.compiler(), WorkflowFiles(self.database, str(folder)))


class CountingIsolated(Isolated):
    """Notes what is checked in worker processes."""

    def __init__(self, checked, **kwargs):
        super().__init__(**kwargs)
        self._checked = checked

    def run(self, owner, function, argument):
        self._checked.append(argument)
        return super().run(owner, function, argument)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store(tmp_path_factory.mktemp("store"))
    yield made
    made.database.dispose()


@pytest.fixture
def catalogue(tmp_path, store):
    return store.catalogue(tmp_path)


def save(catalogue, document):
    text = json.dumps(document).encode()
    catalogue.save(catalogue._compiler.compile(text), text)


def large(workflow_id="large", **changes):
    """A definition that takes long enough to be read beside the calls."""
    return source(workflow_id, description="x" * 40_000, **changes)


def faults(catalogue):
    return {
        fault.name: [field.message for field in fault.error.fields] for fault in catalogue.faults()
    }


def test_a_missing_folder_is_empty(tmp_path, store):
    catalogue = store.catalogue(tmp_path / "missing")
    assert catalogue.all() == []
    assert catalogue.faults() == []
    with pytest.raises(NotFound):
        catalogue.get("w")


def test_offers_every_definition_by_id(catalogue, tmp_path):
    put(tmp_path, "x.json", source("c"))
    put(tmp_path, "y.yaml", source("a"))
    put(tmp_path, "z.yml", source("b"))
    put(tmp_path, "notes.txt", "no definition")
    put(tmp_path, ".hidden.yaml", "no definition")
    (tmp_path / "folder.yaml").mkdir()
    assert [definition.id for definition in catalogue.all()] == ["a", "b", "c"]
    assert catalogue.get("b").name == "b"
    assert catalogue.faults() == []


def test_a_faulty_file_hides_no_other(catalogue, tmp_path):
    put(tmp_path, "a.yaml", "id: a\nsteps: [")
    put(tmp_path, "b.yaml", source("b"))
    assert [definition.id for definition in catalogue.all()] == ["b"]
    (message,) = faults(catalogue)["a.yaml"]
    assert "(line 2)" in message


def test_of_two_files_with_one_id_the_first_by_name_counts(catalogue, tmp_path):
    put(tmp_path, "b.yaml", source("w", name="second"))
    put(tmp_path, "a.yaml", source("w", name="first"))
    assert catalogue.get("w").name == "first"
    (fault,) = catalogue.faults()
    (field,) = fault.error.fields
    assert (fault.name, fault.id, fault.offered) == ("b.yaml", "w", False)
    assert (field.path, field.message) == ("id", "is the id of 'a.yaml' too")


def test_edited_files_are_picked_up(catalogue, tmp_path):
    for name in "abcdefgh":  # of the same size, and as fast as can be
        put(tmp_path, "w.yaml", source(name=name))
        assert catalogue.get("w").name == name
    (tmp_path / "w.yaml").unlink()
    assert catalogue.all() == []


def test_a_file_that_rests_is_read_once(catalogue, tmp_path):
    put(tmp_path, "w.yaml", source())
    age(tmp_path / "w.yaml")
    assert catalogue.get("w") is catalogue.get("w")


def test_saves_what_was_sent_for_nobody_else_to_read(catalogue, tmp_path):
    text = b"# mine\nid: w\nsteps:\n- {id: a, type: script, config: {script: 'echo'}}\n"
    catalogue.save(catalogue._compiler.compile(text), text)
    assert catalogue.get("w").id == "w"
    assert (tmp_path / "w.yaml").read_bytes() == text
    assert stat.S_IMODE((tmp_path / "w.yaml").stat().st_mode) == 0o600
    assert names(tmp_path) == ["w.yaml"]


def test_json_is_rewritten_for_people(store):
    text = store.compiler().rewritten(json.dumps(source()).encode())
    assert b"      script: |\n        echo 'a: b'\n        true\n" in text


def test_saves_into_a_folder_that_it_makes(tmp_path, store):
    catalogue = store.catalogue(tmp_path / "new" / "folder")
    save(catalogue, source())
    assert catalogue.get("w").id == "w"


@pytest.mark.parametrize("name", ["w.json", "w.yml", "other.yaml"])
def test_saving_replaces_the_file_that_held_the_id(catalogue, tmp_path, name):
    put(tmp_path, name, source(name="old"))
    save(catalogue, source(name="new"))
    assert names(tmp_path) == ["w.yaml"]
    assert catalogue.get("w").name == "new"


def test_saving_repairs_a_faulty_file(catalogue, tmp_path):
    put(tmp_path, "w.yaml", "nonsense")
    save(catalogue, source())
    assert catalogue.faults() == []


def test_saving_spares_another_workflow(catalogue, tmp_path):
    put(tmp_path, "w.yaml", source("other"))
    with pytest.raises(Conflict, match="holds the workflow 'other'"):
        save(catalogue, source())
    assert catalogue.get("other").id == "other"


def test_saving_stops_at_the_most_files(catalogue, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILES", 2)
    save(catalogue, source("a"))
    save(catalogue, source("b"))
    save(catalogue, source("b", name="again"))
    with pytest.raises(Conflict, match="There are 2 workflows already"):
        save(catalogue, source("c"))
    put(tmp_path, "c.yaml", source("c"))
    assert [w.id for w in catalogue.all()] == ["a", "b"]
    assert "more than 2 definitions" in faults(catalogue)["."][0]


def test_removes_all_that_holds_the_id(catalogue, tmp_path):
    put(tmp_path, "a.yaml", source())
    put(tmp_path, "b.yaml", source())
    catalogue.remove("w")
    assert names(tmp_path) == []
    with pytest.raises(NotFound):
        catalogue.remove("w")


def test_readers_see_the_old_or_the_new_and_never_less(catalogue, tmp_path, store):
    save(catalogue, source(name="0"))

    def read(_):
        return catalogue.get("w").name

    with ThreadPoolExecutor() as pool:
        seen = pool.map(read, range(200))
        for number in range(1, 20):
            save(store.catalogue(tmp_path), source(name=str(number)))
        assert set(seen) <= {str(number) for number in range(20)}


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
    def test_each_is_told_and_hides_no_other(self, catalogue, tmp_path, make, reason):
        put(tmp_path, "b.yaml", source("b"))
        make(tmp_path / "bad.yaml")
        for _ in range(2):
            assert [w.id for w in catalogue.all()] == ["b"]
            assert reason in eventually(lambda: faults(catalogue))["bad.yaml"][0]
        save(catalogue, source("c"))
        catalogue.remove("b")
        assert [w.id for w in catalogue.all()] == ["c"]

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
    @pytest.mark.parametrize("where", ["stat", "read"])
    def test_errors_of_the_file_system(self, catalogue, tmp_path, monkeypatch, number, where):
        put(tmp_path, "a.yaml", source("a"))
        put(tmp_path, "b.yaml", source("b"))
        original = Path.stat if where == "stat" else module._content

        def fail(path, *args, **kwargs):
            if path.name == "a.yaml":
                raise OSError(number, os.strerror(number))
            return original(path, *args, **kwargs)

        target, name = (Path, "stat") if where == "stat" else (module, "_content")
        monkeypatch.setattr(target, name, fail)
        assert [w.id for w in catalogue.all()] == ["b"]
        assert faults(catalogue) == {"a.yaml": [f"cannot be read: {os.strerror(number)}"]}
        monkeypatch.undo()
        assert [w.id for w in catalogue.all()] == ["a", "b"]
        assert catalogue.faults() == []

    def test_a_file_that_vanishes_is_gone(self, catalogue, tmp_path, monkeypatch):
        put(tmp_path, "a.yaml", source("a"))

        def vanish(path):
            path.unlink()
            raise FileNotFoundError

        monkeypatch.setattr(module, "_content", vanish)
        assert catalogue.all() == []
        assert catalogue.faults() == []

    def test_a_name_that_is_no_unicode(self, catalogue, tmp_path):
        (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("nonsense")
        assert faults(catalogue)["\ufffd.yaml"]

    def test_a_folder_that_cannot_be_read_keeps_what_was_good(self, store, tmp_path, monkeypatch):
        put(tmp_path, "a.yaml", source("a"))
        assert [w.stale for w in store.catalogue(tmp_path).all()] == [False]

        def fail(_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "scandir", fail)
        catalogue = store.catalogue(tmp_path)
        assert [(w.id, w.stale) for w in catalogue.all()] == [("a", True)]
        assert "Permission denied" in faults(catalogue)["."][0]
        monkeypatch.undo()
        assert [(w.id, w.stale) for w in catalogue.all()] == [("a", False)]
        assert catalogue.faults() == []

    def test_a_folder_that_cannot_be_written(self, catalogue, tmp_path, monkeypatch):
        def fail(*_):
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(module, "write_whole", fail)
        with pytest.raises(UpstreamUnreachable, match="Read-only file system"):
            save(catalogue, source())


class TestLastGood:
    def test_goes_on_being_offered_also_by_another_process(self, catalogue, tmp_path, store):
        put(tmp_path, "w.yaml", source(name="good"))
        good = catalogue.get("w")
        put(tmp_path, "w.yaml", "id: w\nsteps: [")
        for each in (catalogue, store.catalogue(tmp_path)):
            found = each.get("w")
            assert (found.name, found.digest, found.stale) == ("good", good.digest, True)
            (fault,) = each.faults()
            assert (fault.name, fault.id, fault.offered) == ("w.yaml", "w", True)
        put(tmp_path, "w.yaml", source(name="better"))
        assert (catalogue.get("w").name, catalogue.get("w").stale) == ("better", False)
        assert catalogue.faults() == []

    def test_is_gone_with_its_file(self, catalogue, tmp_path):
        put(tmp_path, "w.yaml", source())
        assert catalogue.all()
        (tmp_path / "w.yaml").unlink()
        assert catalogue.all() == []
        put(tmp_path, "w.yaml", "nonsense")
        assert catalogue.all() == []

    def test_gives_way_to_a_good_file_of_the_same_id(self, catalogue, tmp_path):
        put(tmp_path, "a.yaml", source(name="old"))
        assert catalogue.all()
        put(tmp_path, "a.yaml", "nonsense")
        put(tmp_path, "b.yaml", source(name="new"))
        assert [w.name for w in catalogue.all()] == ["new"]

    def test_can_be_removed(self, catalogue, tmp_path):
        put(tmp_path, "w.yaml", source())
        assert catalogue.all()
        put(tmp_path, "w.yaml", "nonsense")
        catalogue.remove("w")
        assert catalogue.all() == []
        assert names(tmp_path) == []

    def test_a_fault_is_logged_once(self, catalogue, tmp_path, store):
        put(tmp_path, "w.yaml", "nonsense")
        with capture_logs() as logs:
            for _ in range(3):
                catalogue.all()
                catalogue.faults()
            store.catalogue(tmp_path).all()
        assert [log["event"] for log in logs] == ["a workflow file is faulty"]
        put(tmp_path, "w.yaml", "other nonsense")
        with capture_logs() as logs:
            catalogue.all()
        assert len(logs) == 1


class TestLargeFiles:
    def test_are_read_beside_the_calls(self, catalogue, tmp_path):
        put(tmp_path, "a.yaml", large("a"))
        put(tmp_path, "b.yaml", source("b"))
        assert "b" in [w.id for w in catalogue.all()]
        assert catalogue.get("a").id == "a"
        assert [w.id for w in catalogue.all()] == ["a", "b"]

    def test_are_checked_once_for_all_processes(self, catalogue, tmp_path, store):
        put(tmp_path, "a.yaml", large("once"))
        catalogue.get("once")
        del store.checked[:]
        again = store.catalogue(tmp_path)
        assert again.get("once").digest == catalogue.get("once").digest
        assert again._compiler.details(again.get("once")).steps[0].name == "a"
        assert store.checked == []

    def test_a_faulty_one_is_checked_once_too(self, catalogue, tmp_path, store):
        put(tmp_path, "a.yaml", large("faulty", stray=1))
        assert eventually(lambda: faults(catalogue))
        del store.checked[:]
        assert eventually(lambda: faults(store.catalogue(tmp_path)))
        assert store.checked == []


def eventually(look):
    deadline = time.monotonic() + 30
    while not (seen := look()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return seen


def test_what_cannot_be_read_for_now_is_tried_again(catalogue, tmp_path, monkeypatch):
    put(tmp_path, "a.yaml", source("a"))
    put(tmp_path, "b.yaml", source("b"))
    original = module._content

    def fail(path):
        raise RuntimeError(path.name)

    monkeypatch.setattr(module, "_content", fail)
    assert catalogue.all() == []
    monkeypatch.setattr(module, "_content", original)
    assert [w.id for w in catalogue.all()] == ["a", "b"]


def test_a_caller_who_is_ended_in_the_middle_holds_up_no_other(catalogue, tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        put(tmp_path, f"{name}.json", source(name))

    class Ended(BaseException):
        """As gevent ends the greenlet of a request whose client went away."""

    def end(_):
        raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(module, "_await", end)
        with pytest.raises(Ended):
            catalogue.all()
    assert [found.id for found in catalogue.all()] == ["a", "b", "c"]
