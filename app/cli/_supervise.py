"""The process that ``slipway serve`` becomes once all is prepared: a supervisor and nothing else.

To check the settings and to bring the tables up to date takes most of the service's code; to look
after its processes takes little. So the prepared process executes Python anew, under its own number
(execve(2)), and keeps only what a supervisor needs. That travels in a file that has no name and
lives in memory, since it holds secrets.
"""

from __future__ import annotations

import os
import pickle
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from app.cli._process import guard_process
from app.cli._supervisor import MASTER_KEY_OPTION, Child, Supervisor, log
from app.files import inherited_umask


@dataclass(frozen=True)
class Begun:
    """A process that was started before its supervisor.

    Attributes:
        pid: Of a child of the process that becomes the supervisor.
        lifeline: Descriptor of our end of its lifeline.
        requests: Descriptor of our end of the socket by which a template is asked for forks.
    """

    pid: int
    lifeline: int
    requests: int


@dataclass(frozen=True)
class ChildPlan:
    """One process to look after; see :class:`app.cli._supervisor.Child`.

    Attributes:
        listeners: Descriptors of its sockets.
        template: Name of the one of which it is a fork; that stands before it.
        begun: It is there already.
    """

    name: str
    module: str
    silence_seconds: float
    env: Mapping[str, str] = field(repr=False)
    listeners: Sequence[int] = ()
    secret: str | None = field(default=None, repr=False)
    template: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    is_template: bool = False
    on_demand: bool = False
    secret_option: str = MASTER_KEY_OPTION
    begun: Begun | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the supervisor holds of it from the beginning."""
        begun = (self.begun.lifeline, self.begun.requests) if self.begun else ()
        return (*self.listeners, *begun)

    def child(self, others: Mapping[str, Child]) -> Child:
        """Make what the supervisor looks after.

        Args:
            others: By name.
        """
        listeners = tuple(socket.socket(fileno=descriptor) for descriptor in self.listeners)
        child = Child(
            self.name, self.module, self.silence_seconds, self.env, listeners, self.secret,
            others[self.template] if self.template else None, self.options, self.is_template,
            self.on_demand, self.secret_option,
        )  # fmt: skip
        if self.begun is not None:
            ends = (socket.socket(fileno=fd) for fd in (self.begun.lifeline, self.begun.requests))
            child.adopt(self.begun.pid, *ends)
        return child


@dataclass(frozen=True)
class Plan:
    """All that the supervisor is told.

    Attributes:
        address: Host and port that answer when all is well; None where the API is not served.
        tls: They answer by HTTPS.
        stop_seconds: How long the processes may take to stop.
        data_dir: For the announcement.
        log: Level and format of the log.
        figures_dir: Folder that the web processes share their figures in; it goes with them.
        umask: With which ``slipway serve`` was started; commands get it.
    """

    children: Sequence[ChildPlan]
    address: tuple[str, int] | None
    tls: bool
    stop_seconds: float
    data_dir: str
    log: tuple[str, str]
    figures_dir: str | None = None
    umask: int = field(default_factory=inherited_umask)


def become_supervisor(plan: Plan) -> NoReturn:
    """Replace this process by one that does nothing but supervise.

    Args:
        plan: What it is to do; the descriptors in it are inherited.
    """
    kept = os.memfd_create("plan", 0)
    with open(kept, "wb", closefd=False) as file:
        pickle.dump(plan, file)
    os.lseek(kept, 0, os.SEEK_SET)
    for child in plan.children:
        for descriptor in child.descriptors:
            os.set_inheritable(descriptor, True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "app.cli._supervise", str(kept)])  # noqa: S606


def main() -> None:
    """Supervise as the plan says that the given descriptor holds."""
    with open(int(sys.argv[1]), "rb") as file:  # noqa: PTH123
        plan: Plan = pickle.load(file)  # noqa: S301  (it is this process's own)
    os.umask(plan.umask)
    guard_process()
    log.form = plan.log
    by_name: dict[str, Child] = {}
    for each in plan.children:
        by_name[each.name] = each.child(by_name)
    children = list(by_name.values())
    for each in plan.children:
        for descriptor in each.descriptors:
            os.set_inheritable(descriptor, False)
    supervisor = Supervisor(children, plan.address, plan.stop_seconds, tls=plan.tls)
    status = supervisor.run(lambda url: _announce(url, plan.data_dir))
    if plan.figures_dir is not None:
        shutil.rmtree(plan.figures_dir, ignore_errors=True)
    sys.exit(status)


def _announce(url: str | None, data_dir: str) -> None:
    if url is None:
        print(f"Slipway is at work without its API (data: {data_dir})", flush=True)
        return
    print(f"Slipway is ready at {url} (in a browser: {url}/; data: {data_dir})", flush=True)


if __name__ == "__main__":
    main()
