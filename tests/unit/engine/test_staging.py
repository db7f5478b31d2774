"""Files that steps are given and give back: in the definition, in a run, and how they are moved."""

import os
import re
import threading
from pathlib import Path

import pytest
from engine_kit import Bench, ScriptedLauncher, steps

from app.domain import ExecutionStatus
from app.engine.definition import load
from app.engine.launchers import staging as module
from app.engine.launchers.staging import MAX_STAGED_BYTES, check_files, copy_files
from app.errors import InvalidDefinition, InvalidRequest, UpstreamRefused, UpstreamUnreachable


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "data").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "data" / "run.sh").write_text("#!/bin/sh")
    (folder / "data" / "run.sh").chmod(0o750)
    return folder


@pytest.fixture
def target(tmp_path):
    return tmp_path / "far" / "target"


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def names(folder):
    return [path.name for path in folder.iterdir()]


# Moving them


def test_files_are_copied_with_their_folders_and_modes(source, target):
    for _ in range(2):
        copy_files(source, target, ["a.txt", "data/run.sh"])
        assert content(target) == {"a.txt": "a", "data/run.sh": "#!/bin/sh"}
    assert (target / "data/run.sh").stat().st_mode & 0o777 == 0o750
    assert target.stat().st_mode & 0o777 == 0o700


def test_the_names_of_copies_are_on_the_disk_too(source, target, monkeypatch):
    synced = []

    def fsync(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(module.os, "fsync", fsync)
    copy_files(source, target, ["data/run.sh"])
    folders = [target.parent.parent, target.parent, target, target / "data"]
    assert [path for path in synced if path in folders] == folders


@pytest.mark.parametrize(
    "path", ["../a.txt", "data/../a.txt", "/etc/passwd", "", ".", "data/../../x"]
)
def test_a_path_does_not_lead_out(source, target, path):
    with pytest.raises(InvalidRequest, match=re.escape(f"'{path}' is")):
        check_files(source, [path])
    with pytest.raises(InvalidRequest):
        copy_files(source, target, [path])


@pytest.mark.parametrize("link", ["a.txt", "data"])
def test_a_link_is_not_followed_on_either_side(source, target, link, tmp_path):
    path = {"a.txt": "a.txt", "data": "data/run.sh"}[link]
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "run.sh").write_text("secret")
    (source / link).rename(source / "was")
    (source / link).symlink_to(secret if link == "data" else secret / "run.sh")
    with pytest.raises(InvalidRequest, match="symbolic link"):
        copy_files(source, target, [path])
    with pytest.raises(InvalidRequest, match="symbolic link"):
        check_files(source, [path])
    assert content(target) == {}


def test_a_link_at_the_other_end_is_replaced_or_refused_and_never_written_through(
    source, target, tmp_path
):
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "run.sh").write_text("mine")
    target.mkdir(parents=True)
    (target / "a.txt").symlink_to(tmp_path / "others" / "run.sh")
    copy_files(source, target, ["a.txt"])
    assert not (target / "a.txt").is_symlink()
    (target / "data").symlink_to(tmp_path / "others")
    with pytest.raises(InvalidRequest, match=r"'data/run\.sh' is, or lies behind, a symbolic link"):
        copy_files(source, target, ["data/run.sh"])
    assert content(tmp_path / "others") == {"run.sh": "mine"}


def test_a_folder_in_the_place_of_a_file_is_an_error_that_names_it(source, target):
    (target / "a.txt").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match=r"'a\.txt' cannot be used: Is a directory"):
        copy_files(source, target, ["a.txt"])
    (target / "data").write_text("")
    with pytest.raises(InvalidRequest, match=r"'data/run\.sh' is not there"):
        copy_files(source, target, ["data/run.sh"])
    assert not [name for name in names(target) if name.endswith(".part")]


def test_a_pipe_holds_nobody_up(source, target):
    os.mkfifo(source / "pipe")
    with pytest.raises(InvalidRequest, match="'pipe' is not a regular file"):
        copy_files(source, target, ["pipe"])


def test_all_files_together_have_a_bound(source, target):
    for name in ("b", "c"):
        with (source / name).open("wb") as file:
            file.truncate(MAX_STAGED_BYTES // 2)
    check_files(source, ["b", "c"])
    for move in (check_files, lambda *given: copy_files(source, target, given[1])):
        with pytest.raises(InvalidRequest, match="64 MiB together"):
            move(source, ["b", "c", "a.txt"])
    assert "a.txt" not in names(target)


def test_a_file_that_grows_meanwhile_has_the_bound_too(source, target, monkeypatch):
    monkeypatch.setattr(module, "MAX_STAGED_BYTES", 10)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 4)
    (source / "a.txt").write_text("x" * 11)
    with pytest.raises(InvalidRequest):
        copy_files(source, target, ["a.txt"])
    assert names(target) == []


def test_what_is_the_fault_of_the_disk_is_told_so(source, target, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(UpstreamUnreachable):
        copy_files(source, target, ["a.txt"])
    assert names(target) == []
    target.parent.joinpath("file").write_text("")
    with pytest.raises(UpstreamRefused):
        copy_files(source, target.parent / "file", ["a.txt"])


def test_a_reader_never_sees_a_part(source, target):
    (source / "a.txt").write_text("x" * 3_000_000)
    copy_files(source, target, ["a.txt"])
    seen, done = set(), threading.Event()

    def read():
        while not done.is_set():
            seen.add(len((target / "a.txt").read_text()))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        copy_files(source, target, ["a.txt"])
    done.set()
    reader.join()
    assert seen <= {3_000_000}


# In a definition


def of_step(**words):
    run = {"id": "a", "type": "command", "config": {"command": "true"}}
    return load({"id": "flow", "steps": [run | words]}).steps[0]


def test_a_step_names_its_files():
    step = of_step(stage_in=["in.txt", "data/b"], stage_out=["out.txt"])
    assert (step.stage_in, step.stage_out) == (("in.txt", "data/b"), ("out.txt",))


@pytest.mark.parametrize("field", ["stage_in", "stage_out"])
@pytest.mark.parametrize(
    ("value", "place", "message"),
    [
        ("a", "", "must be an array"),
        ([1], "[0]", "must be a string"),
        (["a", "a"], "", "the same item twice"),
        (["/etc/passwd"], "[0]", "must be a relative path"),
        (["a/../../b"], "[0]", "must be a relative path"),
        (["a/"], "[0]", "must be a relative path"),
        (["a\x00"], "[0]", ""),
        (["${{ inputs.f }}"], "[0]", "must not hold expressions"),
        ([f"f{i}" for i in range(101)], "", "at most 100"),
    ],
)
def test_a_fault_names_its_place(field, value, place, message):
    with pytest.raises(InvalidDefinition) as caught:
        of_step(**{field: value})
    (fault,) = caught.value.fields
    assert fault.path == f"steps[0].{field}{place}"
    assert message in fault.message


def test_a_request_has_no_files():
    with pytest.raises(InvalidDefinition) as caught:
        of_step(type="http", config={"url": "http://x/"}, stage_out=["a"])
    (fault,) = caught.value.fields
    assert (fault.path, fault.message) == ("steps[0].stage_out", "is not for steps of type http")


# In a run


class Mover(ScriptedLauncher):
    """Notes what is moved, and what was done before.

    Attributes:
        faults: What goes wrong, by method.
    """

    def __init__(self):
        super().__init__()
        self.faults = {}
        self.moved = []

    def stage_in(self, folder, staging):
        self._move("stage_in", folder, staging)

    def stage_out(self, folder, staging):
        self._move("stage_out", folder, staging)

    def _move(self, what, folder, staging):
        self._asked(what, folder)
        self.moved.append((what, staging))
        if fault := self.faults.get(what):
            raise fault


@pytest.fixture
def flow(tmp_path):
    step = {"id": "a", "stage_in": ["in"], "stage_out": ["out"], "retries": 1, "retry_delay": 0}
    return Bench(steps(step, "b"), tmp_path, launcher=Mover())


def asked(flow, task):
    return [what for what, name in flow.launcher.calls if name.startswith(task) and what != "state"]


def test_files_go_in_before_it_is_prepared_and_come_out_before_its_outputs_are_read(flow):
    flow.look()
    flow.launcher.finish("a")
    flow.launcher.finish("b")
    assert flow.finish().status is ExecutionStatus.SUCCESS
    calls = [what for what in asked(flow, "a") if what != "read"]
    assert calls == ["stage_in", "prepare", "start", "stage_out", "outputs"]
    assert "stage_in" not in asked(flow, "b")
    assert "stage_out" not in asked(flow, "b")
    (_, staging), _ = flow.launcher.moved
    assert staging.folder == flow.root / "e1" / "work"
    assert (staging.stage_in, staging.stage_out) == (("in",), ("out",))


def test_a_file_that_is_missing_fails_the_step_with_its_name_and_it_is_tried_again(flow):
    flow.launcher.faults["stage_in"] = InvalidRequest("'in' is not there.")
    flow.look()
    flow.launcher.finish("b")
    seen = flow.finish()
    assert seen.status is ExecutionStatus.FAILED
    assert "stage_in: 'in' is not there." in seen.error
    assert asked(flow, "a") == ["stage_in", "stage_in"], "nothing was begun"


def test_a_file_that_was_not_made_fails_the_step(flow):
    flow.launcher.faults["stage_out"] = InvalidRequest("'out' is not there.")
    for _ in range(2):
        flow.look()
        flow.launcher.finish("a")
        flow.look()
    flow.launcher.finish("b")
    seen = flow.finish()
    assert "stage_out: 'out' is not there." in seen.error
    assert flow.tasks["a"].attempts == 2


def test_of_what_failed_nothing_comes_out(flow):
    flow.look()
    flow.launcher.finish("a", 1)
    flow.look()
    assert "stage_out" not in asked(flow, "a")


def test_what_cannot_come_out_now_comes_out_later(flow):
    flow.look()
    flow.launcher.finish("a")
    flow.launcher.finish("b")
    flow.launcher.faults["stage_out"] = UpstreamUnreachable("not now")
    with pytest.raises(UpstreamUnreachable):
        flow.look()
    flow.launcher.faults.clear()
    flow.recollection.take(flow.execution, flow.plan)
    assert flow.finish().status is ExecutionStatus.SUCCESS
