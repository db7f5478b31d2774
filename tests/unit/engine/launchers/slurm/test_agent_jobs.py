"""The life of a job on a node of a cluster, where Slurm begins, stops and ends it."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from kit.agent_jobs import Node, result, specification, texts, written
from kit.patience import PATIENCE_SECONDS, await_that

from app.engine.launchers.job_records import parse_record, result_of
from app.engine.launchers.shim.records import HEADER, STDOUT

FOREVER = ("sleep", "600")


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


@pytest.fixture
def begun(node):
    """Begin jobs whose commands run, and end all that is left of them."""
    processes = []

    def begin(folder, **given):
        process = node.begin(folder, **given)
        processes.append(process)
        await_that(lambda: _started(folder), "the command runs")
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


def _started(folder):
    if not folder.joinpath("claim.json").exists():
        return None
    return json.loads(folder.joinpath("claim.json").read_text())["started_at"]


def whole(folder):
    """Return a result that the launcher can read."""
    text = folder.joinpath("exit.json").read_bytes()
    result_of(parse_record("exit.json", text))
    return result(folder)


def test_each_task_of_an_array_runs_its_own_job(node, tmp_path):
    folders = [written(tmp_path / f"it's {n}", "sh", "-c", f"echo {n}") for n in range(3)]
    assert [node.run(*folders, task=number) for number in (2, 0)] == [0, 0]
    assert [texts(folder) for folder in (folders[0], folders[2])] == [["0"], ["2"]]
    assert not folders[1].joinpath("claim.json").exists()


def test_two_jobs_of_one_folder_run_its_command_once(node, tmp_path):
    folder = written(tmp_path / "job", "sh", "-c", "echo ran", requeue=True)
    assert [node.run(folder, job_id=number) for number in (7, 8, 7)] == [0, 0, 0]
    assert texts(folder) == ["ran"]


def test_a_command_has_what_slurm_and_its_account_give(node, tmp_path):
    folder = written(tmp_path / "job", "env", env={"OWN": "ü"})
    env = {"SLURM_CPUS_PER_TASK": "2", "CUDA_VISIBLE_DEVICES": "0", "SECRET": "x",
           "SLURM_EXPORT_ENV": "NONE", "USER": "ada"}  # fmt: skip
    node.run(folder, env=env)
    found = dict(line.partition("=")[::2] for line in texts(folder))
    expected = {"OWN": "ü", "SLURM_CPUS_PER_TASK": "2", "CUDA_VISIBLE_DEVICES": "0", "USER": "ada"}
    assert expected.items() <= found.items()
    assert not {"SECRET", "SLURM_EXPORT_ENV"} & set(found)
    assert found["HOME"] == str(folder)


def test_a_command_gets_what_its_setup_leaves(node, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    profile = "echo Welcome; export PATH=/profile:$PATH OWN=profile; module() { export M=$2; }"
    home.joinpath(".bash_profile").write_text(profile)
    setup = ["module load 'a b'", "export LINES_OF='x\ny'", "echo said; echo more >&2"]
    folder = written(tmp_path / "job", "env", env={"OWN": "o'wn $HOME", "a-b": "c"}, setup=setup)
    node.run(folder, env={"HOME": str(home)})
    found = dict(line.partition("=")[::2] for line in texts(folder))
    assert texts(folder)[texts(folder).index("LINES_OF=x") + 1] == "y"
    expected = {"M": "a b", "OWN": "o'wn $HOME", "a-b": "c"}
    assert expected.items() <= found.items()
    assert found["PATH"].startswith("/profile:")
    assert whole(folder)["exit_code"] == 0


def test_a_command_is_not_begun_whose_setup_fails(node, tmp_path):
    setup = ["echo first; echo no such module >&2; false", "touch after"]
    folder = written(tmp_path / "job", "echo", "ran", setup=setup)
    node.run(folder)
    found = whole(folder)
    assert (found["exit_code"], found["reason"]) == (126, "setup: no such module")
    assert not folder.joinpath("after").exists()
    assert texts(folder) == []


@pytest.mark.parametrize("by", ["request", "slurm"])
def test_a_setup_that_hangs_is_ended(node, tmp_path, by):
    folder = written(tmp_path / "job", "true", setup=["touch begun", "sleep 600"])
    process = node.begin(folder)
    await_that(folder.joinpath("begun").exists)
    if by == "request":
        folder.joinpath("cancel").touch()
    else:
        process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_SECONDS)
    found = whole(folder)
    assert (found["exit_code"], found["cancelled"]) == (143, by == "request")
    assert found.get("ended_by_slurm") is (True if by == "slurm" else None)


def test_a_request_to_end_is_found(tmp_path, begun):
    folder = written(tmp_path / "job", *FOREVER)
    process = begun(folder)
    folder.joinpath("cancel").touch()
    process.wait(PATIENCE_SECONDS)
    found = whole(folder)
    assert (found["exit_code"], found["cancelled"], found["reason"]) == (143, True, None)
    assert "ended_by_slurm" not in found


def test_a_request_that_came_before_the_job_is_found(node, tmp_path):
    folder = written(tmp_path / "job", "echo", "ran")
    folder.joinpath("cancel").touch()
    node.run(folder)
    assert (texts(folder), whole(folder)["cancelled"]) == ([], True)


@pytest.mark.parametrize("command_first", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_an_end_by_slurm_is_told_from_a_cancellation(tmp_path, begun, asked, command_first):
    folder = written(tmp_path / "job", "sh", "-c", "echo $$; exec sleep 600")
    process = begun(folder)
    command = int(await_that(lambda: texts(folder))[0])
    if asked:  # whoever asks Slurm to end it leaves the request first
        os.kill(process.pid, signal.SIGSTOP)
        folder.joinpath("cancel").touch()
    signals = [(command, signal.SIGTERM), (process.pid, signal.SIGTERM)]
    for pid, number in signals if command_first else signals[::-1]:
        with suppress(ProcessLookupError):  # who watches the command has ended it already
            os.kill(pid, number)
    os.kill(process.pid, signal.SIGCONT)
    process.wait(PATIENCE_SECONDS)
    found = whole(folder)
    assert (found["exit_code"], found["cancelled"]) == (143, asked)
    if not asked:
        assert (found["ended_by_slurm"], found["reason"]) == (True, "the cluster ended it")


def test_the_command_may_end_as_it_likes_when_slurm_ends_it(tmp_path, begun):
    script = "trap 'echo saved; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    folder = written(tmp_path / "job", "sh", "-c", script)
    process = begun(folder)
    await_that(lambda: texts(folder))
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_SECONDS)
    found = whole(folder)
    assert (found["exit_code"], found["ended_by_slurm"]) == (5, True)
    assert "saved" in texts(folder)


def test_a_request_to_pause_is_followed_and_taken_back(tmp_path, begun):
    folder = written(tmp_path / "job", "sh", "-c", "echo $$; exec sleep 600", requeue=True)
    begun(folder)
    command = int(await_that(lambda: texts(folder))[0])

    def state():
        return Path(f"/proc/{command}/stat").read_text().rpartition(")")[2].split()[0]

    folder.joinpath("pause").touch()
    await_that(lambda: state() == "T")
    folder.joinpath("pause").unlink()
    await_that(lambda: state() == "S")
    folder.joinpath("cancel").touch()
    await_that(folder.joinpath("exit.json").exists)


def test_time_in_which_the_job_stood_still_is_not_the_commands(tmp_path, begun):
    script = "echo begun; while ! [ -e go ]; do sleep 0.05; done; echo through"
    folder = written(tmp_path / "job", "sh", "-c", script, timeout_seconds=5.0)
    process = begun(folder)
    await_that(lambda: texts(folder))
    for number in (signal.SIGSTOP, signal.SIGCONT):
        if number == signal.SIGCONT:
            time.sleep(6)
            tmp_path.joinpath("job.work/go").touch()
        process.send_signal(number)
    process.wait(PATIENCE_SECONDS)
    assert (whole(folder)["timed_out"], texts(folder)) == (False, ["begun", "through"])


def test_a_job_that_was_requeued_is_taken_over(node, tmp_path, begun):
    script = 'echo "r$SLURM_RESTART_COUNT"; echo a=$SLURM_RESTART_COUNT >> $SLIPWAY_OUTPUT; '
    script += '[ "$SLURM_RESTART_COUNT" ] || exec sleep 600'
    folder = written(tmp_path / "job", "sh", "-c", script, requeue=True, files=["needed"])
    folder.joinpath("needed").touch()
    process = begun(folder)
    await_that(lambda: texts(folder))
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_SECONDS)
    assert whole(folder)["ended_by_slurm"]
    assert folder.joinpath("needed").exists()
    node.run(folder, restarts=1)
    assert whole(folder)["exit_code"] == 0
    again = "The cluster put the job back into its queue: it begins anew"
    assert texts(folder) == ["r", again, "r1"]
    assert folder.joinpath("outputs").read_text() == "a=1\n"
    left = {each.name for each in folder.iterdir()}
    assert not left & {"needed", "specification.json"}
    node.run(folder, restarts=2)
    assert texts(folder) == ["r", again, "r1"]


def test_a_run_that_was_killed_leaves_whole_lines_and_the_next_one_adds_its_own(
    node, tmp_path, begun
):
    script = 'if [ "$SLURM_RESTART_COUNT" ]; then echo new; else echo old; exec sleep 600; fi'
    folder = written(tmp_path / "job", "sh", "-c", script, requeue=True)
    process = begun(folder)
    await_that(lambda: texts(folder))
    process.kill()
    process.wait(PATIENCE_SECONDS)
    half = HEADER.pack(STDOUT, 1.0, 1000) + b"half"
    with folder.joinpath("frames").open("ab") as file:
        file.write(half)
    before = folder.joinpath("frames").read_bytes()[: -len(half)]
    node.run(folder, restarts=1)
    assert texts(folder)[::2] == ["old", "new"]
    assert folder.joinpath("frames").read_bytes().startswith(before)


def test_a_run_that_goes_on_gives_way_to_a_later_one(node, tmp_path, begun):
    script = '[ "$SLURM_RESTART_COUNT" ] || exec sleep 600; echo new'
    folder = written(tmp_path / "job", "sh", "-c", script, requeue=True)
    earlier = begun(folder)
    assert node.run(folder, restarts=1) == 0
    assert earlier.wait(PATIENCE_SECONDS) == 0
    found = whole(folder)
    assert (found["exit_code"], found["reason"]) == (0, None)


def test_a_job_without_a_specification_says_so(node, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    earlier = {"slurm": {"job_id": 7, "restarts": 0}}
    folder.joinpath("claim.json").write_text(json.dumps(earlier))
    node.run(folder, restarts=1)
    assert whole(folder)["reason"] == "its specification did not come to the node"


def test_a_specification_that_comes_late_is_awaited(node, tmp_path):
    folder = tmp_path / "job"
    process = node.begin(folder, env={"HOME": str(tmp_path)})
    folder.mkdir()
    text = json.dumps(specification(folder, "echo", "late"))
    folder.joinpath("specification.json").write_text(text)
    process.wait(PATIENCE_SECONDS)
    assert texts(folder) == ["late"]
