"""The program on a login node, over a real sshd, and its jobs on a real cluster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.agent_jobs import look, prepare, specification, submit, texts
from kit.patience import PATIENCE_SECONDS, await_that
from kit.servers.cable import Cable
from kit.servers.slurm import SlurmCluster
from kit.servers.sshd import HOST, SshServer
from kit.slurm_launcher import key_pair

from app.clients._ssh import HostKeys, SshCredential, SshLimits, SshPool, SshTarget
from app.clients.slurm import control
from app.clients.slurm.submission import Request, sbatch
from app.engine.launchers.slurm.channel import SshChannel
from app.engine.launchers.slurm.package import command, job_package, job_script, package_digest
from app.engine.launchers.slurm.remote import AgentSession
from app.errors import UpstreamTimeout, UpstreamUnreachable
from app.job_resources import Resources

QUICK = SshLimits(connect_seconds=5, channel_seconds=60, keep_alive_seconds=1, silence_seconds=4)
HELLO = {"workdir": "work", "version": None, "digest": package_digest()}


@pytest.fixture
def pool(ssh_server: SshServer, tmp_path: Path) -> Iterator[SshPool]:
    (tmp_path / "known_hosts").write_text(ssh_server.known_hosts())
    with SshPool(HostKeys(tmp_path / "known_hosts"), QUICK) as made:
        yield made


@pytest.fixture
def profile(ssh_server: SshServer) -> Iterator[Callable[[str], None]]:
    """Write what the login shell of the user reads first."""
    path = ssh_server.machine.home(ssh_server.target.user) / ".bashrc"

    def write(text: str) -> None:
        path.write_text(text)
        path.chmod(0o644)

    yield write
    path.unlink(missing_ok=True)


def logged_in(
    pool: SshPool, server: SshServer, target: SshTarget | None = None,
    seconds: float = PATIENCE_SECONDS,
) -> AgentSession:  # fmt: skip
    process = pool.open(target or server.target, server.credential, command())
    return AgentSession(SshChannel(process), start_seconds=seconds)


def hello(session: AgentSession) -> Any:
    return session.call("hello", HELLO, timeout=PATIENCE_SECONDS).result


def test_a_login_that_prints_and_takes_its_time_costs_one_login(
    ssh_server: SshServer, pool: SshPool, profile: Callable[[str], None]
) -> None:
    profile("echo Welcome; head -c 50000 /dev/urandom; sleep 3; echo; echo 'no line feed\\c'")
    before = ssh_server.logins
    session = logged_in(pool, ssh_server)
    for _ in range(20):
        assert hello(session)["user"] == ssh_server.target.user
    session.close()
    assert ssh_server.logins == before + 1


def test_a_login_that_says_no_is_shown(
    ssh_server: SshServer, pool: SshPool, profile: Callable[[str], None]
) -> None:
    profile("echo Maintenance until Monday; exit 1")
    with pytest.raises(UpstreamUnreachable, match="Maintenance until Monday"):
        logged_in(pool, ssh_server)
    profile("echo Wait; exec sleep 600")
    with pytest.raises(UpstreamUnreachable, match="in time; the login said: Wait"):
        logged_in(pool, ssh_server, seconds=3)


def test_much_goes_both_ways(ssh_server: SshServer, pool: SshPool) -> None:
    session = logged_in(pool, ssh_server)
    text = "x" * 8_000_000
    program = {"argv": ["cat"], "stdin": text, "timeout_seconds": PATIENCE_SECONDS}
    arguments = {"program": program, "most_bytes": 16_000_000}
    assert session.call("run", arguments, timeout=PATIENCE_SECONDS).data == text.encode()
    session.close()


@pytest.fixture
def cable(ssh_server: SshServer) -> Iterator[Cable]:
    made = Cable(ssh_server.port)
    yield made
    made.close()


def test_a_lost_connection_ends_the_session_and_the_agent(
    ssh_server: SshServer, tmp_path: Path, cable: Cable
) -> None:
    keys = tmp_path / "known_hosts"
    keys.write_text(ssh_server.known_hosts(port=cable.port))
    with SshPool(HostKeys(keys), QUICK) as pool:
        target = SshTarget(HOST, ssh_server.target.user, cable.port)
        session = logged_in(pool, ssh_server, target)
        pid = hello_pid(session)
        assert is_there(ssh_server, pid)
        program = {"argv": ["sleep", "600"], "timeout_seconds": 600}
        cable.go_silent()
        with pytest.raises(UpstreamTimeout):
            session.call("run", {"program": program, "most_bytes": 1}, timeout=3600.0)
        assert not session.alive
        with pytest.raises(UpstreamUnreachable):
            hello(session)
        session.close()
    cable.close()
    await_that(lambda: not is_there(ssh_server, pid), "the agent has ended")


def hello_pid(session: AgentSession) -> str:
    program = {"argv": ["sh", "-c", "echo $PPID"], "timeout_seconds": PATIENCE_SECONDS}
    answer = session.call("run", {"program": program, "most_bytes": 99}, timeout=PATIENCE_SECONDS)
    return answer.data.decode().strip()


def is_there(server: SshServer, pid: str) -> bool:
    return server.machine.run("test", "-d", f"/proc/{pid}").status == 0


class There:
    """An account of a cluster to which somebody has logged in."""

    def __init__(self, cluster: SlurmCluster, session: AgentSession) -> None:
        self.cluster, self.session = cluster, session
        told = hello(session)
        digest, data = package_digest(), job_package()
        arguments = {"root": told["root"], "digest": digest}
        self.root = Path(told["root"])
        self.package = self.call("install", arguments, data)["path"]

    def call(self, verb: str, arguments: dict[str, Any], data: bytes = b"") -> Any:
        return self.session.call(verb, arguments, data, timeout=PATIENCE_SECONDS).result

    def submit(self, scripts: dict[str, str], *more: str, **given: Any) -> tuple[list[Path], int]:
        """Submit jobs, scripts by the names of their folders; return these, and the id."""
        folders = [self.root / name for name in scripts]
        for folder in folders:
            prepare(self.session, folder)
        array = len(scripts) if len(scripts) > 1 else None
        resources = given.pop("resources", Resources())
        program = {
            "argv": [*sbatch(Request("slw-test", resources=resources, array=array)), *more],
            "stdin": job_script("python3", self.package, [str(each) for each in folders]),
            "timeout_seconds": PATIENCE_SECONDS,
        }
        asked = [
            (folder, specification(folder, "sh", "-c", script, **given))
            for folder, script in zip(folders, scripts.values(), strict=True)
        ]
        outcome = submit(self.session, program, *asked)
        assert {each["state"] for each in outcome["jobs"]} == {"submitted"}, outcome
        return folders, outcome["jobs"][0]["id"]

    def exited(self, folder: Path) -> Any:
        """Wait for the result of a job."""
        told = await_that(lambda: look(self.session, folder)[0]["exit"], "the job has exited")
        return json.loads(told)

    def run(self, *argv: str) -> Any:
        program = {"argv": list(argv), "timeout_seconds": PATIENCE_SECONDS}
        return self.call("run", {"program": program, "most_bytes": 4096})


@pytest.fixture
def there(slurm: SlurmCluster, tmp_path: Path) -> Iterator[There]:
    private, public = key_pair()
    user = slurm.users[0]
    slurm.authorize(user, public)
    (tmp_path / "known_hosts").write_text(slurm.known_hosts)
    with SshPool(HostKeys(tmp_path / "known_hosts"), SshLimits()) as pool:
        target = SshTarget(slurm.host, user, slurm.port)
        process = pool.open(target, lambda: SshCredential(private), command())
        session = AgentSession(SshChannel(process), start_seconds=PATIENCE_SECONDS)
        made = There(slurm, session)
        yield made
        session.close()
    shutil.rmtree(made.root)


def test_a_job_runs_and_all_of_it_is_seen(there: There) -> None:
    script = "echo $SLURM_JOB_ID $MADE; seq 20000; echo r=2 > $SLIPWAY_OUTPUT; umask; exit 4"
    (folder,), job_id = there.submit({"job": script}, setup=["export MADE=here"], umask=0o027)
    result = there.exited(folder)
    assert (result["exit_code"], result["reason"], result["cancelled"]) == (4, None, False)
    assert texts(folder) == [f"{job_id} here", *map(str, range(1, 20001)), "0027"]
    told, data = look(there.session, folder)
    assert told["size"] == len(data)
    assert data == folder.joinpath("frames").read_bytes()
    claim = json.loads(told["claim"])
    assert claim["slurm"]["job_id"] == json.loads(told["job"])["id"] == job_id
    assert claim["slurm"]["node"] in there.cluster.nodes
    answer = there.session.call("outputs", {"folder": str(folder)}, timeout=PATIENCE_SECONDS)
    assert answer.data == b"r=2\n"
    await_that(lambda: not folder.joinpath("specification.json").exists())


def test_output_is_seen_while_the_job_runs(there: There) -> None:
    (folder,), _ = there.submit({"job": "echo first; while ! [ -e go ]; do sleep 0.1; done"})
    await_that(lambda: look(there.session, folder)[1], "the first line is seen")
    assert look(there.session, folder)[0]["exit"] is None
    Path(f"{folder}.work/go").touch()
    assert there.exited(folder)["exit_code"] == 0


def test_an_array_runs_each_of_its_jobs_once(there: There) -> None:
    scripts = {f"it's {number}": f"echo {number}; exit {number}" for number in range(5)}
    folders, job_id = there.submit(scripts)
    for number, folder in enumerate(folders):
        assert there.exited(folder)["exit_code"] == number
        assert texts(folder) == [str(number)]
        slurm = json.loads(look(there.session, folder)[0]["claim"])["slurm"]
        assert (slurm["array_job_id"], slurm["array_task_id"]) == (job_id, number)


def test_a_second_job_of_a_folder_runs_nothing(there: There) -> None:
    (folder,), _ = there.submit({"job": "echo ran"})
    there.exited(folder)
    script = job_script("python3", there.package, [str(folder)])
    program = {"argv": sbatch(Request("slw-again")), "stdin": script, "timeout_seconds": 60}
    ran = there.call("run", {"program": program, "most_bytes": 99})
    assert ran["code"] == 0
    await_that(lambda: not there.cluster.admin("squeue", "-h"), "the second job has ended")
    assert texts(folder) == ["ran"]


def test_a_request_to_end_a_job_is_found_on_its_node(there: There) -> None:
    (folder,), _ = there.submit({"job": "echo begun; exec sleep 600"})
    await_that(lambda: look(there.session, folder)[1])
    there.call("cancel", {"jobs": [{"folder": str(folder), "program": None}]})
    result = there.exited(folder)
    assert (result["exit_code"], result["cancelled"], result["reason"]) == (143, True, None)


@pytest.mark.parametrize("asked", [True, False])
def test_a_job_that_slurm_is_told_to_end(there: There, asked: bool) -> None:
    (folder,), job_id = there.submit({"job": "echo begun; exec sleep 600"})
    await_that(lambda: look(there.session, folder)[1])
    if asked:
        program = {"argv": control.scancel(str(job_id)), "timeout_seconds": 60}
        there.call("cancel", {"jobs": [{"folder": str(folder), "program": program}]})
    else:
        there.cluster.admin(*control.scancel(str(job_id)))
    result = there.exited(folder)
    assert (result["exit_code"], result["cancelled"]) == (143, asked)
    assert result.get("ended_by_slurm") is (None if asked else True)


def test_a_job_that_is_put_back_into_the_queue_begins_anew(there: There) -> None:
    script = """
        echo "run ${SLURM_RESTART_COUNT:-0}"
        echo "r=${SLURM_RESTART_COUNT:-0}" >> $SLIPWAY_OUTPUT
        [ "$SLURM_RESTART_COUNT" ] || exec sleep 600
    """
    (folder,), job_id = there.submit({"job": script}, "--requeue", requeue=True)
    await_that(lambda: look(there.session, folder)[1])
    there.cluster.admin("scontrol", "requeue", str(job_id))

    state = ("squeue", "-h", "-o", "%T", "-j", str(job_id))
    await_that(lambda: there.cluster.admin(*state).strip() == "PENDING", "it is in the queue")
    # It would wait for two minutes; and a node begins no job in the second in which it ended it.
    there.cluster.admin("scontrol", "update", f"jobid={job_id}", "StartTime=now+3")

    def final() -> Any:
        told = look(there.session, folder)[0]["exit"]
        result = json.loads(told) if told else None
        return result if result and not result.get("ended_by_slurm") else None

    result = await_that(final, "the second run has ended")
    assert (result["exit_code"], result["reason"]) == (0, None)
    lines = texts(folder)
    assert (lines[0], lines[-1]) == ("run 0", "run 1")
    assert folder.joinpath("outputs").read_text() == "r=1\n"
    slurm = json.loads(look(there.session, folder)[0]["claim"])["slurm"]
    assert (slurm["job_id"], slurm["restarts"]) == (job_id, 1)
    await_that(lambda: not folder.joinpath("specification.json").exists())


def test_a_job_beyond_its_time_limit_says_who_ended_it(there: There) -> None:
    script = "trap 'echo saved; exit 3' TERM; echo begun; while :; do sleep 0.1; done"
    (folder,), job_id = there.submit({"job": script}, resources=Resources(time_seconds=3600))
    await_that(lambda: look(there.session, folder)[1])
    there.cluster.admin("scontrol", "update", f"jobid={job_id}", "EndTime=now+1")
    result = there.exited(folder)
    assert (result["exit_code"], result["ended_by_slurm"]) == (3, True)
    assert (result["timed_out"], result["reason"]) == (False, "the cluster ended it")
    assert "saved" in texts(folder)


def test_a_job_that_stands_still_goes_on(there: There) -> None:
    script = "echo begun; while ! [ -e go ]; do sleep 0.1; done; echo through"
    (folder,), job_id = there.submit({"job": script}, timeout_seconds=PATIENCE_SECONDS)
    await_that(lambda: look(there.session, folder)[1])
    there.cluster.admin("scontrol", "suspend", str(job_id))
    # Slurm tells nodes of a stop and of its end apart from each other: one may overtake the other.
    await_that(lambda: there.cluster.process_states(job_id) == {"T"}, "it stands still")
    there.cluster.admin("scontrol", "resume", str(job_id))
    Path(f"{folder}.work/go").touch()
    assert there.exited(folder)["exit_code"] == 0
    assert texts(folder) == ["begun", "through"]
