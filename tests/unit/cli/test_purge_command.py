import os

import pytest
from click.testing import CliRunner
from service_kit import settings_in

from app.cli.purge import command
from app.domain import ExecutionStatus, Level, NewLogEntry, Observation
from app.errors import NotFound, Purged
from app.store import migrate
from app.store.database import Database
from app.store.driving import DrivenExecutions
from app.store.executions import Executions
from app.store.journal import Journal
from app.store.launches import Intent, Launches


class Store:
    """The store of a data folder, with executions that have ended and some that have not."""

    def __init__(self, folder):
        self.folder = folder
        self.database = Database(settings_in(folder).database_url)
        migrate.upgrade(self.database)
        self.executions = Executions(self.database)
        self._driving = DrivenExecutions(self.database)

    def add(self, id_, status=ExecutionStatus.SUCCESS):
        intent = Intent(id_, "local", "flow", "Flow", "ada", {}, reference={"definition": "none"})
        execution, _ = Launches(self.database).create(intent)
        self._driving.claim("conductor", "node", 3600.0, [], 100)
        seen = Observation(
            status, cursor=None, entries=(NewLogEntry(Level.INFO, 1, "line"),),
            log_complete=status.final,
        )  # fmt: skip
        self._driving.record(self._driving.get(id_), "conductor", seen)
        return execution

    def purge(self, *arguments):
        return CliRunner().invoke(command, ["--data-dir", str(self.folder), *arguments])

    def state(self, id_):
        try:
            found = self.executions.get(id_)
        except Purged:
            return "purged"
        return "without log" if found.log_purged_at else "kept"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr("app.cli._store.guard_process", lambda: None)  # it is about this process
    for name in [name for name in os.environ if name.startswith("SLIPWAY_")]:
        monkeypatch.delenv(name)  # of the tests, and no settings
    made = Store(tmp_path / "data")
    yield made
    made.database.dispose()


def test_what_is_old_goes_and_what_has_not_ended_stays(store):
    store.add("old-1")
    store.add("running", ExecutionStatus.RUNNING)
    done = store.purge("--older-than", "0s")
    assert done.exit_code == 0, done.output
    assert "1 execution that ended before" in done.output
    assert "folders that conductors are still to remove: 1" in done.output
    assert (store.state("old-1"), store.state("running")) == ("purged", "kept")
    assert "0 executions" in store.purge("--older-than", "0s").output


def test_a_dry_run_says_it_and_changes_nothing(store):
    execution = store.add("old-1")
    for arguments in (("--older-than", "0s"), ("--older-than", "0s", "--what", "logs"), ("old-1",)):
        done = store.purge("--dry-run", *arguments)
        assert done.exit_code == 0, done.output
        assert "would be purged" in done.output
    assert store.state("old-1") == "kept"
    page = Journal(store.database).page(execution.number, (0, 1, 0, 0), Level.INFO, 0, 10)
    assert [entry.content for entry in page] == ["line"]


def test_an_age_in_days_is_one(store):
    store.add("young")
    assert "0 executions" in store.purge("--older-than", "1d").output
    assert store.state("young") == "kept"


def test_logs_and_folders_go_without_their_execution(store):
    store.add("old-1")
    done = store.purge("--older-than", "0s", "--what", "logs", "--what", "work-folders")
    assert "logs of 1 execution" in done.output
    assert "work-folders of 1 execution" in done.output
    assert store.state("old-1") == "without log"


def test_single_ones_go_by_any_of_their_names(store):
    first, second = store.add("one"), store.add("two")
    done = store.purge(first.id, second.awf_name, "nothing")
    assert done.exit_code == 1
    assert "nothing: There is no such execution." in done.output
    assert (store.state("one"), store.state("two")) == ("purged", "purged")
    (found,) = store.executions.purged_as("one")
    assert found.purged_by.startswith("command-line:")


def test_a_single_one_that_has_not_ended_is_refused(store):
    store.add("running", ExecutionStatus.RUNNING)
    for arguments in (("running",), ("--dry-run", "running")):
        done = store.purge(*arguments)
        assert done.exit_code == 1
        assert "cancel it first" in done.output
    assert store.state("running") == "kept"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Give either --older-than or executions"),
        (("--older-than", "1d", "x"), "Give either --older-than or executions"),
        (("--what", "logs", "x"), "leave --what out"),
        (("--older-than", "soon"), "90d"),
        (("--older-than", "-1h"), "must be at least 0s"),
        (("--older-than", "forever"), "is no age"),
        (("--older-than", "999999d"), "must be at most 700000d"),
        (("--older-than", "1d", "--what", "everything"), "work-folders"),
    ],
    ids=["nothing", "both", "part-of-one", "words", "negative", "forever", "too-old", "unknown"],
)
def test_what_makes_no_sense_is_refused_and_nothing_removed(store, arguments, told):
    store.add("x")
    done = store.purge(*arguments)
    assert done.exit_code == 2
    assert told in done.output
    assert store.state("x") == "kept"


def test_what_was_never_there_is_not_found(store):
    with pytest.raises(NotFound):
        store.executions.get("nothing")
