"""How ``slipway serve`` brings a slave of its own."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from app.cli._options import bare_environment
from app.cli._supervise import ChildPlan
from app.identity.local_slave import digest_of, make_key
from app.load.machine import VUS_PER_PROCESS, default_processes
from app.settings import Settings

_SILENCE_SECONDS: Final = 10.0
"""It is replaced after so long without a sign of life."""
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (what to connect to instead)
_NO_ID: Final = re.compile(r"[^A-Za-z0-9._~-]")


@dataclass(frozen=True)
class LocalSlavePlan:
    """The slave that the supervisor starts when a conductor asks for it.

    Attributes:
        id: ``local``; with the name of the machine where several may share a database.
        url: Where it connects.
        host_name: What its requests call that: a name of this machine, which is always allowed.
        key: Lets it in; the others get its digest.
        processes: How many worker processes it has.
        log: Level and format of the log.
    """

    id: str
    url: str
    host_name: str
    key: str = field(repr=False)
    processes: int
    log: tuple[str, str]

    @classmethod
    def of(cls, settings: Settings, listener: socket.socket) -> Self | None:
        """Plan it; None where the settings want none.

        Args:
            settings: All of them.
            listener: A socket on which the service answers.
        """
        if not settings.load.enabled or settings.load.local_slave == "off":
            return None
        host, port = listener.getsockname()[:2]
        host = _ANY.get(host, host)
        shown = f"[{host}]" if ":" in host else host
        name = _NO_ID.sub("-", socket.gethostname())[:90]
        return cls(
            id="local" if settings.database_url.startswith("sqlite") else f"local-{name}",
            url=f"{'https' if settings.api.tls.enabled else 'http'}://{shown}:{port}",
            host_name=f"127.0.0.1:{port}",
            key=make_key(),
            processes=default_processes(),
            log=(settings.observability.log_level, settings.observability.log_format),
        )

    @property
    def max_vus(self) -> int:
        """Most virtual users that it takes."""
        return self.processes * VUS_PER_PROCESS

    def child(self) -> ChildPlan:
        """Return what the supervisor starts on demand."""
        level, form = self.log
        options = {
            "--master": self.url, "--host-name": self.host_name, "--id": self.id,
            "--processes": str(self.processes), "--max-vus": str(self.max_vus),
            "--log-level": level, "--log-format": form,
        }  # fmt: skip
        return ChildPlan(
            "local-slave", "app.cli.local_slave", _SILENCE_SECONDS, bare_environment(),
            secret=self.key, options=options, on_demand=True, secret_option="--key-fd",  # noqa: S106  (an option)
        )  # fmt: skip

    def for_conductor(self) -> Mapping[str, str]:
        """Return the options by which a conductor offers it."""
        return {"--local-slave": self.id, "--local-slave-vus": str(self.max_vus)}

    def for_web(self) -> Mapping[str, str]:
        """Return the options by which web processes let it in."""
        return {"--slave-key-digest": digest_of(self.key)}
