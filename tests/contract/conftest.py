import os
import pwd
import tempfile
from itertools import count
from pathlib import Path

import pytest
from job_bench import JobBench, make_launcher
from kit.other_user import user_of_rig
from kit.slurm_rig import REACH, Rig, folder_on, reach

from app.engine.launchers.base import LauncherCapability
from app.engine.launchers.registry import launcher_class

LAUNCHERS = {
    "local": "local",
    "run_as": "kit.other_user:Rig",
    "toy": "kit.toy_launcher:ToyLauncher",
    "slurm": "kit.slurm_rig:Rig",
}
_numbers = count(1)
BY_SHIM = {"local", "run_as"}
"""Launchers that also keep what tests with the mark ``shim`` ask for, beyond the contract."""


def pytest_generate_tests(metafunc):
    """Try each launcher that promises what a test is about."""
    if "launcher_name" not in metafunc.fixturenames or has_own(metafunc, "launcher_name"):
        return
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    names = [name for name in LAUNCHERS if keeps(name, marks)]
    metafunc.parametrize("launcher_name", names, indirect=True)


def keeps(name, marks):
    """Return whether a launcher promises what tests with these marks are about."""
    if "shim" in marks:
        return name in BY_SHIM
    pauses = LauncherCapability.PAUSE in launcher_class(LAUNCHERS[name]).capabilities
    return pauses or "pausing" not in marks


def has_own(metafunc, fixture):
    """Return whether the test itself, or its module, return what a fixture is."""
    mine = (mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    return fixture in mine or hasattr(metafunc.module, fixture)


@pytest.fixture(scope="session")
def commands_user():
    """Another user of this machine."""
    yield from user_of_rig()


@pytest.fixture
def launcher_name(request, monkeypatch):
    if request.param == "run_as":
        request.getfixturevalue("commands_user")
    if request.param == "slurm":
        monkeypatch.setenv(REACH, reach(request.getfixturevalue("shared_slurm")))
    return LAUNCHERS[request.param]


@pytest.fixture
def root(launcher_name, request, tmp_path):
    """A folder that belongs to the user of the commands alone."""
    if launcher_name == LAUNCHERS["slurm"]:
        return folder_on(request.getfixturevalue("shared_slurm"), next(_numbers))
    if launcher_name != LAUNCHERS["run_as"]:
        return tmp_path
    user = pwd.getpwnam(request.getfixturevalue("commands_user"))
    folder = Path(tempfile.mkdtemp(dir=user.pw_dir))
    os.chown(folder, user.pw_uid, -1)
    return folder


@pytest.fixture
def launcher(launcher_name, root):
    launcher = make_launcher(launcher_name, root)
    yield launcher
    if isinstance(launcher, Rig):
        launcher.close()


@pytest.fixture
def bench(launcher, root):
    with JobBench(launcher, root) as bench:
        yield bench
    # What a shim did not foresee.
    assert not any(path.read_text() for path in root.rglob("shim.err"))
