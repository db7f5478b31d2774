"""What the program on a login node does when it is asked."""

import getpass
import json
import os
import threading
import time
from pathlib import Path

import pytest
from kit.agent_jobs import Node, look, prepare, sbatch, specification, submit, texts
from kit.agents import PipeChannel
from kit.patience import PATIENCE_SECONDS, await_that

from app.engine.launchers.frames import parse_frames
from app.engine.launchers.shim.records import HEADER, STDOUT
from app.engine.launchers.slurm.package import job_package, package_digest
from app.engine.launchers.slurm.remote import AgentSession
from app.errors import InvalidRequest, UpstreamGarbled, UpstreamRefused, UpstreamTimeout

PREPARED = {"state": "prepared"}


@pytest.fixture(scope="module")
def agent():
    session = AgentSession(PipeChannel(), start_seconds=PATIENCE_SECONDS)
    yield session
    session.close()


@pytest.fixture
def ask(agent):
    def call(verb, data=b"", **arguments):
        return agent.call(verb, arguments, data, timeout=PATIENCE_SECONDS)

    return call


@pytest.fixture
def job(agent, tmp_path):
    folder = tmp_path / "job"
    prepare(agent, folder)
    return folder


def submitted(agent, folder, script="echo 12", **given):
    return submit(agent, sbatch(script), (folder, specification(folder, "true", **given)))


def frame(text, stream=STDOUT):
    payload = text.encode()
    return HEADER.pack(stream, 1.0, len(payload)) + payload


def test_hello_tells_of_the_machine_and_makes_nothing(ask, tmp_path):
    program = {"argv": ["echo", "slurm 22"], "timeout_seconds": PATIENCE_SECONDS}
    told = ask("hello", workdir=f"{tmp_path}/a/../w", version=program, digest="0" * 16).result
    assert (told["user"], told["hostname"]) == (getpass.getuser(), os.uname().nodename)
    assert (told["root"], told["package"]) == (f"{tmp_path}/w", None)
    assert told["version"]["stdout"] == "slurm 22\n"
    assert abs(told["clock"] - time.time()) < PATIENCE_SECONDS
    assert list(tmp_path.iterdir()) == []
    told = ask("hello", workdir="w", version=None, digest=None).result
    assert (told["root"], told["version"]) == (str(Path("~/w").expanduser()), None)


def test_the_program_of_jobs_is_installed_whole(ask, tmp_path):
    digest = package_digest()
    path = ask("install", job_package(), root=str(tmp_path), digest=digest).result["path"]
    assert path == f"{tmp_path}/.slipway/slipway-{digest}.pyz"
    assert Path(path).read_bytes() == job_package()
    told = ask("hello", workdir=str(tmp_path), version=None, digest=digest).result
    assert told["package"] == path
    with pytest.raises(UpstreamRefused):
        ask("install", b"x", root=str(tmp_path), digest="../x")


def test_a_job_is_prepared_once(agent, ask, tmp_path):
    folder = tmp_path / "deep" / "job"
    prepare(agent, folder, script="#!/bin/sh\n", data="ü")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.joinpath("script").stat().st_mode & 0o777 == 0o700
    assert folder.joinpath("data").stat().st_mode & 0o777 == 0o600
    folder.joinpath("script").unlink()
    prepare(agent, folder, script="again")
    assert not folder.joinpath("script").exists()
    entry = {"folder": str(tmp_path / "bad"), "execution_id": "e", "working_dir": "/w"}
    for name in ("../x", "claim.json", "specification.json", ""):
        told = ask("prepare", jobs=[{**entry, "files": {name: ""}}]).result["jobs"][0]
        assert told["error"]["kind"] == "invalid", name


def test_what_fails_for_one_job_holds_up_no_other(ask, tmp_path):
    tmp_path.joinpath("file").touch()
    good, bad = ({"folder": f"{tmp_path}/{each}", "execution_id": "e", "working_dir": "/w",
                  "files": {}} for each in ("good", "file/below"))  # fmt: skip
    told = ask("prepare", jobs=[bad, good]).result["jobs"]
    assert (told[0]["error"]["kind"], told[1]) == ("refused", {})


def test_a_submission_is_made_once_and_noted(agent, job, tmp_path):
    script = f"cat >> {tmp_path}/calls; echo Welcome; echo '12;cluster'"
    program = {**sbatch(script), "stdin": "script\n"}
    outcome = submit(agent, program, (job, specification(job, "true")))
    assert outcome["jobs"][0]["state"] == "submitted"
    assert outcome["jobs"][0]["id"] == 12
    again = submit(agent, program, (job, specification(job, "true")))
    assert again == {"ran": None, "jobs": outcome["jobs"]}
    assert tmp_path.joinpath("calls").read_text() == "script\n"
    told, _ = look(agent, job)
    assert json.loads(told["submission"])["mark"] == "slw-job"
    assert json.loads(told["job"])["id"] == 12
    assert job.joinpath("specification.json").stat().st_mode & 0o777 == 0o600


def test_an_array_is_one_submission(agent, tmp_path):
    folders = [tmp_path / f"j{number}" for number in range(3)]
    for folder in folders:
        prepare(agent, folder)
    asked = [(folder, specification(folder, "true")) for folder in folders]
    outcome = submit(agent, sbatch("echo 5"), *asked)
    assert [each["id"] for each in outcome["jobs"]] == [5, 5, 5]
    new = tmp_path / "new"
    prepare(agent, new)
    outcome = submit(agent, sbatch("echo 6"), (new, specification(new, "true")), *asked[:1])
    assert [each["state"] for each in outcome["jobs"]] == ["prepared", "submitted"]
    assert not new.joinpath("submission").exists()


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("echo nothing", "unsure"),
        ("echo 12; exit 1", "failed"),
        ("kill -9 $$", "unsure"),
        ("echo 'sbatch: error: no' >&2; exit 1", "failed"),
    ],
)
def test_what_was_perhaps_submitted_is_not_submitted_again(agent, job, script, state):
    outcome = submitted(agent, job, script)
    assert (outcome["jobs"][0]["state"], outcome["jobs"][0]["mark"]) == (state, "slw-job")
    again = submitted(agent, job)["jobs"][0]
    assert (again["state"], again["mark"]) == ("unsure", "slw-job")
    assert again["moment"] == outcome["jobs"][0]["moment"]


def test_a_submission_without_an_answer_is_unsure(agent, job):
    program = sbatch("sleep 600", timeout_seconds=0.2)
    outcome = submit(agent, program, (job, specification(job, "true")))
    assert outcome["ran"]["timed_out"]
    assert (outcome["ran"]["code"], outcome["jobs"][0]["state"]) == (None, "unsure")


def test_what_could_not_be_begun_surely_did_nothing(agent, job):
    program = {"argv": ["/nowhere/sbatch"], "timeout_seconds": 1}
    outcome = submit(agent, program, (job, specification(job, "true")))
    assert (outcome["ran"]["code"], outcome["jobs"]) == (127, [PREPARED])
    assert submitted(agent, job)["jobs"][0]["state"] == "submitted"


def test_one_of_many_who_submit_at_once_does(agent, job, tmp_path):
    outcomes = []

    def call():
        outcomes.append(submitted(agent, job, f"echo x >> {tmp_path}/calls; sleep 0.2; echo 3"))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert tmp_path.joinpath("calls").read_text() == "x\n"
    assert {each["jobs"][0]["state"] for each in outcomes} <= {"submitted", "unsure"}


def test_a_submission_is_looked_for_and_noted_or_repeated(agent, ask, job):
    moment = submitted(agent, job, "echo nothing")["jobs"][0]["moment"]
    entry = {"folder": str(job), "moment": moment}
    assert ask("resubmit", jobs=[{**entry, "moment": 1.0}]).result["jobs"] == [{"done": False}]
    assert ask("resubmit", jobs=[entry]).result["jobs"] == [{"done": True}]
    assert ask("resubmit", jobs=[entry]).result["jobs"] == [{"done": False}]
    assert submitted(agent, job, "echo nothing")["jobs"][0]["state"] == "unsure"
    assert ask("submitted", jobs=[{**entry, "id": 99}]).result["jobs"] == [{}]
    assert submitted(agent, job)["jobs"][0]["id"] == 99
    moment = json.loads(job.joinpath("submission").read_text())["moment"]
    entry["moment"] = moment
    assert ask("resubmit", jobs=[entry]).result["jobs"] == [{"done": False}]


def test_nothing_is_submitted_that_was_refused(agent, ask, job):
    assert ask("refuse", folder=str(job), cancelled=True).result == {"refused": True}
    assert ask("refuse", folder=str(job), cancelled=True).result == {"refused": True}
    assert submitted(agent, job)["jobs"] == [{"state": "begun"}]
    assert json.loads(look(agent, job)[0]["claim"])["cancelled"] is True


def test_nothing_is_refused_or_concluded_that_has_begun(agent, ask, job, tmp_path):
    submitted(agent, job)
    assert Node(tmp_path).run(job) == 0
    assert ask("refuse", folder=str(job), cancelled=True).result == {"refused": False}
    entry = {"folder": str(job), "exit": {"exit_code": 1}}
    assert ask("conclude", jobs=[entry]).result["jobs"] == [{"done": False}]
    assert json.loads(look(agent, job)[0]["exit"])["exit_code"] == 0


def test_a_job_that_never_runs_gets_a_result(agent, ask, job, tmp_path):
    submitted(agent, job)
    entry = {"folder": str(job), "exit": {"exit_code": 126}}
    assert ask("conclude", jobs=[entry]).result["jobs"] == [{"done": True}]
    assert json.loads(look(agent, job)[0]["exit"]) == {"exit_code": 126}
    assert not job.joinpath("specification.json").exists()
    assert Node(tmp_path).run(job) == 0
    assert not job.joinpath("frames").exists()


def test_a_look_tells_all_of_a_job(agent, ask, job, tmp_path):
    assert look(agent, tmp_path / "none")[0] == {"absent": True, "growth": 0}
    told, _ = look(agent, job)
    assert told["prepared"]
    assert [told[name] for name in ("claim", "exit", "submission", "job", "usage")] == [None] * 5
    job.joinpath("claim.json").mkdir()
    job.joinpath("frames").write_bytes(frame("a\n") + frame("b\n")[:-1])
    job.joinpath("usage").write_bytes(b"\1" * 32)
    ask("cancel", jobs=[{"folder": str(job), "program": None}])
    told, data = look(agent, job)
    assert told["claim"] == {"damaged": "claim.json is not a file any more"}
    assert (told["cancel"], told["pause"], told["usage"]) == (True, False, "01" * 32)
    assert [line.text for line in parse_frames(data)[0]] == ["a"]
    assert told["growth"] == len(data) == len(frame("a\n"))
    assert told["size"] == 2 * len(data) - 1
    assert look(agent, job, len(data))[1] == b""


def test_a_talkative_job_lets_others_have_their_turn(ask, tmp_path):
    folders = [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
        folder.joinpath("frames").write_bytes(frame("x" * 60_000 + "\n") * 4)
    jobs = [{"folder": str(folder), "offset": 0} for folder in folders]
    served = set()
    for _ in range(8):
        answer = ask("look", jobs=jobs, most_bytes=70_000)
        growth = [each["growth"] for each in answer.result["jobs"]]
        assert sum(growth) == len(answer.data) < 4 * 70_000
        served |= {number for number, size in enumerate(growth) if size}
    assert served == {0, 1, 2, 3}


def test_records_that_are_too_large_together_are_left_out(ask, tmp_path):
    tmp_path.joinpath("claim.json").write_bytes(b"x" * 65_000)
    jobs = [{"folder": str(tmp_path), "offset": 0}] * 200
    told = ask("look", jobs=jobs, most_bytes=0).result["jobs"]
    assert len(told[0]["claim"]) == 65_000
    assert told[-1]["error"]["kind"] == "unreachable"


def test_frames_outputs_and_usage_are_read(ask, job):
    job.joinpath("frames").write_bytes(frame("a\n") + frame("b\n"))
    size = len(frame("a\n"))
    assert ask("read", folder=str(job), offset=size, most_bytes=1).data == frame("b\n")
    assert ask("read", folder=str(job), offset=2 * size, most_bytes=1).data == b""
    assert ask("outputs", folder=str(job)).data == b""
    job.joinpath("outputs").write_text("a=1\n")
    assert ask("outputs", folder=str(job)).data == b"a=1\n"
    job.joinpath("outputs").unlink()
    job.joinpath("outputs").symlink_to("nowhere")
    with pytest.raises(InvalidRequest):
        ask("outputs", folder=str(job))
    assert ask("usage", folder=str(job)).result == {"usage": None}


def test_requests_are_left_before_a_program_is_run(ask, job):
    program = {"argv": ["ls", str(job)], "timeout_seconds": PATIENCE_SECONDS}
    told = ask("pause", jobs=[{"folder": str(job), "program": program}]).result["jobs"][0]
    assert "pause" in told["stdout"].split()
    told = ask("resume", jobs=[{"folder": str(job), "program": program}]).result["jobs"][0]
    assert "pause" not in told["stdout"].split()
    told = ask("cancel", jobs=[{"folder": str(job), "program": None}]).result["jobs"]
    assert told == [None]
    assert job.joinpath("cancel").exists()


def test_what_a_job_held_is_taken_away(agent, ask, tmp_path):
    folder = tmp_path / "job"
    prepare(agent, folder, script="secret")
    submitted(agent, folder)
    folder.joinpath("made by the command").mkdir()
    assert ask("tidy", jobs=[{"folder": str(folder)}]).result["jobs"] == [{}]
    left = {each.name for each in folder.iterdir()}
    assert left == {"spec.json", "submission", "job", "made by the command"}
    assert ask("tidy", jobs=[{"folder": f"{tmp_path}/none"}]).result["jobs"] == [{}]


def test_folders_of_executions_are_made_checked_and_removed(ask, tmp_path):
    work = tmp_path / "e" / "work"
    ask("work_folder", folder=str(work), files={"in/a": "1"}, begun=False)
    work.joinpath("in/a").write_text("2")
    ask("work_folder", folder=str(work), files={"in/a": "1", "b": "3"}, begun=False)
    assert work.joinpath("in/a").read_text() == "2"
    ask("work_folder", folder=str(work), files={"c": "4"}, begun=True)
    assert not work.joinpath("c").exists()
    ask("stage", folder=str(work), paths=["in/a", "b"])
    work.joinpath("link").symlink_to("b")
    for path in ("none", "in", "link", "../x", "/etc/passwd", ""):
        with pytest.raises(InvalidRequest):
            ask("stage", folder=str(work), paths=[path])
    tmp_path.joinpath("kept").mkdir()
    tmp_path.joinpath("kept/file").touch()
    work.joinpath("out").symlink_to(tmp_path / "kept")
    deep = work
    for _ in range(50):
        deep = deep / "d"
    deep.mkdir(parents=True)
    deep.chmod(0)
    assert ask("remove", folder=f"{tmp_path}/e", seconds=-1).result == {"done": False}
    assert ask("remove", folder=f"{tmp_path}/e", seconds=PATIENCE_SECONDS).result == {"done": True}
    assert ask("remove", folder=f"{tmp_path}/e", seconds=1).result == {"done": True}
    assert [each.name for each in tmp_path.iterdir()] == ["kept"]
    assert tmp_path.joinpath("kept/file").exists()


def test_programs_are_bounded_in_time_and_size(ask):
    program = {"argv": ["sh", "-c", "yes | head -c 1000000; echo bad >&2; exit 3"],
               "timeout_seconds": PATIENCE_SECONDS}  # fmt: skip
    answer = ask("run", program=program, most_bytes=1000)
    assert (len(answer.data), answer.result["cut"]) == (1000, True)
    assert (answer.result["code"], answer.result["stderr"]) == (3, "bad\n")
    program = {"argv": ["sh", "-c", "echo early; trap '' TERM; sleep 600 & wait; wait"],
               "timeout_seconds": 0.3}  # fmt: skip
    answer = ask("run", program=program, most_bytes=1000)
    assert (answer.data, answer.result["code"], answer.result["timed_out"]) == (
        b"early\n", None, True,
    )  # fmt: skip


def test_programs_get_the_environment_that_they_are_to_have(ask):
    env = {"GIVEN": "ü", "HOME": None}
    program = {"argv": ["sh", "-c", 'echo "$GIVEN${HOME-none}"; cat'], "env": env,
               "stdin": "text", "timeout_seconds": PATIENCE_SECONDS}  # fmt: skip
    assert ask("run", program=program, most_bytes=1000).data == "ünone\ntext".encode()


def test_the_disk_is_tried(ask, tmp_path):
    told = ask("check", root=f"{tmp_path}/w", quota=None).result
    assert (told["write"], told["quota"]) == (None, None)
    assert told["total_bytes"] >= told["free_bytes"] > 0
    assert list(tmp_path.joinpath("w/.slipway").iterdir()) == []
    tmp_path.joinpath("file").touch()
    assert "irectory" in ask("check", root=f"{tmp_path}/file/w", quota=None).result["write"]


def test_a_program_that_hangs_holds_up_no_file(agent, ask, job):
    program = {"argv": ["sleep", "600"], "timeout_seconds": 600}
    channel = PipeChannel()
    session = AgentSession(channel, start_seconds=PATIENCE_SECONDS)

    def hang():
        with pytest.raises(UpstreamTimeout):
            session.call("run", {"program": program, "most_bytes": 1}, timeout=PATIENCE_SECONDS)

    threads = [threading.Thread(target=hang) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert look(session, job)[0]["prepared"]
    session.close()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert channel.process.wait(PATIENCE_SECONDS) == 0


def test_what_makes_no_sense_is_a_fault_of_its_own(ask):
    with pytest.raises(UpstreamRefused):
        ask("nonsense")
    with pytest.raises(UpstreamGarbled):
        ask("look")
    with pytest.raises(UpstreamRefused):
        ask("look", jobs=3, most_bytes=1)


def test_a_job_is_seen_from_begin_to_end(agent, job, tmp_path):
    script = "echo one; echo r=2 > $SLIPWAY_OUTPUT; exit 4"
    submit(agent, sbatch("echo 7"), (job, specification(job, "sh", "-c", script)))
    process = Node(tmp_path).begin(job)
    told, data = await_that(lambda: look(agent, job)[0]["exit"] and look(agent, job))
    process.wait(PATIENCE_SECONDS)
    assert json.loads(told["exit"])["exit_code"] == 4
    claim = json.loads(told["claim"])
    assert claim["slurm"] == {"job_id": 7, "array_job_id": None, "array_task_id": None,
                              "restarts": 0, "node": "n1"}  # fmt: skip
    assert [line.text for line in parse_frames(data)[0]] == texts(job) == ["one"]
    assert not job.joinpath("specification.json").exists()
