"""The code that a cluster needs, made from the modules of this installation."""

from __future__ import annotations

import hashlib
import io
import shlex
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

_APP: Final = Path(__file__).parents[3]
_LAUNCHERS: Final = _APP / "engine" / "launchers"
_SHIM: Final = (
    *("captures", "kept", "lines", "output", "places", "processes", "reading", "records"),
    *("supervisor", "unbegun", "usage"),
)
MODULES: Final = (
    _APP / "removal.py",
    _LAUNCHERS / "messages.py",
    *(_LAUNCHERS / "shim" / f"{name}.py" for name in _SHIM),
    *sorted((_LAUNCHERS / "slurm" / "agent").glob("*.py")),
)
"""The files that are sent, which Python 3.6 must understand."""

_DIGITS: Final = 16
_ARRIVAL_SECONDS: Final = 60
"""How long a node may not see the program of jobs yet, which the login node has written."""
_MADE: Final = (2020, 1, 1, 0, 0, 0)
_LOADER: Final = (
    "import sys,zlib;f=sys.stdin.buffer;"
    'exec(compile(zlib.decompress(f.read(int(f.readline()))),"<agent>","exec"))'
)
"""What every login shell takes within single quotes, also csh."""
_BEGIN: Final = """
import importlib.abc
import importlib.util
import sys

SOURCES = {sources!r}


class Sent(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def find_spec(self, name, path=None, target=None):
        if name in SOURCES:
            return importlib.util.spec_from_loader(name, self, origin="<agent>")

    def get_source(self, name):
        return SOURCES[name][0]

    def is_package(self, name):
        return SOURCES[name][1]


sys.meta_path.insert(0, Sent())
from app.engine.launchers.slurm.agent.server import main
main({nonce!r})
"""
_MAIN: Final = """
import sys
from app.engine.launchers.slurm.agent.job import main
main(sys.argv[2])
"""


def command(python: str = "python3") -> str:
    """Return the command that begins an agent, for whatever login shell there is.

    Args:
        python: The interpreter on the login node: a name or a path without anything special.
    """
    return f"exec env LC_ALL=C.UTF-8 {python} -I -u -c '{_LOADER}'"


def program(nonce: str) -> bytes:
    """Return what that command reads first: the agent, which says the nonce once it has begun."""
    sources = {name: (text, is_package) for name, text, is_package in _sources()}
    code = zlib.compress(_BEGIN.format(sources=sources, nonce=nonce).encode())
    return b"%d\n" % len(code) + code


@cache
def job_package() -> bytes:
    """Return the program of jobs, ``python <file> job <folder>``, the same bytes each time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text, is_package in _sources():
            path = name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
            archive.writestr(zipfile.ZipInfo(path, _MADE), text, zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("__main__.py", _MADE), _MAIN, zipfile.ZIP_DEFLATED)
    return made.getvalue()


@cache
def package_digest() -> str:
    """Return what names the content of :func:`job_package`."""
    return hashlib.sha256(job_package()).hexdigest()[:_DIGITS]


def job_script(python: str, package: str, folders: Sequence[str]) -> str:
    """Return the script of a job, or of an array with a task for each folder.

    Args:
        python: The interpreter on the nodes.
        package: The file that ``install`` left.
        folders: The folders of the jobs.
    """
    words = " ".join(map(shlex.quote, folders))
    program, its_folder = map(shlex.quote, (package, str(PurePosixPath(package).parent)))
    return (
        "#!/bin/sh\n"
        f"set -- {words}\n"
        'shift "${SLURM_ARRAY_TASK_ID:-0}"\n'
        # It may be new to the node, which is asked anew by a list of the folder.
        f"tries={_ARRIVAL_SECONDS}\n"
        f'while ! [ -r {program} ] && [ "$tries" -gt 0 ]; do\n'
        f"sleep 1; tries=$((tries - 1)); ls {its_folder} >/dev/null 2>&1\ndone\n"
        f'exec env LC_ALL=C.UTF-8 {shlex.quote(python)} -I {program} job "$1"\n'
    )


def _sources() -> Iterator[tuple[str, str, bool]]:
    """Yield the modules as they are called there: name, text, and whether it is a package."""
    modules = [path.relative_to(_APP.parent) for path in MODULES]
    for folder in sorted({folder for path in modules for folder in path.parents if folder.name}):
        yield ".".join(folder.parts), "", True
    for path in modules:
        if path.name != "__init__.py":
            text = (_APP.parent / path).read_text(encoding="utf-8")
            yield ".".join(path.with_suffix("").parts), text, False
