"""How commits of others are heard of. No test here relies on how fast that is."""

import errno
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kit.patience import PATIENCE_SECONDS as PATIENCE
from kit.patience import await_that as until
from store_kit import StoreKit, entries

from app.domain import Level
from app.store import _commits
from app.store._commits import CommitWatch, log_of, tell
from app.store.changes import open_feed
from app.store.database import Database

NEVER = 3600.0
OPEN = Path("/proc/self/fd")
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture
def only_heard(monkeypatch):
    """Nothing is found by looking from time to time."""
    monkeypatch.setattr(_commits, "_LOOK_SECONDS", NEVER)
    monkeypatch.setattr(_commits, "_SAFETY_SECONDS", NEVER)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "some.db-wal"
    path.touch()
    return path


class Failing:
    """The C library, where some calls of inotify(7) fail."""

    def __init__(self, **numbers):
        self.numbers = numbers

    def __getattr__(self, name):
        if name not in self.numbers:
            return getattr(REAL, name)
        return lambda *_: self._fail(self.numbers[name])

    @staticmethod
    def _fail(number):
        _commits.ctypes.set_errno(number)
        return -1


REAL = _commits._libc


def listen(kit):
    heard = []
    return open_feed(kit.database, "changed", heard.append), heard


def told(heard, execution):
    return any(ids is None or execution.id in ids for ids in heard)


@pytest.mark.usefixtures("only_heard")
@pytest.mark.parametrize("durable", [True, False])
def test_each_commit_of_another_connection_is_heard_of(kit, durable):
    execution = kit.held()
    feed, heard = listen(kit)
    other = Database(kit.database.url)
    for number in range(5):
        heard.clear()
        StoreKit(other).append(execution, entries([Level.INFO], number))
        until(lambda: told(heard, execution))
    feed.close()
    other.dispose()


@pytest.mark.usefixtures("only_heard")
def test_a_commit_of_another_process_is_heard_of(kit):
    execution = kit.held()
    feed, heard = listen(kit)
    program = (
        "import sys; from sqlalchemy import text; from app.store.database import Database\n"
        "Database(sys.argv[1]).write(lambda c: c.execute(text('UPDATE counters SET value = 0')))"
    )
    command = [sys.executable, "-c", program, kit.database.url]
    subprocess.run(command, check=True, timeout=PATIENCE)
    until(lambda: told(heard, execution))
    feed.close()


@pytest.mark.usefixtures("only_heard")
def test_what_is_committed_behind_a_link_is_heard_of(tmp_path, kit):
    link = tmp_path / "link.db"
    link.symlink_to(kit.database.engine().url.database)
    behind = StoreKit(Database(f"sqlite:///{link}"))
    execution = kit.held()
    feed, heard = listen(behind)
    kit.append(execution, entries([Level.INFO]))
    until(lambda: told(heard, execution))
    feed.close()
    behind.database.dispose()


def test_a_commit_that_nobody_tells_of_is_found_by_looking(kit, monkeypatch):
    monkeypatch.setattr(_commits, "_SAFETY_SECONDS", 0.05)
    execution = kit.held()
    feed, heard = listen(kit)
    monkeypatch.setattr(_commits, "tell", lambda _: None)
    for number in range(3):
        heard.clear()
        kit.append(execution, entries([Level.INFO], number))
        until(lambda: told(heard, execution))
    feed.close()


@pytest.mark.parametrize(
    "failing",
    [
        {"inotify_init1": errno.EMFILE},
        {"inotify_init1": errno.ENOSYS},
        {"inotify_add_watch": errno.ENOSPC},
    ],
    ids=["instances", "kernel", "watches"],
)
def test_without_inotify_commits_are_found_by_looking(kit, monkeypatch, failing):
    monkeypatch.setattr(_commits, "_SAFETY_SECONDS", NEVER)
    monkeypatch.setattr(_commits, "_libc", Failing(**failing))
    execution = kit.held()
    feed, heard = listen(kit)
    kit.append(execution, entries([Level.INFO]))
    until(lambda: told(heard, execution))
    feed.close()


def test_inotify_is_used_once_its_limits_allow_that_again(log, monkeypatch):
    monkeypatch.setattr(_commits, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(_commits, "_SAFETY_SECONDS", 0.01)
    monkeypatch.setattr(_commits, "_libc", Failing(inotify_init1=errno.EMFILE))
    with CommitWatch(str(log)) as watch:
        assert not watch.wait()
        monkeypatch.setattr(_commits, "_libc", REAL)
        until(lambda: tell(str(log)) or watch.wait())


def test_a_log_that_is_made_anew_is_watched_in_the_place_of_the_old_one(log, monkeypatch):
    monkeypatch.setattr(_commits, "_SAFETY_SECONDS", 0.01)
    with CommitWatch(str(log)) as watch:
        for change in (log.unlink, lambda: log.rename(log.with_name("old"))):
            change()
            until(lambda: not watch.wait())
            log.touch()
            until(lambda: tell(str(log)) or watch.wait())
        until(lambda: not watch.wait())
        tell(str(log.with_name("old")))  # that one is watched no longer
        assert not watch.wait()


def test_one_look_serves_all_commits_that_were_told_before(log, monkeypatch):
    with CommitWatch(str(log)) as watch:
        for _ in range(100):
            tell(str(log))
        assert watch.wait()
        monkeypatch.setattr(_commits, "_SAFETY_SECONDS", 0.01)
        assert not watch.wait()


@pytest.mark.usefixtures("only_heard")
def test_events_that_were_lost_count_as_a_commit(tmp_path, log):
    most = int(QUEUE.read_text())
    others = [tmp_path / "a", tmp_path / "b"]
    with CommitWatch(str(log)) as watch:
        for other in others:
            other.touch()
            REAL.inotify_add_watch(watch._fd, os.fsencode(other), _commits._IN_ATTRIB)
        for number in range(most + 2):  # equal events that follow each other are one
            os.utime(others[number % 2])
        tell(str(log))  # finds no place
        assert watch.wait()
        until(lambda: watch.wait() and not watch._poll.poll(0))
        tell(str(log))
        assert watch.wait()


def test_who_was_not_told_looks_often_until_told_again(log, monkeypatch):
    monkeypatch.setattr(_commits, "_SAFETY_SECONDS", NEVER)
    with CommitWatch(str(log)) as watch:
        watch.missed()
        assert not watch.wait()  # as soon as it is time to look
        tell(str(log))
        until(watch.wait)
        assert watch._trusted


def test_reading_and_writing_the_log_is_no_commit(log, monkeypatch):
    monkeypatch.setattr(_commits, "_SAFETY_SECONDS", 0.01)
    with CommitWatch(str(log)) as watch, log.open("r+b") as file:
        file.write(b"frame")
        file.flush()
        os.fsync(file.fileno())
        log.read_bytes()
        assert not watch.wait()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_without_a_file_has_no_log(url):
    assert log_of(url) == ""
    tell(log_of(url))


def test_a_database_without_a_log_of_that_kind_is_looked_at(tmp_path):
    sqlite3.connect(tmp_path / "x.db").execute("CREATE TABLE t (a)")
    with CommitWatch(log_of(f"sqlite:///{tmp_path / 'x.db'}")) as watch:
        began = time.monotonic()
        assert not watch.wait()
        assert time.monotonic() > began


def test_nothing_is_left_open(log):
    before = set(OPEN.iterdir())
    with CommitWatch(str(log)):
        pass
    assert set(OPEN.iterdir()) <= before
