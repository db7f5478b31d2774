"""What there is on the cluster: the machine, the account, its disk."""

import getpass
import os
import sys
import time
from contextlib import suppress

from app.engine.launchers.shim.records import sync, write_atomically

from .faults import Refusal, disk_faults
from .folders import make_folder, opened, write_text
from .programs import ran

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_STAGED_BYTES = 64 * 1024 * 1024
"""Of all files that a step names; what is larger is given by its path."""
_OWN = ".slipway"


def hello(asked: "dict[str, Any]", umask: int) -> "dict[str, Any]":
    """Return what whoever logged in must know; nothing is made."""
    home = os.path.expanduser("~")
    root = os.path.normpath(os.path.join(home, asked["workdir"]))
    package = None
    if asked.get("digest"):
        path = _package(root, asked["digest"])
        package = path if os.path.isfile(path) else None
    version = asked.get("version")
    return {
        "home": home,
        "user": getpass.getuser(),
        "hostname": os.uname().nodename,
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "clock": time.time(),
        "umask": umask,
        "root": root,
        "version": ran(version)[0] if version else None,
        "package": package,
    }


def install(root: str, digest: str, content: bytes) -> str:
    """Write the program of jobs, whole, and return its path."""
    path = _package(root, digest)
    with disk_faults():
        make_folder(os.path.dirname(path))
        write_atomically(path, content)
        sync(os.path.dirname(path))
    return path


def _package(root: str, digest: str) -> str:
    if not digest.isalnum():
        raise Refusal("refused", "digest must be letters and digits")
    return os.path.join(root, _OWN, f"slipway-{digest}.pyz")


def work_folder(folder: str, files: "dict[str, str]", begun: bool) -> None:
    """Make the folder in which an execution works, with its files; idempotent."""
    if begun and os.path.isdir(folder):
        return
    with disk_faults():
        make_folder(folder)
        for name, text in files.items():
            path = os.path.join(folder, name)
            if not os.path.lexists(path):
                make_folder(os.path.dirname(path))
                write_text(path, text)


def stage(folder: str, paths: "list[str]") -> None:
    """Make sure that files are there.

    Raises:
        Refusal: One is not, or together they are too large.
    """
    left = MAX_STAGED_BYTES
    for path in paths:
        with opened(folder, path) as file:
            left -= os.fstat(file).st_size
        if left < 0:
            limit = MAX_STAGED_BYTES // 2**20
            text = f"The files of a step may have {limit} MiB together, and exceed that."
            raise Refusal("invalid", text)


def check(root: str, quota: "dict[str, Any] | None") -> "dict[str, Any]":
    """Try the folder of executions: whether it can be written to, and what room there is."""
    fault = None
    told: dict[str, Any] = {"total_bytes": None, "free_bytes": None, "free_files": None}
    try:
        make_folder(os.path.join(root, _OWN))
        path = os.path.join(root, _OWN, f"test.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            write_atomically(path, b"x" * 65536)
        finally:
            with suppress(OSError):
                os.unlink(path)
    except OSError as exc:
        fault = exc.strerror or str(exc)
    with suppress(OSError):
        place = root
        while not os.path.isdir(place):
            place = os.path.dirname(place)
        disk = os.statvfs(place)
        told.update(
            total_bytes=disk.f_blocks * disk.f_frsize,
            free_bytes=disk.f_bavail * disk.f_frsize,
            free_files=disk.f_favail,
        )
    told.update(clock=time.time(), write=fault, quota=ran(quota)[0] if quota else None)
    return told
