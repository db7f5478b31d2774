"""The Slurm cluster of the tests: what they may expect of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.patience import await_that
from kit.servers.slurm import SlurmCluster

SCRIPT = "#!/bin/sh\necho $SLURMD_NODENAME > ran\n"


class Login:
    """A user who logs in as people do."""

    def __init__(self, cluster: SlurmCluster, user: str, folder: Path) -> None:
        key = folder / f"{user}_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        cluster.authorize(user, key.with_suffix(".pub").read_text())
        known_hosts = folder / "known_hosts"
        known_hosts.write_text(cluster.known_hosts)
        options = ["-F", "none", "-i", str(key), "-o", f"UserKnownHostsFile={known_hosts}"]
        options += ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        self._ssh = ["ssh", *options, "-p", str(cluster.port), f"{user}@{cluster.host}"]

    def run(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._ssh, command], input=stdin, capture_output=True, text=True, check=False
        )


def submit(cluster: SlurmCluster, *options: str, user: str = "slwuser1") -> str:
    ran = cluster.run("sbatch", "--parsable", *options, stdin=SCRIPT, user=user)
    assert ran.status == 0, ran.stderr
    return ran.stdout.strip()


def state_of(cluster: SlurmCluster, job: str) -> str:
    return cluster.run("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").stdout.strip()


def test_a_job_that_was_submitted_over_ssh_runs(slurm: SlurmCluster, tmp_path: Path) -> None:
    login = Login(slurm, "slwuser1", tmp_path)
    done = login.run("sbatch --parsable", SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().isdigit()
    ran = slurm.machine.home("slwuser1") / "ran"
    await_that(lambda: ran.exists() and ran.read_text().strip() in slurm.nodes)


def test_keys_that_are_authorized_no_more_let_nobody_in(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    login = Login(slurm, "slwuser2", tmp_path)
    assert login.run("id -un").stdout == "slwuser2\n"
    slurm.forbid("slwuser2")
    assert login.run("id -un").returncode == 255


def test_logins_have_the_shell_that_they_are_given(slurm: SlurmCluster, tmp_path: Path) -> None:
    login = Login(slurm, "slwuser3", tmp_path)
    slurm.machine.set_shell("slwuser3", "/bin/false")
    assert login.run("true").returncode == 1


def test_accounting_has_what_ended(slurm: SlurmCluster) -> None:
    job = submit(slurm)
    command = ("sacct", "-X", "-n", "-P", "-j", job, "-o", "State")
    await_that(lambda: slurm.run(*command).stdout.strip() == "COMPLETED")


def test_daemons_are_stopped_and_come_back(slurm: SlurmCluster) -> None:
    job = submit(slurm, "--hold")
    slurm.stop("slurmctld")
    assert slurm.machine.run("scontrol", "ping").status != 0
    slurm.start("slurmctld")
    assert state_of(slurm, job) == "PENDING"


def test_the_administrator_may_drain_nodes(slurm: SlurmCluster) -> None:
    drain = ("scontrol", "update", "nodename=node1", "state=drain", "reason=test")
    assert slurm.run(*drain).status != 0
    assert slurm.run(*drain, user=slurm.admin_user).status == 0
    assert "drained" in slurm.admin("sinfo", "-h", "-N", "-n", "node1", "-o", "%T")


def test_a_job_of_a_higher_tier_pushes_another_back(slurm: SlurmCluster) -> None:
    scrap = submit(slurm, "-p", "scrap", "-n4", "--wrap=sleep 600")
    await_that(lambda: state_of(slurm, scrap) == "RUNNING")
    submit(slurm, "-p", "urgent", "-n4", "-w", "node3", "--wrap=sleep 600")
    await_that(lambda: state_of(slurm, scrap) == "PENDING")


def test_numbers_come_again_where_that_is_wanted(new_slurm: Callable[..., SlurmCluster]) -> None:
    cluster = new_slurm(accounting=False, nodes=1, first_job_id=5, max_job_id=7, min_job_age=2)
    assert [submit(cluster, "--hold", "-J", "x") for _ in range(2)] == ["5", "6"]
    cluster.admin("scancel", "5", "6")
    await_that(lambda: not cluster.admin("squeue", "-h", "-t", "all"))
    assert submit(cluster) in {"5", "6"}


def test_two_clusters_at_once(slurm: SlurmCluster, new_slurm: Callable[..., SlurmCluster]) -> None:
    other = new_slurm(accounting=False, nodes=1)
    assert other.port != slurm.port
    assert other.name in other.admin("scontrol", "show", "config")
    assert slurm.name in slurm.admin("scontrol", "show", "config")


@pytest.mark.parametrize("accounting", [False, True])
def test_nothing_outlives_it(accounting: bool, new_slurm: Callable[..., SlurmCluster]) -> None:
    cluster = new_slurm(accounting=accounting, nodes=1)
    job = submit(cluster, "--wrap=sleep 987654")
    await_that(lambda: state_of(cluster, job) == "RUNNING")
    folder = cluster.machine.folder
    cluster.end()
    assert not folder.exists()
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if _speaks_of(pid, str(folder))]


def _speaks_of(process: Path, text: str) -> bool:
    try:
        words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except OSError:
        return False
    return os.fsencode(text) in words
