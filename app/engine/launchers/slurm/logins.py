"""One agent for each account of a cluster: begun when it is needed, and begun again when lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from app.backoff import Backoff
from app.domain import JSON
from app.engine.launchers.slurm.accounts import ClusterAccount
from app.errors import SlipwayError, UpstreamError, UpstreamGarbled, UpstreamUnreachable

log = structlog.get_logger(__name__)

_AGAIN: Final = Backoff(first=1.0, longest=30.0)
_REFUSED: Final = Backoff(first=60.0, longest=600.0)
"""After what was refused: servers shut those out who try too often."""
_HELLO_SECONDS: Final = 60.0
"""For the first words of an agent, and for what it installs."""
_WAIT_SECONDS: Final = 30.0
"""How long one waits for another one who logs in to the same account."""
_IDLE_SECONDS: Final = 600.0
"""How long an agent is kept that nobody asks for anything."""


class Answer(Protocol):
    """What an agent says."""

    @property
    def result(self) -> JSON:
        """As the verb has it."""

    @property
    def data(self) -> bytes:
        """Bytes that came with it."""


class Agent(Protocol):
    """What runs on a login node; see :class:`app.engine.launchers.slurm.remote.AgentSession`."""

    @property
    def alive(self) -> bool:
        """Whether it can be asked for something, as far as is known."""

    def call(
        self, verb: str, arguments: Mapping[str, JSON], data: bytes = b"", *, timeout: float
    ) -> Answer:
        """Have it do something."""

    def close(self) -> None:
        """End it; idempotent."""


@dataclass(frozen=True, slots=True)
class Login:
    """An account to which somebody has logged in.

    Attributes:
        agent: What acts there.
        account: The account.
        root: Absolute path of the folder that holds those of executions.
        package: Absolute path of the program of jobs.
        umask: Of the account.
        python: Version of Python there.
        host: Name of the machine.
    """

    agent: Agent
    account: ClusterAccount
    root: str
    package: str
    umask: int
    python: str
    host: str


@dataclass(slots=True)
class _Door:
    """The way in to one account."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    login: Login | None = None
    fault: SlipwayError | None = None
    failures: int = 0
    shut_until: float = 0.0
    used_at: float = 0.0


class Logins:
    """The accounts of one cluster. Threads may share it.

    Args:
        begin: Begins the agent of an account.
        greet: Asks it for what it is good to know, and installs what jobs need.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        begin: Callable[[ClusterAccount], Agent],
        greet: Callable[[Agent, ClusterAccount], Login],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begin = begin
        self._greet = greet
        self._clock = clock
        self._lock = threading.Lock()
        self._doors: dict[ClusterAccount, _Door] = {}

    def of(self, account: ClusterAccount) -> Login:
        """Return a login, which is made if there is none.

        Raises:
            UpstreamError: Nobody can log in now; it is not tried again for a while.
            SlipwayError: There is no key for it.
        """
        self._leave_idle()
        with self._lock:
            door = self._doors.setdefault(account, _Door())
            door.used_at = self._clock()
        if (login := _usable(door)) is not None:
            return login
        if not door.lock.acquire(timeout=_WAIT_SECONDS):
            raise UpstreamUnreachable("Somebody is still logging in to the cluster.")
        try:
            return _usable(door) or self._open(door, account)
        finally:
            door.lock.release()

    def _open(self, door: _Door, account: ClusterAccount) -> Login:
        """Log in; the door's lock is held."""
        if door.fault is not None and self._clock() < door.shut_until:
            raise door.fault.again()
        if door.login is not None:
            door.login.agent.close()
            door.login = None
        try:
            agent = self._begin(account)
            try:
                login = self._greet(agent, account)
            except BaseException:
                agent.close()
                raise
        except SlipwayError as exc:
            door.failures += 1
            pauses = _AGAIN if isinstance(exc, UpstreamError) and exc.retryable else _REFUSED
            door.fault, door.shut_until = (
                exc.again(),
                self._clock() + pauses.pause(door.failures),
            )
            log.warning("cannot log in to the cluster", account=account.user, error=exc.message)
            raise
        door.login, door.fault, door.failures = login, None, 0
        log.info("logged in to the cluster", account=account.user, host=login.host)
        return login

    def any(self) -> Login | None:
        """Return a login that there is already; None without."""
        with self._lock:
            logins = [_usable(door) for door in self._doors.values()]
        return next((login for login in logins if login is not None), None)

    def try_again(self, account: ClusterAccount) -> Login:
        """Return a login; what failed before is tried again at once. See :meth:`of`."""
        with self._lock:
            door = self._doors.get(account)
            if door is not None:
                door.shut_until = 0.0
        return self.of(account)

    def forget(self, account: ClusterAccount) -> None:
        """End what there is, as after another key came in the place of its own."""
        with self._lock:
            door = self._doors.pop(account, None)
        if door is not None and door.login is not None:
            door.login.agent.close()

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            accounts = list(self._doors)
        for account in accounts:
            self.forget(account)

    def _leave_idle(self) -> None:
        before = self._clock() - _IDLE_SECONDS
        with self._lock:
            idle = [account for account, door in self._doors.items() if door.used_at < before]
        for account in idle:
            self.forget(account)


def _usable(door: _Door) -> Login | None:
    login = door.login
    return login if login is not None and login.agent.alive else None


class Greeter:
    """Asks agents what it is good to know of their machines.

    Args:
        workdir: Folder of executions, relative to the account's home if it is not absolute.
        package: The program of jobs.
        digest: Names its content.
    """

    def __init__(self, workdir: str, package: bytes, digest: str) -> None:
        self._workdir = workdir
        self._package = package
        self._digest = digest

    def __call__(self, agent: Agent, account: ClusterAccount) -> Login:
        """Greet an agent, and have it install the program of jobs where that is missing.

        Raises:
            UpstreamError: It does not answer, or not as it should.
            InvalidRequest: The folder of executions cannot be used.
        """
        asked = {"workdir": self._workdir, "version": None, "digest": self._digest}
        told = agent.call("hello", asked, timeout=_HELLO_SECONDS).result
        try:
            root, package = str(told["root"]), told["package"]
            if package is None:
                arguments = {"root": root, "digest": self._digest}
                answer = agent.call("install", arguments, self._package, timeout=_HELLO_SECONDS)
                package = answer.result["path"]
            return Login(
                agent=agent,
                account=account,
                root=root,
                package=str(package),
                umask=int(told["umask"]) & 0o777,
                python=str(told["python"]),
                host=str(told["hostname"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise UpstreamGarbled(
                "The program on the login node of the cluster makes no sense.", detail=repr(exc)
            ) from exc
