"""Commands that run as another user than the service: ``engine.run_as``."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kit.definitions import script, workflow
from kit.other_user import HELPER, made_user, user_of_rig, within_reach
from kit.patience import await_that
from kit.service import Service, run_slipway

SUDOERS = Path("/etc/sudoers.d")


@pytest.fixture(scope="module")
def jobs_user() -> Iterator[str]:
    """The user of the commands, with a home folder for them."""
    yield from user_of_rig("-jobs")


@pytest.fixture(scope="module", params=["root", "a user named in sudoers"])
def owner(request: pytest.FixtureRequest, jobs_user: str) -> Iterator[str]:
    """The user of the service."""
    if request.param == "root":
        yield "root"
        return
    with made_user("-service") as name:
        rule = SUDOERS / name
        rule.write_text(f"{name} ALL=({jobs_user}) NOPASSWD: {' '.join(HELPER)}\n")
        rule.chmod(0o440)
        try:
            yield name
        finally:
            rule.unlink()


@pytest.fixture(scope="module")
def place(owner: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the service's user."""
    if owner == "root":
        return tmp_path_factory.mktemp("of-root")
    return Path(pwd.getpwnam(owner).pw_dir)


@pytest.fixture(scope="module")
def service_for_another(owner: str, jobs_user: str, place: Path) -> Iterator[Service]:
    """A service whose commands run as another user."""
    config = place / "slipway.yaml"
    config.write_text(
        f"engine: {{run_as: {jobs_user}, kill_grace: 500ms, max_parallel_tasks: 8}}\n"
        f"data_dir: {place / 'data'}\n"
        "api: {auth: {type: basic, users: "
        "[{username: ada, password: hunter2, roles: [developer, user]}]}}\n"
    )
    config.chmod(0o600)
    user = pwd.getpwnam(owner)
    os.chown(config, user.pw_uid, user.pw_gid)
    made = Service(place, arguments=["--config", config])
    become = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--")
    made.within = [*within_reach(), *(become if owner != "root" else ())]
    made.user = "ada", "hunter2"
    yield made
    made.end()


@pytest.fixture
def service(service_for_another: Service) -> Iterator[Service]:
    """That service with nothing to do, which reports no fault in the test."""
    service_for_another.heal()
    before = len(service_for_another.log)
    yield service_for_another
    assert "Traceback" not in service_for_another.log[before:]


LOOK = """
echo "user $(id -un)"
echo "home $HOME"
echo "work $(stat -c '%U %a' "$PWD")"
echo "job $(stat -c '%U %a' "$(dirname "$SLIPWAY_OUTPUT")")"
look() { if timeout 5 "$@" >/dev/null 2>&1; then echo "could $*"; fi; }
look head -c 1 /etc/passwd
for path in $DATA $DATA/master.key $DATA/slipway.db $DATA/slipway.db-wal $DATA/node-id $CONFIG; do
  look ls "$path/" ; look head -c 1 "$path"; look cp /dev/null "$path"
done
for pid in $PIDS; do
  look head -c 1 /proc/$pid/environ; look head -c 1 /proc/$pid/mem; look ls /proc/$pid/fd/
  look kill -0 $pid
done
look sudo -n true
look mkdir $DATA/executions/x
echo n=5 >> "$SLIPWAY_OUTPUT"
echo problem >&2
"""


def test_a_command_reads_nothing_of_the_service(
    service: Service, jobs_user: str, place: Path
) -> None:
    client = service.client()
    assert client.send("POST", "/ssh_keys").status_code == 201
    assert (place / "data" / "master.key").exists()
    pids = [service.pid, *service.children()]
    env = {
        "DATA": str(place / "data"),
        "CONFIG": str(place / "slipway.yaml"),
        "PIDS": " ".join(map(str, pids)),
    }
    definition = workflow(
        "look", script("look", LOOK, env=env), outputs={"n": "${{ steps.look.outputs.n }}"}
    )
    definition["files"] = {"folder/given": "text"}
    execution = client.run(definition)
    ended = client.wait(execution)
    assert ended["state"] == "SUCCESS", ended
    assert ended["outputs"] == {"n": "5"}
    home = pwd.getpwnam(jobs_user).pw_dir
    assert client.lines(execution, "look") == [
        f"user {jobs_user}", f"home {home}", f"work {jobs_user} 700", f"job {jobs_user} 700",
        "could head -c 1 /etc/passwd", "problem",
    ]  # fmt: skip
    folder = Path(home) / "executions" / execution
    assert (folder / "work" / "folder" / "given").read_text() == "text"
    uid = pwd.getpwnam(jobs_user).pw_uid
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_uid == uid
    assert not (place / "data" / "executions").exists()


def test_a_whole_tree_is_paused_cancelled_and_missed(service: Service, jobs_user: str) -> None:
    client = service.client()
    text = "setsid sleep 300 &\nwhile :; do echo tick >> ticks; sleep 0.05; done\n"
    execution = client.run(workflow("tree", script("a", text)))
    ticks = work_of(jobs_user, execution) / "ticks"
    await_that(ticks.exists, "it has begun")
    client.pause(execution)
    client.wait(execution, "PAUSED")
    client.resume(execution)
    client.wait(execution, "RUNNING")
    before = ticks.stat().st_size
    await_that(lambda: ticks.stat().st_size > before, "it goes on")
    client.cancel(execution)
    assert client.wait(execution)["state"] == "CANCELLED"
    assert commands(jobs_user) == []
    execution = client.run(workflow("tree", script("a", text)))
    work = work_of(jobs_user, execution)
    await_that((work / "ticks").exists, "it has begun")
    while work.parent.exists():
        shutil.rmtree(work.parent, ignore_errors=True)
    assert client.wait(execution)["error"] == "Task 'a' failed: its folder was removed"
    assert commands(jobs_user) == []


def test_helpers_that_are_killed_are_replaced(service: Service, jobs_user: str) -> None:
    client = service.client()
    text = "echo begun; until [ -e go ]; do sleep 0.02; done; echo on"
    execution = client.run(workflow("one", script("a", text)))
    work = work_of(jobs_user, execution)
    await_that(lambda: client.tasks(execution)["a"]["started_at"], "it has begun")
    for pid in helpers(jobs_user):
        os.kill(pid, signal.SIGKILL)
    (work / "go").touch()
    assert client.wait(execution)["state"] == "SUCCESS"
    assert client.lines(execution, "a") == ["begun", "on"]


def test_nothing_is_lost_or_begun_twice_when_the_conductor_is_killed(
    service: Service, jobs_user: str
) -> None:
    text = "echo ran >> ran; for i in $(seq 60); do echo line $i; sleep 0.05; done"
    client = service.client()
    execution = client.run(
        workflow("lines", script("a", text), script("b", "cat ran", needs=["a"]))
    )
    await_that((work_of(jobs_user, execution) / "ran").exists, "it has begun")
    service.replaced("conductor", service.kill("conductor"))
    assert client.wait(execution)["state"] == "SUCCESS"
    assert client.lines(execution, "a") == [f"line {n}" for n in range(1, 61)]
    assert client.lines(execution, "b") == ["ran"]
    service.stop()
    await_that(lambda: not helpers(jobs_user), "the helpers have ended with the service")


def work_of(user: str, execution: str) -> Path:
    return Path(pwd.getpwnam(user).pw_dir) / "executions" / execution / "work"


def running(user: str) -> dict[int, str]:
    """Command lines of what a user runs, by pid."""
    uid = pwd.getpwnam(user).pw_uid
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = process.joinpath("cmdline").read_text()
            if f"\nUid:\t{uid}\t" in process.joinpath("status").read_text() and command:
                found[int(process.name)] = command
    return found


def helpers(user: str) -> list[int]:
    """Pids of a user's helpers."""
    return [pid for pid, command in running(user).items() if "launchers.broker" in command]


def commands(user: str) -> list[str]:
    """What runs as a user beside helpers."""
    helpers = ("launchers.broker", "shim.fork_server")
    return [text for text in running(user).values() if not any(name in text for name in helpers)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("run_as: no-such-user", "there is no user 'no-such-user'"),
        ("run_as: root", "must not be root"),
        ("run_as: nobody, run_as_dir: /no/such/folder", "nobody by sudo"),
        ("run_as: 5", "engine.run_as"),
    ],
)
def test_what_cannot_work_is_said_and_nothing_starts(
    tmp_path: Path, settings: str, words: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may use sudo without a rule")
    config = tmp_path / "slipway.yaml"
    config.write_text(f"data_dir: {tmp_path / 'data'}\nengine: {{{settings}}}\n")
    for command in (["check-config"], ["serve", "--port", "0"]):
        refused = run_slipway(command[0], "--config", config, *command[1:])
        assert refused.returncode == 2, refused.stderr
        assert "engine.run_as" in refused.stderr
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr
