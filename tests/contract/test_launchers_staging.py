"""Files that go in before a job and come out after it, for each launcher."""

import pytest

from app.engine.launchers.base import JobPhase, Staging, Watched
from app.errors import InvalidRequest


@pytest.fixture
def staged(bench):
    """Run a script with files; return the folder of the execution and what brings files back."""

    def staged(script, given, stage_in=(), stage_out=()):
        folder = bench.root / "execution"
        bench.launcher.make_work_folder(folder, given, begun=False)
        staging = Staging(folder, stage_in, stage_out)
        job = bench.job("bash", "-c", script, working_dir=folder, staging=staging)
        bench.launcher.stage_in(job.folder, staging)
        assert bench.end(bench.start(job)).exit_code == 0, bench.texts(job.folder)
        return folder, lambda: bench.launcher.stage_out(job.folder, staging)

    return staged


def test_files_go_in_before_a_job_and_come_out_after_it(staged):
    folder, bring_back = staged(
        "mkdir -p out/deep && wc -c < data/in.txt > out/deep/size.txt && cp in.sh out/",
        {"data/in.txt": "12345", "in.sh": "#!/bin/sh\ntrue\n"},
        ("data/in.txt", "in.sh"),
        ("out/deep/size.txt", "out/in.sh"),
    )
    for _ in range(2):  # as after a crash
        bring_back()
        assert (folder / "out/deep/size.txt").read_text() == "5\n"
        assert (folder / "out/in.sh").read_text() == "#!/bin/sh\ntrue\n"


def test_what_comes_out_takes_the_place_of_what_was_there(staged):
    folder, bring_back = staged("echo new > a.txt", {"a.txt": "old"}, (), ("a.txt",))
    bring_back()
    assert (folder / "a.txt").read_text() == "new\n"


@pytest.mark.parametrize("missing", ["none.txt", "none/a.txt", "a.txt/b"])
def test_what_is_to_go_in_must_be_there(staged, missing):
    with pytest.raises(InvalidRequest, match=f"'{missing}' is not there"):
        staged("true", {"a.txt": "a"}, ("a.txt", missing))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("true", "'out/a' is not there"),
        ("mkdir out && ln -s /etc/passwd out/a", "'out/a' is, or lies behind, a symbolic link"),
        ("ln -s /etc out", "'out/a' is, or lies behind, a symbolic link"),
        ("mkdir -p out/a", "'out/a' is not a regular file"),
        ("mkdir out && mkfifo out/a", "'out/a' is not a regular file"),
        ("mkdir out && truncate -s 65M out/a", "may have 64 MiB together, and exceed that"),
    ],
    ids=["missing", "link", "behind a link", "folder", "pipe", "too large"],
)
def test_what_is_to_come_out_must_be_a_file_of_the_job(staged, script, message):
    _, bring_back = staged(script, {}, (), ("out/a",))
    with pytest.raises(InvalidRequest, match=message):
        bring_back()


def test_many_jobs_are_looked_at_by_one_call(bench):
    ended = bench.bash("exit 3")
    bench.end(ended)
    prepared = bench.job("true")
    bench.launcher.prepare(prepared)
    absent = bench.root / "jobs" / "none"
    states = bench.launcher.states([Watched(f) for f in (ended, prepared.folder, absent)])
    assert {folder: state.phase for folder, state in states.items()} == {
        ended: JobPhase.EXITED,
        prepared.folder: JobPhase.PREPARED,
        absent: JobPhase.ABSENT,
    }
    assert states[ended].exit_code == 3
    assert bench.launcher.states([]) == {}
