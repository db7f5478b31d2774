"""A service behind nginx as the documentation configures it, with a prefix."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from kit.certificates import Authority
from kit.definitions import script, workflow
from kit.patience import PATIENCE_SECONDS
from kit.servers.nginx import NginxServer
from kit.service import Service
from requests.adapters import HTTPAdapter

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
PREFIX = "/hpc"
USER = ("ada", "ada's password")
CLIENT = "127.0.0.2"
"""Another address of this machine than the one that is trusted."""
LINES = "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done"


class From(HTTPAdapter):
    """Sends requests from an address of this machine."""

    def __init__(self, source: str) -> None:
        self._source = source
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, source_address=(self._source, 0))


class Site:
    """A service behind nginx.

    Args:
        folder: Where its files are.
        auth: Settings of signing in, beside those of a user with a password.

    Attributes:
        url: Where its users find it.
    """

    def __init__(self, folder: Path, **auth: Any) -> None:
        self.nginx = NginxServer()
        self.authority = Authority(folder / "ca")
        settings = {
            "data_dir": str(folder / "data"),
            "api": {
                "trusted_proxies": ["127.0.0.1"],
                "allowed_hosts": ["localhost"],
                "auth": {
                    "type": "basic",
                    "users": [{"username": USER[0], "password": USER[1], "roles": ["admin"]}],
                    **auth,
                },
            },
            "observability": {"access_log": "all", "log_format": "json"},
        }
        config = folder / "slipway.yaml"
        config.write_text(json.dumps(settings))
        config.chmod(0o600)
        self.service = Service(folder, arguments=["--config", config])
        self.url = ""

    def start(self, documented: Callable[[str], str]) -> None:
        """Start both, nginx with what a function makes of the documented configuration."""
        self.service.start()
        self.service.workflows_dir.mkdir(parents=True, exist_ok=True)
        flow = json.dumps(workflow("flow", script("say", LINES)))
        (self.service.workflows_dir / "flow.yaml").write_text(flow, encoding="utf-8")
        [block] = re.findall(
            r"^```nginx\n(.*?)^```",
            OPERATIONS.read_text(encoding="utf-8"),
            re.DOTALL | re.MULTILINE,
        )
        self.nginx.configure(documented(str(block)))
        self.nginx.start()

    def start_below_prefix(self, *, tls: bool = True) -> None:
        """Start both, nginx with a prefix, and with TLS unless told otherwise."""
        self.start(lambda block: self._below_prefix(block, f" {self._pair()}" if tls else ""))
        host = self.nginx.url.replace("127.0.0.1", "localhost")
        self.url = f"{host.replace('http', 'https') if tls else host}{PREFIX}"

    def end(self) -> None:
        """End both."""
        self.nginx.remove()
        self.service.end()

    def send(self, method: str, path: str, source: str = CLIENT, **more: Any) -> requests.Response:
        """Send a request through nginx, from an address that nobody trusts."""
        with requests.Session() as session:
            session.trust_env, session.verify = False, str(self.authority.cert)
            session.mount("https://", From(source))
            session.mount("http://", From(source))
            return session.request(
                method, self.url + path, **{"auth": USER, "timeout": PATIENCE_SECONDS, **more}
            )

    def address_of(self, answer: requests.Response) -> str:
        """From where the service believes that a request came."""
        request_id = answer.headers["X-Request-ID"]
        lines = [line for line in self.service.log.splitlines() if request_id in line]
        return str(json.loads(lines[0])["address"])

    def _pair(self) -> str:
        """Return what nginx needs for TLS, behind its address."""
        pair = self.authority.issue("localhost")
        cert, key = self.nginx.put(pair.cert), self.nginx.put(pair.key)
        return f"ssl; ssl_certificate {cert}; ssl_certificate_key {key}"

    def _below_prefix(self, block: str, tls: str) -> str:
        """Return the documented configuration with a prefix."""
        for old, new in (
            ("listen 80;", f"listen {self.nginx.address}{tls};"),
            ("location / {", f"location {PREFIX}/ {{"),
            ("proxy_pass http://127.0.0.1:8080;", f"proxy_pass {self.service.url}/;"),
            ('X-Forwarded-Prefix "";', f"X-Forwarded-Prefix {PREFIX};"),
        ):
            assert block.count(old) == 1, old
            block = block.replace(old, new)
        return block
