import os
import pwd
import tempfile
from pathlib import Path

import pytest
from job_bench import JobBench
from kit.other_user import user_of_rig

from app.engine.launchers.registry import create_launcher

LAUNCHERS = {"local": "local", "run_as": "kit.other_user:Rig"}


@pytest.fixture(scope="session")
def commands_user():
    """Another user of this machine."""
    yield from user_of_rig()


@pytest.fixture(params=LAUNCHERS)
def launcher_name(request):
    if request.param == "run_as":
        request.getfixturevalue("commands_user")
    return LAUNCHERS[request.param]


@pytest.fixture
def root(launcher_name, request, tmp_path):
    """A folder that belongs to the user of the commands alone."""
    if launcher_name == "local":
        return tmp_path
    user = pwd.getpwnam(request.getfixturevalue("commands_user"))
    folder = Path(tempfile.mkdtemp(dir=user.pw_dir))
    os.chown(folder, user.pw_uid, -1)
    return folder


@pytest.fixture
def bench(launcher_name, root):
    with JobBench(create_launcher(launcher_name, root), root) as bench:
        yield bench
