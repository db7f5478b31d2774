"""What may be wrong on the way to a cluster, and there: one thing after the other, with its fix."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator, Iterator
from typing import Final

from app.clients._ssh_terms import HostKeyRefused, LoginRefused
from app.clients.slurm import accounting, configured, queue
from app.domain import JSON, Checked, NodeState, Outcome
from app.engine.launchers.job_records import clean_text
from app.engine.launchers.slurm.accounts import ClusterAccount
from app.engine.launchers.slurm.cluster import Cluster
from app.engine.launchers.slurm.inventory import Inventory
from app.engine.launchers.slurm.logins import Login
from app.engine.launchers.slurm.programs import Finished, run
from app.errors import InvalidRequest, SlipwayError, UpstreamRefused, UpstreamUnreachable

_MOST_BYTES: Final = 1024 * 1024
_CHECK_SECONDS: Final = 30.0
"""For a look at the folder of executions, and at the quota."""
_QUOTA_SECONDS: Final = 10.0
"""For quota(1), which asks file servers."""
_COMMAND_SECONDS: Final = 12.0
"""For a command of Slurm: one that does not reach its controller takes 9 seconds."""
_SKEW_SECONDS: Final = 30.0
"""By how much clocks may differ before somebody should look at them."""
_MOST_SKEW_SECONDS: Final = 120.0
"""From which on jobs may be taken for others."""
_LEAST_BYTES: Final = 2**30
_LEAST_FILES: Final = 10_000
_NAMED: Final = 12


class Checkup:
    """Looks at a cluster for somebody.

    Args:
        cluster: The cluster.
        inventory: Asks what it has, and notes it.
        owner: The user of the gateway.
    """

    def __init__(self, cluster: Cluster, inventory: Inventory | None, owner: str) -> None:
        self._cluster = cluster
        self._options = cluster.options
        self._inventory = inventory
        self._owner = owner

    def findings(self) -> Iterator[Checked]:
        """Look at one thing after the other, until one fails that the others need."""
        accounts = self._cluster.accounts
        try:
            account = accounts.of(self._owner)
        except SlipwayError as exc:
            other = accounts.admin or accounts.common
            fix = f"add a user_map entry for '{self._owner}', or `user`, to the settings"
            outcome = Outcome.FAILED if other is None else Outcome.WARNING
            yield Checked("account", outcome, exc.message, fix)
            if other is None:
                return
            account = other
        else:
            yield Checked("account", Outcome.OK, f"'{self._owner}' is '{account.user}' there")
        for finding in self._way():
            yield finding
            if finding.outcome is Outcome.FAILED:
                return
        login = yield from self._logging_in(account)
        if login is not None:
            yield from self._there(login)
        if accounts.admin is not None and accounts.admin != account:
            yield self._of_admin(accounts.admin)

    def _way(self) -> Iterator[Checked]:
        """Look at the name and the port of the first host on the way."""
        first = self._options.jump[0] if self._options.jump else self._options
        host, port = first.host, first.port
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            text = f"the name {host} leads nowhere: {getattr(exc, 'strerror', None) or exc}"
            fix = "correct `host` in the settings, or the DNS of the conductor's machine"
            yield Checked("dns", Outcome.FAILED, text, fix)
            return
        addresses = ", ".join(dict.fromkeys(str(each[4][0]) for each in found[:4]))
        yield Checked("dns", Outcome.OK, f"{host} is {addresses}")
        began = time.monotonic()
        try:
            with socket.create_connection((host, port), self._options.connect_timeout):
                pass
        except OSError as exc:
            text = f"port {port} of {host} does not answer: {exc.strerror or exc}"
            fix = "correct `port` in the settings, or let the conductor's machine through"
            yield Checked("port", Outcome.FAILED, text, fix)
            return
        milliseconds = (time.monotonic() - began) * 1000
        yield Checked("port", Outcome.OK, f"port {port} answers in {milliseconds:.0f} ms")

    def _logging_in(self, account: ClusterAccount) -> Generator[Checked, None, Login | None]:
        try:
            tried = self._cluster.try_login(account)
        except HostKeyRefused as exc:
            fix = "compare the fingerprint with the cluster's own, then correct known_hosts"
            yield Checked("host_key", Outcome.FAILED, exc.message, fix)
            return None
        except LoginRefused as exc:
            fix = f"add the public key to authorized_keys of '{account.user}' on the cluster"
            yield Checked("login", Outcome.FAILED, exc.message, fix)
            return None
        except SlipwayError as exc:
            yield Checked("login", Outcome.FAILED, exc.message, "try later")
            return None
        yield Checked("host_key", Outcome.OK, f"{tried.host_key} ({tried.server})")
        text = f"the key logs in as '{account.user}' in {tried.seconds * 1000:.0f} ms"
        yield Checked("login", Outcome.OK, text)
        try:
            login = self._cluster.logins.try_again(account)
        except (InvalidRequest, UpstreamRefused) as exc:
            fix = f"let '{account.user}' write to its `workdir`, or set another one"
            yield Checked("work_folder", Outcome.FAILED, exc.message, fix)
            return None
        except SlipwayError as exc:
            fix = (
                f"let '{self._options.python}' (3.6 or later) run there without a terminal, "
                f"and '{account.user}' write to '{self._options.workdir}'"
            )
            yield Checked("program", Outcome.FAILED, exc.message, fix)
            return None
        yield Checked("program", Outcome.OK, f"Python {login.python} on {login.host}")
        return login

    def _there(self, login: Login) -> Iterator[Checked]:
        """Look at what jobs need on the cluster; what fails leaves the others as they are."""
        quota = {"argv": ["quota", "-w"], "timeout_seconds": _QUOTA_SECONDS, "env": {"LC_ALL": "C"}}
        asked_at = time.time()
        try:
            told = login.agent.call(
                "check", {"root": login.root, "quota": quota}, timeout=_CHECK_SECONDS
            ).result
            middle = (asked_at + time.time()) / 2
            ahead = float(told["clock"]) - middle
        except SlipwayError as exc:
            text = f"it cannot be looked at: {exc.message}"
            yield Checked("work_folder", Outcome.FAILED, text, "try later")
        except (KeyError, TypeError, ValueError):
            text = "the login node answers nothing of use"
            yield Checked("work_folder", Outcome.FAILED, text)
        else:
            yield _clock(ahead)
            yield from self._disk(login, told)
        yield from self._slurm(login)

    def _disk(self, login: Login, told: JSON) -> Iterator[Checked]:
        if (fault := told.get("write")) is not None:
            text = f"nothing can be written to {login.root}: {clean_text(str(fault))}"
            fix = f"make room there, or let '{login.account.user}' write to it, or set `workdir`"
            yield Checked("work_folder", Outcome.FAILED, text, fix)
        else:
            yield Checked("work_folder", Outcome.OK, f"{login.root} can be written to")
        free, files = told.get("free_bytes"), told.get("free_files")
        if type(free) is int:
            text = f"{free / 2**30:.1f} GiB are free"
            few = type(files) is int and files < _LEAST_FILES and files != 0
            if few:
                text += f", and {files} files"
            if free < _LEAST_BYTES or few:
                yield Checked("space", Outcome.WARNING, text, f"make room below {login.root}")
            else:
                yield Checked("space", Outcome.OK, text)
        yield _quota(told.get("quota"))

    def _slurm(self, login: Login) -> Iterator[Checked]:
        try:
            said = self._run(login, configured.VERSION)
            version = configured.version(said.printed) if said.code == 0 else None
            if version is None:
                text = f"sinfo --version says: {_said(said)}"
                fix = "let logins find the commands of Slurm without a terminal (PATH, modules)"
                yield Checked("scheduler", Outcome.FAILED, text, fix)
                return
            ping = self._run(login, configured.PING)
            if ping.code != 0:
                text = f"Slurm {version}, and its controller is down: {_said(ping)}"
                fix = "ask who runs the cluster; jobs that run go on"
                yield Checked("scheduler", Outcome.FAILED, text, fix)
                return
            yield Checked("scheduler", Outcome.OK, f"Slurm {version}")
            yield from self._partitions(login)
            yield from self._accounting(login)
        except SlipwayError as exc:
            yield Checked("scheduler", Outcome.FAILED, _whole(exc), "try later")

    def _partitions(self, login: Login) -> Iterator[Checked]:
        if self._inventory is None:
            return
        found = self._inventory.ask(login)
        names = [each.name + ("*" if each.default else "") for each in found.partitions]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        text = f"{', '.join(names[:_NAMED]) or 'none'}{more}"
        wanted = self._options.partition
        known = {each.name for each in found.partitions}
        unknown = [each for each in (wanted or "").split(",") if each and each not in known]
        if unknown or not names:
            text = f"there is no '{unknown[0]}'; there are {text}" if unknown else "there are none"
            yield Checked("partitions", Outcome.FAILED, text, "correct `partition` in the settings")
        elif wanted is None and not any(each.default for each in found.partitions):
            text = f"{text}; none is the default, so steps must name one"
            yield Checked("partitions", Outcome.WARNING, text, "set `partition`")
        else:
            yield Checked("partitions", Outcome.OK, text)
        out = [
            node.name
            for node in found.nodes
            if node.standing in (NodeState.OFFLINE, NodeState.DRAINING)
        ]
        text = f"{len(found.nodes) - len(out)} of {len(found.nodes)} take jobs"
        if out and len(out) == len(found.nodes):
            yield Checked("nodes", Outcome.WARNING, text, "ask who runs the cluster")
        else:
            yield Checked("nodes", Outcome.OK, text)

    def _accounting(self, login: Login) -> Iterator[Checked]:
        asked = self._run(login, accounting.sacct(time.time() - 60, names=["slw-none"]))
        kept = configured.min_job_age(
            configured.settings(self._run(login, configured.SHOW_CONFIG).printed)
        )
        stay = "" if kept is None else f"; ended jobs stay in the queue for {kept:.0f} s"
        if asked.code == 0:
            yield Checked("accounting", Outcome.OK, f"sacct answers{stay}")
            return
        why = "there is none" if accounting.is_switched_off(asked.errors) else _said(asked)
        text = f"{why}{stay}"
        fix = "none needed, but ends that no record of a job tells (a node lost) are less certain"
        yield Checked("accounting", Outcome.WARNING, text, fix)

    def _of_admin(self, admin: ClusterAccount) -> Checked:
        try:
            self._cluster.try_login(admin)
        except SlipwayError as exc:
            fix = f"see that the key of `admin` logs in as '{admin.user}'"
            return Checked("admin", Outcome.WARNING, exc.message, fix)
        return Checked("admin", Outcome.OK, f"its key logs in as '{admin.user}'")

    def _run(self, login: Login, argv: list[str] | tuple[str, ...]) -> Finished:
        seconds = min(self._options.command_timeout, _COMMAND_SECONDS)
        return run(login, argv, queue.ENVIRONMENT, timeout=seconds, most_bytes=_MOST_BYTES)


def _clock(ahead: float) -> Checked:
    far = abs(ahead)
    if far <= _SKEW_SECONDS:
        return Checked("clock", Outcome.OK, f"within {max(1.0, far):.0f} s of the conductor's")
    where = "ahead of" if ahead > 0 else "behind"
    outcome = Outcome.FAILED if far > _MOST_SKEW_SECONDS else Outcome.WARNING
    return Checked(
        "clock", outcome, f"{far:.0f} s {where} that of the conductor",
        "chronyc makestep, on the wrong side",
    )  # fmt: skip


def _quota(ran: JSON) -> Checked:
    """Judge what quota(1) says: a number beyond a limit has an asterisk."""
    ran = ran if isinstance(ran, dict) else {}
    printed = clean_text(str(ran.get("stdout", "")))
    over = next((line.split()[0] for line in printed.splitlines() if "*" in line), None)
    if over is not None:
        text = f"it is exceeded on {over}"
        return Checked("quota", Outcome.FAILED, text, "remove files, or ask for more")
    if ran.get("code") == 0:
        return Checked("quota", Outcome.OK, "none is exceeded")
    return Checked("quota", Outcome.OK, "not known: the cluster has no command quota that tells")


def _said(ran: Finished) -> str:
    text = clean_text((ran.errors or ran.printed).strip().replace("\n", "; ")[:300])
    return text or ("no answer in time" if ran.code is None else f"exit code {ran.code}")


def _whole(exc: SlipwayError) -> str:
    said = exc.detail if isinstance(exc, UpstreamUnreachable) and exc.detail else ""
    return f"{exc.message} {said}".strip()
