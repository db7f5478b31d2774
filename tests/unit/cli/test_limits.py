"""How the descriptors of a process are shared out, and what is said at the start."""

from __future__ import annotations

import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.cli import _limits as limits
from app.cli._limits import most_connections, warn_of_any_host
from app.services.places import places_within
from app.settings import Settings


@pytest.mark.parametrize("descriptors", [64, 300, 1024, 20_000, 1_000_000])
def test_short_requests_get_connections_that_held_ones_cannot_take(
    monkeypatch: pytest.MonkeyPatch, descriptors: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    connections = most_connections()
    assert places_within(descriptors) + 10 <= connections
    assert connections + 10 <= descriptors, "the store and the log need some"


def test_without_a_limit_there_is_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (endless, endless))
    assert most_connections() >= 100_000


AUTH = {"type": "basic", "users": [{"username": "ada", "password": "x"}]}


@pytest.mark.parametrize(
    ("api", "warned"),
    [
        ({}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0", "auth": AUTH}, True),
        ({"host": "0.0.0.0", "insecure": True}, True),
        ({"host": "0.0.0.0", "auth": AUTH, "allowed_hosts": ["a.example"]}, False),
        ({"host": "0.0.0.0", "auth": AUTH, "allowed_hosts": ["*"]}, False),
    ],
)
def test_who_answers_for_any_host_is_told_so(
    make_settings: Callable[..., Settings], api: dict[str, object], warned: bool
) -> None:
    settings = make_settings(**{f"api__{name}": value for name, value in api.items()})
    with capture_logs() as logged:
        warn_of_any_host(settings)
    assert [entry["remedy"] for entry in logged] == ["api.allowed_hosts"] * warned


RATES: list[dict[str, object]] = [
    {"api__rate_limit": {"requests_per_minute": 60}},
    {"api__rate_limit": {"launches_per_minute": 9}},
    {"quotas": {"developer": {"requests_per_minute": 60}}},
    {"quotas": {"user": {"launches_per_minute": 1}}},
]


@pytest.mark.parametrize("rates", RATES)
def test_whatever_is_limited_the_share_of_each_process_is_said(
    make_settings: Callable[..., Settings], rates: dict[str, object]
) -> None:
    with capture_logs() as logs:
        limits.tell_shares(make_settings(**rates), 4)
    [told] = logs
    [(name, each)] = told["each"].items()
    assert name.endswith("_per_minute")
    assert each in {15, 2, 1}


def test_nothing_is_said_where_nothing_is_limited_or_all_count_together(
    make_settings: Callable[..., Settings],
) -> None:
    together = {"requests_per_minute": 60, "storage": "redis://127.0.0.1/0"}
    with capture_logs() as logs:
        limits.tell_shares(make_settings(), 4)
        limits.tell_shares(make_settings(api__rate_limit=together), 4)
    assert logs == []


CLUSTERS = [
    "nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.ceph-fuse", "panfs", "wekafs", "fhgfs",
    "pvfs2", "orangefs", "fuse.dfuse", "gfs2", "ocfs2", "fuse.juicefs", "fuse.s3fs", "fuse.rclone",
    "fuse.sshfs", "fuse", "vboxsf", "virtiofs", "9p", "cifs", "afs", "never-heard-of",
]  # fmt: skip
LOCAL = ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay", "ramfs",
         "bcachefs", "reiserfs", "jfs"]  # fmt: skip


@pytest.mark.parametrize("kind", [*CLUSTERS, *LOCAL])
def test_what_is_not_known_to_be_local_is_warned_about(
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
) -> None:
    other = "xfs" if kind in CLUSTERS else "nfs4"
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / {other} rw 0 0\nsrv:/x {tmp_path} {kind} rw 0 0\n")
    found = partial(limits.file_system, mounts=mounts)
    monkeypatch.setattr(limits, "file_system", found)
    with capture_logs() as logs:
        limits.check_limits(make_settings())
    told = [entry["file_system"] for entry in logs if "SQLite" in entry["event"]]
    assert told == ([kind] if kind in CLUSTERS else [])


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("/dev/a /data ext4 rw 0 0\nsrv:/x /data nfs4 rw 0 0", "nfs4"),
        ("srv:/x / nfs4 rw 0 0\n/dev/a /data\\040of\\134ours ext4 rw 0 0", "ext4"),
        ("/dev/a / ext4 rw 0 0\nsrv:/x /dat nfs4 rw 0 0", "ext4"),
        ("", "unknown"),
    ],
    ids=["the later is on top", "blanks are escaped", "only whole names count", "no table"],
)
def test_the_file_system_of_a_folder_is_that_of_the_deepest_mount(
    tmp_path: Path, table: str, expected: str
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(table)
    folder = "/data of\\ours/slipway" if "134" in table else "/data/slipway"
    assert limits.file_system(Path(folder), mounts) == expected


def test_where_no_mount_table_can_be_read_it_is_unknown(tmp_path: Path) -> None:
    assert limits.file_system(tmp_path, tmp_path / "missing") == "unknown"
