"""A real nginx in front of a service, with a configuration that the test gives it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path

from kit.ports import free_port
from kit.servers.processes import ServerProcess, unavailable

_KINDS_OF_TEMPORARY_FILES = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_CONFIG = """\
daemon off;
worker_processes 1;
error_log stderr;
pid nginx.pid;
events {{ worker_connections 512; }}
http {{
access_log off;
{temporary_files}
{http}
}}
"""


def _program() -> str:
    """Find nginx; Debian keeps it out of the PATH of ordinary users."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    return found or unavailable("nginx was not found")


class NginxServer:
    """One server on a port of its own; it is started by :meth:`start`, and again as often.

    Attributes:
        address: Host and port, for its ``listen``.
        url: URL of the server.
    """

    def __init__(self) -> None:
        self._program = _program()
        # Its worker is not root, so the folder must be one that others can reach.
        self._user = "www-data" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="slipway-nginx-"))
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
        self._port = free_port()
        self._process: ServerProcess | None = None
        self.address = f"127.0.0.1:{self._port}"
        self.url = f"http://{self.address}"

    def configure(self, http: str) -> None:
        """Set what its ``http`` block contains; it holds from the next start on."""
        temporary_files = "\n".join(
            f"{kind}_temp_path {kind};" for kind in _KINDS_OF_TEMPORARY_FILES
        )
        config = _CONFIG.format(temporary_files=temporary_files, http=http)
        (self._folder / "nginx.conf").write_text(config)

    def put(self, file: Path) -> Path:
        """Copy a file to where it can be read, which is not where tests keep theirs."""
        copied = self._folder / file.name
        shutil.copyfile(file, copied)
        if self._user:
            shutil.chown(copied, self._user, self._user)
        return copied

    def start(self) -> None:
        """Start it, or restart it after :meth:`stop`, where it was."""
        arguments = ["-p", str(self._folder), "-c", "nginx.conf", "-e", "stderr"]
        self._process = ServerProcess(
            [self._program, *arguments],
            log=self._folder / "log",
            ready=self._is_ready,
            stop_signal=signal.SIGTERM,  # cuts off what is open
            user=self._user,
        )

    def stop(self) -> None:
        """End it, and with it every connection through it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def remove(self) -> None:
        """End it and remove its files."""
        self.stop()
        shutil.rmtree(self._folder)

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
