"""Real HAProxy and Apache in front of a service, with the configuration that a test gives them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kit.ports import free_port
from kit.servers.processes import ServerProcess, unavailable

_MODULES = "mpm_event authz_core headers proxy proxy_http"
_APACHE = """\
ServerName localhost
ServerRoot {folder}
PidFile httpd.pid
ErrorLog /dev/stderr
{user}
{modules}
Listen {address}
{site}
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One program.

    Attributes:
        name: Of the program, and of the language of its configuration.
        arguments: What it is started with.
        config: Makes its configuration of a site's, its folder and its address.
    """

    name: str
    arguments: tuple[str, ...]
    config: Callable[[str, Path, str], str]


def _apache(site: str, folder: Path, address: str) -> str:
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
        for name in _MODULES.split()
    )
    user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    return _APACHE.format(folder=folder, user=user, modules=modules, address=address, site=site)


HAPROXY = Kind("haproxy", ("-db", "-f", "proxy.cfg"), lambda site, *_: site)
APACHE = Kind("apache2", ("-X", "-f", "proxy.cfg", "-d", "."), _apache)


class Proxy:
    """One proxy on a port of its own.

    Attributes:
        address: Host and port.
        url: URL of the server.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        found = shutil.which(kind.name) or shutil.which(kind.name, path="/usr/sbin")
        self._program = found or unavailable(f"{kind.name} was not found")
        self._folder = Path(tempfile.mkdtemp(prefix=f"slipway-{kind.name}-"))
        self._folder.chmod(0o755)
        self._port = free_port()
        self._process: ServerProcess | None = None
        self.address = f"127.0.0.1:{self._port}"
        self.url = f"http://{self.address}"

    def start(self, site: str) -> None:
        """Start it with a configuration of its site."""
        config = self._kind.config(site, self._folder, self.address)
        (self._folder / "proxy.cfg").write_text(config, encoding="utf-8")
        arguments = [str(self._folder / a) if a == "proxy.cfg" else a for a in self._kind.arguments]
        self._process = ServerProcess(
            [self._program, *arguments],
            log=self._folder / "log",
            ready=self._is_ready,
            stop_signal=signal.SIGTERM,
        )

    def remove(self) -> None:
        """End it and remove its files."""
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self._folder)

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
