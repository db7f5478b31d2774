"""Files of the streams of a command: its log files, and what it printed as its result."""

import json
import os
import resource
import shutil
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from job_bench import wait_until

from app.engine.launchers.base import JobPhase, Place, Stream
from app.engine.launchers.shim import records
from app.engine.launchers.shim.captures import Capture
from app.engine.launchers.shim.places import Place as ShimPlace

pytestmark = pytest.mark.shim

ROOT = Path("/")


@pytest.fixture
def files(root):
    """A folder of the user of the commands, and a place in it by an absolute path."""
    folder = root / "files"
    folder.mkdir(mode=0o700)
    give(folder, root)
    return folder


def give(path: Path, like: Path) -> None:
    os.chown(path, like.stat().st_uid, -1, follow_symlinks=False)


def at(path: Path) -> Place:
    return Place(ROOT, str(path)[1:])


def run(bench, script, **fields):
    """Run a script to its end; return its state and the job's folder."""
    folder = bench.bash(script, **fields)
    return bench.end(folder), folder


def run_on_a_full_disk(bench, script, **fields):
    """Run a script to its end where the shim can write 20,000 bytes to each file."""
    folder = bench.bash(f"echo ready; until [ -e go ]; do sleep 0.01; done; {script}", **fields)
    bench.await_text(folder, "ready")
    claim = json.loads(folder.joinpath(records.CLAIM).read_text())
    resource.prlimit(claim["pid"], resource.RLIMIT_FSIZE, (20_000, 20_000))
    bench.root.joinpath("work", "go").touch()
    return bench.end(folder), folder


def streams_of(bench, folder):
    return {
        stream: "".join(f"{text}\n" for text in bench.texts(folder, stream))
        for stream in (Stream.STDOUT, Stream.STDERR)
    }


# Log files


def test_the_files_hold_the_plain_bytes_of_each_stream(bench, files):
    script = r"printf 'a\0\377\r\n\nlast'; printf 'no\n' >&2"
    out, err = files / "deep" / "er" / "stdout.log", files / "deep" / "stderr.log"
    state, _ = run(bench, script, stdout=at(out), stderr=at(err))
    assert (state.exit_code, state.reason, state.fault) == (0, None, None)
    assert out.read_bytes() == b"a\0\377\r\n\nlast"
    assert err.read_bytes() == b"no\n"
    made = (files / "deep", files / "deep" / "er", out, err)
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700, 0o700, 0o600, 0o600]
    assert {path.stat().st_uid for path in made} == {files.stat().st_uid}


def test_they_are_there_from_the_start_and_grow_line_by_line(bench, files):
    out = files / "stdout.log"
    folder = bench.bash("echo one; until [ -e go ]; do sleep 0.01; done; echo two", stdout=at(out))
    bench.await_text(folder, "one")
    assert out.read_bytes() == b"one\n"
    bench.root.joinpath("work", "go").touch()
    bench.end(folder)
    assert out.read_bytes() == b"one\ntwo\n"


def test_silent_commands_have_empty_files(bench, files):
    run(bench, "true", stdout=at(files / "o"), stderr=at(files / "e"))
    assert (files.joinpath("o").read_bytes(), files.joinpath("e").read_bytes()) == (b"", b"")


def test_twenty_thousand_lines_and_binary_output(bench, files):
    out = files / "stdout.log"
    script = "seq 20000; head -c 300000 /dev/urandom | tee copy"
    _, folder = run(bench, script, stdout=at(out))
    lines = "".join(f"{n}\n" for n in range(1, 20001)).encode()
    assert out.read_bytes() == lines + bench.root.joinpath("work", "copy").read_bytes()
    assert bench.texts(folder, Stream.STDOUT)[:20000] == [str(n) for n in range(1, 20001)]


def test_both_streams_may_share_a_file(bench, files):
    both = at(files / "log")
    run(bench, "echo one; echo two >&2", stdout=both, stderr=both)
    assert sorted(files.joinpath("log").read_bytes().split()) == [b"one", b"two"]


def test_a_relative_path_is_below_the_folder_it_is_given_for(bench):
    work = bench.root / "work"
    bench.launcher.make_work_folder(work, {}, begun=False)
    run(bench, "echo here", stdout=Place(work, "logs/out"))
    assert work.joinpath("logs", "out").read_bytes() == b"here\n"


def test_each_run_replaces_the_file_of_the_one_before(bench, files):
    out = files / "stdout.log"
    run(bench, "seq 1000", stdout=at(out))
    before = out.stat().st_ino
    reader = out.open("rb")
    run(bench, "echo again", stdout=at(out))
    assert out.read_bytes() == b"again\n"
    with reader:  # who reads the old one still has all of it, and nothing of the new one
        assert reader.read().splitlines()[-1] == b"1000"
        assert os.fstat(reader.fileno()).st_ino == before


def test_two_at_once_with_one_file_do_not_mix(bench, files):
    out = files / "stdout.log"
    script = "for n in $(seq 200); do echo {0}{0}{0}; done; until [ -e go ]; do sleep 0.01; done"
    first = bench.bash(script.format("a"), stdout=at(out))
    bench.await_text(first, "aaa")
    second = bench.bash(script.format("b"), stdout=at(out))
    bench.await_text(second, "bbb")
    bench.root.joinpath("work", "go").touch()
    assert [bench.end(folder).exit_code for folder in (first, second)] == [0, 0]
    assert out.read_bytes() == b"bbb\n" * 200
    assert streams_of(bench, first)[Stream.STDOUT] == "aaa\n" * 200


def make_link(path, target):
    path.symlink_to(target)


def make_socket(path, _target):
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)  # a path must have 107 bytes
        listening.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def make_folder(path, _target):
    path.mkdir()


def make_pipe(path, _target):
    os.mkfifo(path)


@pytest.mark.parametrize("field", ["stdout", "stderr"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_link, "a symbolic link is there"),
        (make_socket, "no regular file is there"),
        (make_pipe, "no regular file is there"),
        (make_folder, "no regular file is there"),
    ],
)
def test_what_is_no_regular_file_fails_the_job_before_it_begins(bench, files, field, make, words):
    precious = files / "precious"
    precious.write_text("kept")
    path = files / "log"
    make(path, precious)
    give(path, files)
    state, _ = run(bench, "touch began", **{field: at(path)})
    assert (state.exit_code, state.reason) == (126, f"{field}: {path}: {words}")
    assert state.started_at is None
    assert precious.read_text() == "kept"
    assert not bench.root.joinpath("work", "began").exists()


def test_a_link_in_the_middle_is_not_followed(bench, files):
    elsewhere = files / "elsewhere"
    elsewhere.mkdir()
    files.joinpath("way").symlink_to(elsewhere)
    path = files / "way" / "deep" / "log"
    state, _ = run(bench, "true", stdout=at(path))
    assert state.exit_code == 126
    assert state.reason == f"stdout: {path}: 'way' is a symbolic link"
    assert not any(elsewhere.iterdir())


def test_a_file_in_the_middle(bench, files):
    files.joinpath("way").write_text("kept")
    state, _ = run(bench, "true", stderr=at(files / "way" / "log"))
    assert state.exit_code == 126
    assert state.reason.endswith("way/log: Not a directory")


def test_a_hard_link_loses_its_name_and_not_its_content(bench, files):
    precious = files / "precious"
    precious.write_text("kept")
    path = files / "log"
    path.hardlink_to(precious)
    run(bench, "echo out", stdout=at(path))
    assert (precious.read_text(), path.read_text()) == ("kept", "out\n")


@pytest.mark.parametrize("launcher_name", ["local"])  # the shim's own code, in this process
def test_links_that_are_swapped_in_between_are_never_followed(tmp_path, launcher_name):
    prey = tmp_path / "prey"
    prey.mkdir()
    (prey / "log").write_text("kept")
    way, log, stop = tmp_path / "way", tmp_path / "way" / "log", threading.Event()

    def swap():
        while not stop.is_set():
            with suppress(OSError):
                way.symlink_to(prey)
                way.unlink()
                way.mkdir()
                log.symlink_to(prey / "log")
                log.unlink()
                way.rmdir()
            shutil.rmtree(way, ignore_errors=True)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(300):
            with suppress(OSError), place_in(tmp_path, "way/log") as place:
                fd = place.create()
                os.write(fd, b"prey")
                os.close(fd)
    finally:
        stop.set()
        swapping.join()
    assert (prey / "log").read_text() == "kept"
    assert list(prey.iterdir()) == [prey / "log"]


@contextmanager
def place_in(folder, path):
    """Give a place as in a shim, which keeps it to its end; here its folder is closed."""
    place = ShimPlace.__new__(ShimPlace)
    try:
        place.__init__(str(folder), path)
        yield place
    finally:
        os.close(place._folder)


@pytest.mark.parametrize("launcher_name", ["local"])  # whose shim may be given a limit
def test_a_full_disk_costs_output_and_nothing_else(bench, files):
    out = files / "stdout.log"
    state, _ = run_on_a_full_disk(bench, "seq 50000; exit 6", stdout=at(out))
    assert state.exit_code == 6
    assert any(f"bytes of output found no place in {out}" in text for text in state.losses)
    numbers = [int(line) for line in out.read_bytes().split()[1:]]
    assert numbers == sorted(numbers)
    assert out.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("most", [50_000, 50_001, 49_999])
def test_beyond_their_limit_streams_are_counted_and_the_command_goes_on(bench, files, most):
    out, err = files / "stdout.log", files / "stderr.log"
    script = "seq 50000; echo few >&2; exit 6"
    state, folder = run(bench, script, stdout=at(out), stderr=at(err), most_output_bytes=most)
    whole = "".join(f"{n}\n" for n in range(1, 50001)).encode()
    assert state.exit_code == 6
    assert out.read_bytes() == whole[:most]
    assert err.read_bytes() == b"few\n"
    beyond = len(whole) - most
    text = f"{beyond} bytes of output were not written to {out}, beyond the limit of {most} bytes"
    assert text in state.losses
    assert [each for each in state.losses if str(err) in each] == []
    remarks = bench.texts(folder, Stream.REMARK)
    assert [each for each in remarks if each.startswith(str(out))] == [
        f"{out} reached its limit of {most} bytes: what follows is counted, and not written there"
    ]


def test_streams_that_share_a_file_share_its_limit(bench, files):
    both = at(files / "log")
    script = "seq 1000; seq 1000 >&2"
    state, _ = run(bench, script, stdout=both, stderr=both, most_output_bytes=5000)
    assert files.joinpath("log").stat().st_size == 5000
    beyond = 2 * sum(len(f"{n}\n") for n in range(1, 1001)) - 5000
    assert sum(f"{beyond} bytes" in text for text in state.losses) == 1


def test_a_result_has_no_limit(bench, files):
    out, path = files / "stdout.log", files / "result"
    for stderr in (None, at(out)):
        run(bench, "seq 1000", stdout=at(out), stderr=stderr, capture=at(path),
            most_output_bytes=1024)  # fmt: skip
        assert out.stat().st_size == 1024
        assert path.read_text().split() == [str(n) for n in range(1, 1001)]


def test_a_shim_that_is_killed_leaves_file_and_output_in_step(bench, launcher, files):
    out = files / "stdout.log"
    folder = bench.bash("seq 1000000; sleep 60", stdout=at(out))
    wait_until(lambda: out.exists() and out.stat().st_size > 100_000)
    os.kill(json.loads(folder.joinpath(records.CLAIM).read_text())["pid"], signal.SIGKILL)
    wait_until(lambda: launcher.state(folder).phase is JobPhase.LOST)
    plain, told = out.read_text(), streams_of(bench, folder)[Stream.STDOUT]
    assert plain.startswith(told)
    assert len(plain) - len(told) <= records.MAX_PAYLOAD


# What a command printed as its result


def test_what_is_printed_becomes_the_result_that_nobody_wrote(bench, files):
    path = files / "new" / "greeting.txt"
    run(bench, "echo Hello; echo no >&2", capture=at(path))
    assert path.read_bytes() == b"Hello\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_with_a_log_file_beside_it_they_are_two(bench, files):
    out, path = files / "stdout.log", files / "greeting.txt"
    for stderr in (None, at(out)):
        run(bench, "echo Hello; echo no >&2", stdout=at(out), stderr=stderr, capture=at(path))
        assert path.read_bytes() == b"Hello\n"
        assert path.stat().st_ino != out.stat().st_ino


def test_a_command_that_writes_its_result_is_left_alone(bench, files):
    path = files / "result"
    for word in ("one", "two"):
        run(bench, f"echo printed; echo {word} > {path}", capture=at(path))
        assert path.read_text() == f"{word}\n"


def test_what_the_service_laid_there_is_replaced_by_the_next_run(bench, files):
    path = files / "result"
    for word in ("one", "two", "three"):
        run(bench, f"test ! -e {path} && echo {word}", capture=at(path))
        assert path.read_text() == f"{word}\n"


def test_so_it_is_below_a_folder_that_executions_share(bench):
    work = bench.root / "execution" / "work"
    bench.launcher.make_work_folder(work, {}, begun=False)
    for number, word in enumerate(("one", "two")):
        job = bench.job("echo", word, capture=Place(work, "result"), working_dir=work)
        job = replace(job, folder=bench.root / "executions" / str(number) / "tasks" / "a" / "1")
        bench.start(job)
        bench.end(job.folder)
        assert work.joinpath("result").read_text() == f"{word}\n"


def test_what_a_user_laid_there_is_never_touched(bench, files):
    path = files / "result"
    path.write_text("mine")
    give(path, files)
    status = path.stat()
    for _ in range(2):
        run(bench, "echo printed", capture=at(path))
        assert path.read_text() == "mine"
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)


@pytest.mark.parametrize("change", ["echo mine >> {0}", "cp {0} {0}.2; mv {0}.2 {0}", "touch {0}"])
def test_what_somebody_changed_or_replaced_since_is_theirs(bench, files, change):
    path = files / "result"
    run(bench, "echo printed", capture=at(path))
    run(bench, change.format(path))
    content = path.read_text()
    run(bench, "echo again", capture=at(path))
    assert path.read_text() == content


@pytest.mark.parametrize("end", ["exit 3", "kill -9 $$"])
def test_of_a_command_that_fails_nothing_is_a_result_and_neither_is_the_last_one(bench, files, end):
    path = files / "result"
    run(bench, "echo one", capture=at(path))
    run(bench, f"echo half; {end}", capture=at(path))
    assert not path.exists()


def test_of_a_command_that_is_stopped_nothing_is_a_result(bench, launcher, files):
    path = files / "result"
    folder = bench.bash(
        "trap 'exit 0' TERM; echo half; while :; do sleep 0.01; done", capture=at(path)
    )
    bench.await_text(folder, "half")
    launcher.cancel(folder)
    state = bench.end(folder)
    assert (state.exit_code, state.cancelled, state.fault) == (0, True, None)
    assert not path.exists()


def test_of_two_at_once_the_last_to_end_has_the_result(bench, files):
    path = files / "result"
    script = "echo {0}; until [ -e {0} ]; do sleep 0.01; done"
    folders = {word: bench.bash(script.format(word), capture=at(path)) for word in ("a", "b")}
    for word, folder in folders.items():
        bench.await_text(folder, word)
    for word in ("b", "a"):
        bench.root.joinpath("work", word).touch()
        bench.end(folders[word])
        assert path.read_text() == f"{word}\n"


@pytest.mark.parametrize("make", [make_link, make_socket, make_pipe, make_folder])
def test_whatever_else_is_there_stays_and_fails_nothing(bench, files, make):
    precious = files / "precious"
    precious.write_text("kept")
    path = files / "result"
    make(path, precious)
    kind = path.lstat().st_mode
    state, _ = run(bench, "echo printed", capture=at(path))
    assert (state.exit_code, state.fault) == (0, None)
    assert (path.lstat().st_mode, precious.read_text()) == (kind, "kept")


def test_a_result_behind_a_link_fails_the_job_before_it_begins(bench, files):
    files.joinpath("elsewhere").mkdir()
    files.joinpath("way").symlink_to("elsewhere")
    path = files / "way" / "result"
    state, _ = run(bench, "echo printed", capture=at(path))
    assert (state.exit_code, state.reason) == (
        126, f"capture: {path}: 'way' is a symbolic link",
    )  # fmt: skip
    assert not any(files.joinpath("elsewhere").iterdir())


def test_a_result_that_has_no_place_is_a_fault(bench, files):
    folder = files / "new"
    state, _ = run(bench, f"echo printed; rm -r {folder}", capture=at(folder / "result"))
    path = folder / "result"
    assert (state.exit_code, state.fault) == (0, f"capture: {path}: No such file or directory")


@pytest.mark.parametrize("launcher_name", ["local"])  # whose shim may be given a limit
def test_half_of_what_was_printed_is_no_result(bench, files):
    path = files / "result"
    state, _ = run_on_a_full_disk(bench, "seq 50000", capture=at(path))
    assert state.exit_code == 0
    assert "bytes of output found no place on the disk" in state.fault
    assert not any(files.iterdir())


@pytest.mark.parametrize("rubbish", ["", "rubbish", "[1, 2", "[" * 5000, "null", "[1, 2, 3, 4]"])
def test_without_a_mark_of_use_a_file_is_somebody_s(bench, files, rubbish):
    path = files / "result"
    run(bench, "echo printed", capture=at(path))
    (mark,) = (each for each in (bench.root / "captured").rglob("*") if each.is_file())
    mark.write_text(rubbish)
    run(bench, "echo again", capture=at(path))
    assert path.read_text() == "printed\n"


@pytest.mark.parametrize("launcher_name", ["local"])  # the shim's own code, in this process
def test_marks_have_a_bound_and_the_newest_stay(tmp_path, launcher_name):
    printed = os.open("/etc/hostname", os.O_RDONLY)
    marks, count = tmp_path / "marks", 300
    for number in range(count):
        capture = {"folder": str(tmp_path), "path": str(number), "mark": f"{marks}/{number}"}
        laid = Capture(capture)
        laid.lay(printed)
        os.close(laid._place._folder)
        os.utime(marks / str(number), (number, number))
    os.close(printed)
    left = sorted(int(path.name) for path in marks.iterdir())
    assert len(left) <= 256
    assert left == list(range(count - len(left), count))
