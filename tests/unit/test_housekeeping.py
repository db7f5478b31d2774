"""What a conductor removes beside its work, on a store and folders that the test makes."""

import threading

import pytest
from follow_kit import Log, await_that

from app.assembly import make_housekeeping
from app.clients.orchestrator import Context
from app.clients.registry import create_orchestrators
from app.domain import ExecutionStatus
from app.errors import ConfigError, Purged
from app.housekeeping import Housekeeping, in_turns
from app.settings import RetentionSettings
from app.store.chores import Chores
from app.store.conductors import Node
from app.store.disk import DiskUsage

NODE = Node("node", "boot")
DAY = 24 * 3600.0


@pytest.fixture
def ended(make_service):
    """Make a service and an execution that has ended, with files, whatever the retention."""

    def make(**retention):
        service = make_service(**{f"retention__{k}": v for k, v in retention.items()})
        log = Log(service).write(3).end()
        folder = service.settings.executions_dir / log.id
        (folder / "work").mkdir(parents=True)
        (folder / "work" / "result").write_bytes(b"x" * 50_000)
        return service, log, folder

    return make


def keeper(service) -> Housekeeping:
    settings = service.settings
    orchestrators = create_orchestrators(Context(settings, service.web.database))
    return make_housekeeping(settings, service.web.database, orchestrators, NODE)


def work(service, until, stopping=None):
    """Let a conductor's housekeeping work until something is so."""
    stopping = stopping or threading.Event()
    thread = threading.Thread(target=keeper(service).run, args=(stopping,))
    thread.start()
    try:
        await_that(until)
    finally:
        stopping.set()
        thread.join()


def is_purged(service, log):
    try:
        service.store.get(log.id)
    except Purged:
        return True
    return False


def test_what_is_too_old_goes_with_its_folder(ended):
    service, log, folder = ended(executions="0s")
    unfinished = Log(service).see(ExecutionStatus.RUNNING)
    other = service.settings.executions_dir / unfinished.id
    other.mkdir()
    work(service, lambda: is_purged(service, log) and not folder.exists())
    assert other.is_dir()
    assert service.store.get(unfinished.id).status is ExecutionStatus.RUNNING


def test_folders_go_alone_and_executions_stay(ended):
    service, log, folder = ended(work_folders="0s")
    work(service, lambda: not folder.exists())
    assert service.store.get(log.id).log_total == 3


def test_logs_go_alone(ended):
    service, log, folder = ended(logs="0s")
    work(service, lambda: service.store.get(log.id).log_purged_at is not None)
    assert folder.exists()


def test_what_its_owner_purged_goes_whatever_is_kept(ended):
    service, log, folder = ended(work_folders="forever")
    service.services.purging.purge(log.id, _anybody())
    work(service, lambda: not folder.exists())


def _anybody():
    from app.identity.anonymous import EVERYBODY  # noqa: PLC0415

    return EVERYBODY


def test_what_takes_up_room_is_measured_and_told(ended):
    service, _, _ = ended()
    usage = DiskUsage(service.web.database)
    work(service, lambda: len(usage.all()) >= 5)
    told = service.client.get("/metrics").text
    assert 'slipway_disk_usage_bytes{place="node",what="work_folders"}' in told
    assert 'slipway_disk_usage_bytes{place="database",what="logs"}' in told
    assert 'slipway_disk_usage_partial{place="database",what="database"} 0.0' in told


def test_by_default_only_folders_go_and_those_after_thirty_days(settings):
    assert settings.retention == RetentionSettings(None, None, 30 * DAY)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90d", 90 * DAY), ("1.5d", 1.5 * DAY), ("12h", 43_200.0), ("forever", None), (0, 0.0),
        ("700000d", 700_000 * DAY),
    ],
    ids=str,
)  # fmt: skip
def test_an_age_is_a_duration_or_days_or_for_ever(make_settings, text, seconds):
    assert make_settings(retention__logs=text).retention.logs == seconds


@pytest.mark.parametrize("text", ["700000.001d", "999999d"])
def test_an_age_that_reaches_back_before_the_calendar_is_refused(make_settings, text):
    with pytest.raises(ConfigError) as caught:
        make_settings(retention__logs=text)
    assert [fault.path for fault in caught.value.fields] == ["retention.logs"]


def test_work_in_turns_ends_when_it_may_not_go_on_or_is_stopped():
    stopping, pieces = threading.Event(), iter([1, 2, 0])
    assert in_turns(lambda: next(pieces), lambda: True, stopping) == 3
    assert in_turns(lambda: 1, lambda: False, stopping) == 0
    stopping.set()
    assert in_turns(lambda: 1, lambda: True, stopping) == 0


def test_while_another_one_purges_none_does(ended):
    service, log, folder = ended(executions="0s")
    other = Chores(service.web.database, "another")
    assert other.take("purge", 3600)
    stopping = threading.Event()
    usage = DiskUsage(service.web.database)
    work(service, lambda: len(usage.all()) >= 5, stopping)  # it has had its first turn
    assert not is_purged(service, log)
    other.leave("purge")
    work(service, lambda: is_purged(service, log) and not folder.exists())
