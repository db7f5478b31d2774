"""What can be configured of a cluster that the launcher ``slurm`` reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.settings.schema import (
    Duration,
    Flag,
    Names,
    Range,
    Text,
    WholeNumber,
    section,
    sections,
    setting,
)

OWN_KEY: Final = "own"
"""In the place of the id of a key pair: each user's own, whose metadata name the cluster."""

_PORT: Final = Range(min=1, max=65535)


@dataclass(frozen=True)
class JumpOptions:
    """A host on the way to a cluster."""

    host: str = setting(Text(required=True), "Its name or address.")
    port: int = setting(WholeNumber(load_default=22, validate=_PORT), "Its TCP port.")
    user: str | None = setting(
        Text(load_default=None), "The account there; that on the cluster if absent."
    )
    host_keys: tuple[str, ...] = setting(
        Names(), "Fingerprints of its host keys, as `SHA256:...`, instead of `known_hosts`."
    )


@dataclass(frozen=True)
class MappedUser:
    """The account of a user of the gateway."""

    user: str = setting(Text(required=True), "Name of the user at the gateway.")
    account: str = setting(Text(required=True), "Name of their account on the cluster.")
    key: str | None = setting(
        Text(load_default=None), "Id of the key pair that logs in to it; `key` above if absent."
    )


@dataclass(frozen=True)
class AdminOptions:
    """An account that may suspend jobs and drain nodes."""

    user: str | None = setting(
        Text(load_default=None),
        "Name of an account with `AdminLevel=Admin`. Without it, running jobs are paused by a "
        "signal, and nodes are not drained.",
    )
    key: str | None = setting(
        Text(load_default=None), "Id of the key pair that logs in to it; `key` above if absent."
    )


@dataclass(frozen=True)
class SlurmPollOptions:
    """How often the cluster is asked where jobs stand."""

    followed: float = setting(
        Duration(load_default="1s", at_least=0.2),
        "Interval while somebody follows an execution, or something has just happened.",
    )
    quiet: float = setting(
        Duration(load_default="30s", at_least=0.2), "Interval while nobody does."
    )
    command: float = setting(
        Duration(load_default="1s", at_least=0.2),
        "Shortest time between two commands of the scheduler that ask for jobs, over all "
        "conductors. Reading what jobs print is none.",
    )


@dataclass(frozen=True)
class SlurmOptions:
    """Options of the launcher ``slurm``."""

    host: str = setting(Text(required=True), "Name or address of the login node.")
    port: int = setting(WholeNumber(load_default=22, validate=_PORT), "Its TCP port.")
    jump: list[JumpOptions] = setting(sections(JumpOptions), "Hosts on the way, in their order.")
    known_hosts: str | None = setting(
        Text(load_default=None),
        "A known_hosts file with the host keys of all of them. No key is trusted because it is "
        "seen for the first time.",
    )
    host_keys: tuple[str, ...] = setting(
        Names(), "Fingerprints of host keys of `host`, as `SHA256:...`, instead of `known_hosts`."
    )
    user: str | None = setting(
        Text(load_default=None),
        "The account of all users that `user_map` does not name. Without it those have none.",
    )
    user_map: list[MappedUser] = setting(sections(MappedUser), "Accounts of single users.")
    key: str = setting(
        Text(load_default=OWN_KEY),
        "Which key pair logs in: the id of one that was made here (`POST /ssh_keys`), or `own` "
        "for the newest of each user whose metadata say `cluster: <name of the orchestrator>`.",
    )
    admin: AdminOptions = setting(section(AdminOptions), "An account with more rights.")
    workdir: str = setting(
        Text(load_default="slipway"),
        "Folder of each account in which executions have theirs, on a file system that all nodes "
        "see; relative to the home of the account. Change it while no execution is open.",
    )
    python: str = setting(
        Text(load_default="python3"), "Python, 3.6 or later, on the login node and on all others."
    )
    setup: tuple[str, ...] = setting(
        Names(), "Lines of a login shell before each command, such as `module use /opt/modules`."
    )
    partition: str | None = setting(
        Text(load_default=None), "Partition of steps that name none; the cluster's if absent."
    )
    account: str | None = setting(
        Text(load_default=None), "Account that pays for steps that name none."
    )
    qos: str | None = setting(
        Text(load_default=None), "Quality of service of steps that name none."
    )
    requeue: bool = setting(
        Flag(load_default=False),
        "Jobs that lost their node, or had to make room, run again from their beginning.",
    )
    max_jobs: int = setting(
        WholeNumber(load_default=1000, validate=Range(min=1)),
        "Most jobs that a conductor has there at the same time.",
    )
    connect_timeout: float = setting(
        Duration(load_default="20s", at_least=1),
        "Longest time for a connection, from the look-up of the name to the end of the login.",
    )
    command_timeout: float = setting(
        Duration(load_default="30s", at_least=1),
        "Longest time for a command of Slurm; one that does not reach its controller takes 9 s.",
    )
    poll: SlurmPollOptions = setting(section(SlurmPollOptions), "Watching jobs.")
