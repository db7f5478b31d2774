"""What must be given so that thousands of readers can wait in safety, checked at the start."""

from __future__ import annotations

import gc
import re
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from app.services.places import SPARE_DESCRIPTORS, places_within
from app.services.rate_limits import share_of
from app.settings import Allowances, Settings, takes_any_host
from app.store.database import Database
from app.store.sqlite_files import database_file
from app.store.uploads import UploadedDefinitions
from app.store.users import Users

if TYPE_CHECKING:
    from app.metrics import Metrics

log = structlog.get_logger(__name__)

_OF_OUR_OWN = frozenset({"engine", "load"})
"""Types of orchestrators whose definitions are files and uploads here."""
_LOOK_SECONDS = 0.5
"""How often the lag of the event loop is measured."""
_ESCAPED = re.compile(r"\\([0-7]{3})")
"""How blanks and backslashes stand in the mount table: getmntent(3)."""
_LOCAL_FILE_SYSTEMS = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay", "ramfs",
     "reiserfs", "rootfs", "tmpfs", "xfs", "zfs"}
)  # fmt: skip
"""Those of one machine, whose processes share the memory of their files, as SQLite's log needs it.

All others are warned about: those of clusters are more than any list knows.
"""


def check_limits(settings: Settings) -> None:
    """Raise the limit of open files as far as it goes, and warn where that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.streams.max_total + SPARE_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        log.warning(
            "too few open files allowed for so many held requests", allowed=soft, needed=wanted,
            held_at_most=places_within(soft),
            remedy=f"ulimit -n {wanted} (systemd: LimitNOFILE={wanted}), or streams.max_total",
        )  # fmt: skip
    file = database_file(settings.database_url)
    if file is not None:
        folder = file.parent.resolve()
        kind = file_system(folder)
        if not is_local(kind):
            log.warning(
                "SQLite may not be safe on a file system that is not known to be local",
                file_system=kind, folder=str(folder), remedy="a local data_dir, or PostgreSQL",
            )  # fmt: skip


def warn_of_any_host(settings: Settings) -> None:
    """Warn where nobody has said under which names the service is reached."""
    if takes_any_host(settings.api):
        log.warning(
            "requests are answered for any host name, also one that leads a browser here unasked",
            remedy="api.allowed_hosts",
        )


def warn_of_no_users(settings: Settings, database: Database) -> None:
    """Warn where people sign in with passwords, and nobody has one yet."""
    auth = settings.api.auth
    if "basic" in auth.types and not auth.users and not Users(database).list("", 1):
        log.warning(
            "nobody can sign in with a password yet", remedy="slipway user add NAME --role admin"
        )


def warn_of_no_workflows(settings: Settings, database: Database) -> None:
    """Say where nothing can be launched yet, and how one gets something that can."""
    if any(each.type not in _OF_OUR_OWN for each in settings.orchestrators):
        return  # whose workflows are not looked for here
    folder = settings.workflows_dir
    has_files = folder.is_dir() and any(each.is_file() for each in folder.iterdir())
    if not has_files and not UploadedDefinitions(database).exist():
        log.warning(
            "there are no workflows yet",
            remedy=f"'slipway init FOLDER' writes examples and settings for them; else put a "
            f"definition into {folder}, or send one to POST /workflows",
        )


def tell_shares(settings: Settings, processes: int) -> None:
    """Say where each web process counts requests for itself.

    Args:
        settings: The settings.
        processes: Number of web processes that are known of.
    """
    limits = Allowances(settings).rates()
    if limits and settings.api.rate_limit.storage is None:
        log.info(
            "each web process limits requests by its own count", processes=processes,
            each={name: share_of(limit, processes) for name, limit in limits.items()},
            remedy="api.rate_limit.storage, or web.processes: 1",
        )  # fmt: skip


def most_connections() -> int:
    """Return how many connections a process may have.

    Half of the descriptors that held requests leave is for short ones, the other half for the
    store, the log and other servers.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    places = places_within(soft)
    return places if soft == resource.RLIM_INFINITY else (places + soft) // 2


def is_local(kind: str) -> bool:
    """Return whether a type of file systems is known to be one of a single machine."""
    return kind in _LOCAL_FILE_SYSTEMS


def file_system(folder: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the file system that a folder is on, as proc(5) names it.

    Where that cannot be told it is ``unknown``.
    """
    best, kind = -1, "unknown"
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return kind
    for line in lines:
        _, point, found, *_ = line.split(" ")
        point = _ESCAPED.sub(lambda code: chr(int(code[1], 8)), point)
        # Of two on the same folder the later one is on top.
        if folder.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), found
    return kind


def freeze_start_up() -> None:
    """Take what was loaded at the start out of the garbage collector's view.

    It lives to the end; looking at it again and again would only make pauses, and a slow exit.
    """
    gc.collect()
    gc.freeze()


def measure_loop_lag(metrics: Metrics) -> None:
    """Show, again and again, how late the event loop runs what is due, and what is followed."""
    while True:
        due = time.monotonic() + _LOOK_SECONDS
        time.sleep(_LOOK_SECONDS)
        metrics.tell_loop_lag(time.monotonic() - due)
        metrics.refresh()
