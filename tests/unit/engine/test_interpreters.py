"""What reads the script of a step."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from app.engine.interpreters import interpreter


@pytest.mark.parametrize(
    ("shell", "script", "argv"),
    [
        (None, "true", ("bash", "-e", "-o", "pipefail")),
        ("bash", "true", ("bash", "-e", "-o", "pipefail")),
        ("/usr/bin/bash", "true", ("/usr/bin/bash", "-e", "-o", "pipefail")),
        ("sh", "true", ("sh", "-e")),
        ("/bin/sh", "true", ("/bin/sh", "-e")),
        ("dash", "true", ("dash", "-e")),
        ("python3", "pass", ("python3",)),
        (None, "#!/bin/bash\nfalse", ("/bin/bash",)),
        (None, "#! /bin/sh -u\nfalse", ("/bin/sh", "-u")),
        (None, "#!/usr/bin/env -S bash -eu\n", ("/usr/bin/env", "-S bash -eu")),
        (None, "#!/usr/bin/python3 \r\npass", ("/usr/bin/python3",)),
        (None, "#!\nfalse", ("bash", "-e", "-o", "pipefail")),
        (None, "\n#!/bin/sh\n", ("bash", "-e", "-o", "pipefail")),
        ("bash", "#!/bin/sh\nfalse", ("bash", "-e", "-o", "pipefail")),
        ("python3", "#!/bin/sh\n", ("python3",)),
    ],
)
def test_a_shell_is_strict_and_an_authors_own_line_stays(shell, script, argv):
    assert interpreter(shell, script) == argv


@pytest.mark.parametrize(
    ("shell", "script", "code"),
    [
        (None, "false; exit 0", 1),
        (None, "(exit 3) | cat; exit 0", 3),
        (None, "set +e +o pipefail; false; (exit 3) | cat; exit 0", 0),
        (None, "false || true; if false; then :; fi; ! true; exit 0", 0),
        (None, "#!/bin/bash\nfalse; exit 0", 0),
        (None, "#!/usr/bin/env -S bash -e\nfalse; exit 0", 1),
        ("sh", "false; exit 0", 1),
        ("sh", "(exit 3) | cat; exit 0", 0),
    ],
)
def test_a_script_ends_with_the_first_command_that_fails(tmp_path, shell, script, code):
    (tmp_path / "script").write_text(script)
    argv = [*interpreter(shell, script), str(tmp_path / "script")]
    program = shutil.which(argv[0])
    assert program
    assert subprocess.run([program, *argv[1:]], check=False).returncode == code
