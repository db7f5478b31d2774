"""A PostgreSQL of the benchmark's own: its stock settings, a free port, an empty folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_START_SECONDS = 20.0


def programs() -> Path | None:
    """Find the folder of ``initdb`` and ``postgres``; Debian keeps it out of the PATH."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = sorted(debian, key=lambda program: int(program.parts[-3]), reverse=True)
    if elsewhere := shutil.which("initdb"):
        found.append(Path(elsewhere).resolve())
    return found[0].parent if found else None


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server, and give the URL of an empty database.

    Args:
        folder: Where its programs are.
    """
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    home = Path(tempfile.mkdtemp(prefix="slipway-bench-pg-"))
    if user:
        shutil.chown(home, user, user)
    port = _free_port()
    data = str(home / "data")
    initialise = [str(folder / "initdb"), "-D", data, "-U", "slipway", "--auth=trust", "--no-sync",
                  "--encoding=UTF8", "--locale=C.UTF-8"]  # fmt: skip
    serve = [str(folder / "postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port),
             "-k", str(home)]  # fmt: skip
    try:
        subprocess.run(
            initialise, check=True, user=user, group=user, cwd=home, stdout=subprocess.DEVNULL
        )
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                serve, user=user, group=user, cwd=home, stdout=log, stderr=log
            )
        try:
            _await(process, port)
            yield f"postgresql+psycopg://slipway@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # ends sessions, too
            process.wait()
    finally:
        shutil.rmtree(home)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=slipway dbname=postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("PostgreSQL did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
