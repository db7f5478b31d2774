"""Why a program could not be executed, in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from app.engine.launchers.shim.unbegun import explain

ENV = {"PATH": "/none:/usr/bin:/bin"}


def failure(program, env=ENV, user=None):
    """Return what execution really comes to in a process of its own; it must fail."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if user is not None:
                os.setuid(user)
            os.execvpe(program, [program], env)
        except OSError as exc:
            os.write(writing, explain(program, exc, env).encode())
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as report:
        said = report.read().decode()
    os.waitpid(pid, 0)
    return said


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Return a function that makes ``./program``; the working directory is its folder."""
    monkeypatch.chdir(tmp_path)

    def make(content, mode=0o700):
        path = tmp_path / "program"
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return make


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("nonesuch", "nonesuch: No such file or directory; no folder of PATH has it: /none:/usr/"),
        ("/no/such", "/no/such: No such file or directory"),
        ("./nonesuch", "./nonesuch: No such file or directory; relative paths begin at /"),
        ("a/b", "a/b: No such file or directory; relative paths begin at /"),
        ("/etc/passwd/x", "/etc/passwd/x: Not a directory"),
        ("/etc", "/etc: Permission denied; it is a folder"),
    ],
)
def test_what_was_not_found_is_said(made, program, said):
    assert failure(program).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#!/no/sh -e\n", "is there, but not its interpreter, /no/sh"),
        (b"#! /no/sh", "is there, but not its interpreter, /no/sh"),
        (b"#!/bin/sh\r\necho", "its first line ends with CR LF"),
        (b"#!/etc/passwd\n", "its interpreter, /etc/passwd, is not executable"),
        (b"echo hi", "Exec format error; it is no program of this machine"),
        (b"\0\1\2", "Exec format error; it is no program of this machine"),
    ],
)
def test_what_a_file_lacks_is_said(made, content, said):
    made(content)
    assert said in failure("./program")


def test_a_file_without_the_right_is_told_how_to_get_it(made):
    made(b"#!/bin/sh\n", 0o600)
    assert failure("./program") == "./program: Permission denied; it is not executable (chmod +x)"


def test_a_link_that_leads_nowhere_is_called_so(made):
    made(b"").unlink()
    Path("program").symlink_to("/no/such")
    assert "it is a symbolic link that leads nowhere" in failure("./program")


def test_the_path_of_the_command_counts(made, tmp_path):
    made(b"#!/no/such\n")
    assert "not its interpreter, /no/such" in failure("program", {"PATH": f"/none:{tmp_path}"})


def test_a_folder_of_the_path_that_is_closed_to_its_user_has_nothing(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(0)
    nobody = 65534 if os.geteuid() == 0 else None  # nothing is closed to root
    said = failure("nonesuch", {"PATH": f"{closed}:/none"}, nobody)
    assert said == (
        f"nonesuch: No such file or directory; no folder of PATH has it: {closed}:/none"
    )


def test_a_very_long_path_is_cut():
    assert len(failure("nonesuch", {"PATH": "/" + "x" * 100_000})) < 500


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.E2BIG, "echo: Argument list too long; its arguments and variables are longer than"),
        (errno.EIO, "echo: Input/output error"),
    ],
)
def test_other_errors_are_as_the_system_says_them(number, said):
    assert explain("echo", OSError(number, os.strerror(number)), ENV).startswith(said)
