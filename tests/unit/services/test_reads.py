"""No answer holds data read before its request began, unless nothing changed since.

Two web processes are two services over one store; each writes and reads, and every write that is
committed before a request begins is seen by it. How often the store is asked is counted as well.
"""

import threading
import time

import pytest
from follow_kit import PATIENCE
from service_kit import CONDUCTOR, open_service
from sqlalchemy import event

from app.domain import (
    DesiredState,
    ExecutionStatus,
    Level,
    NewLogEntry,
    Observation,
    Task,
    TaskStatus,
)
from app.errors import NotFound
from app.services.reads import ExecutionReads
from app.store.journal import count

LOCAL = {"orchestrators": [{"name": "remote", "type": "fakes.orchestrators:ObedientOrchestrator"}]}


@pytest.fixture
def here(tmp_path):
    made = open_service(tmp_path, **LOCAL)
    yield made
    made.close()


@pytest.fixture
def there(here, tmp_path):
    made = open_service(tmp_path, **LOCAL)
    yield made
    made.close()


def see(service, execution, status=ExecutionStatus.RUNNING, **more):
    service.driving.claim(CONDUCTOR, "node", 3600.0, [], 1000, again=True)
    held = service.driving.get(execution.id)
    service.driving.record(held, CONDUCTOR, Observation(status, None, **more))


WRITES = {
    "cancel": lambda s, e: s.steered.desire(e, DesiredState.CANCEL, ExecutionStatus.CANCELLING),
    "pause": lambda s, e: s.steered.desire(e, DesiredState.PAUSE, ExecutionStatus.PAUSED),
    "doubt": lambda s, e: s.launches.doubt(e, "nobody knows"),
    "accepted": lambda s, e: s.launches.launched(e, {"job": 2}, "upstream"),
    "log line": lambda s, e: see(s, e, entries=(NewLogEntry(Level.INFO, 1, "news", "first"),)),
    "task": lambda s, e: see(s, e, tasks=(Task("first", TaskStatus.RUNNING),)),
    "outputs": lambda s, e: see(s, e, outputs={"n": 1}),
    "end": lambda s, e: see(s, e, ExecutionStatus.SUCCESS, log_complete=True),
    "abandon": lambda s, e: s.steered.abandon(e, "why"),
    "end of the log": lambda s, e: (
        s.driving.claim(CONDUCTOR, "node", 3600.0, [], 1000), s.driving.close_log(e, CONDUCTOR)
    ),
    "still as it was": lambda s, e: (
        s.driving.claim(CONDUCTOR, "node", 3600.0, [], 1000), time.sleep(0.002),
        s.driving.touch(e, CONDUCTOR, None),
    ),
}  # fmt: skip
"""Every write of the store that a reader can see."""


def shown(service, id_):
    document = service.client.get(f"/executions/{id_}").get_json()
    log = service.client.get(f"/executions/{id_}/logs?timeout=0s").get_json()
    return document, log


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize("fed", [True, False], ids=["with its feed", "without its feed"])
def test_what_is_committed_before_a_request_begins_is_seen_by_it(here, there, write, fed):
    execution = here.add_execution()
    before = shown(here, execution.id)
    assert before == shown(there, execution.id)
    if not fed:
        there.web.changes._feed.close()
    for writer in (here, there):
        write(writer, writer.store.get(execution.id))
        seen = shown(there, execution.id)
        stored = there.store.get(execution.id)
        document, log = seen
        assert seen != before
        assert document["state"] == stored.status
        assert document["as_of"] == stored.as_of.isoformat(timespec="milliseconds")[:-6] + "Z"
        assert document["outputs"] == stored.outputs
        assert document["error"] == stored.error
        assert document["upstream_id"] == stored.upstream_id
        assert [t["status"] for t in document["tasks"]] == [
            t.status for t in there.store.tasks(stored)
        ]
        assert log["total_results"] == count(stored.log_counts, Level(14))
        assert log["complete"] == stored.log_complete
        execution = here.add_execution()
        before = shown(there, execution.id)


@pytest.mark.parametrize("fed", [True, False], ids=["with its feed", "without its feed"])
def test_what_was_withdrawn_is_not_shown_any_more(here, there, fed):
    execution = there.add_execution(accepted=False)
    assert there.client.get(f"/executions/{execution.id}").status_code == 200
    if not fed:
        there.web.changes._feed.close()
    here.launches.withdraw(execution)
    assert there.client.get(f"/executions/{execution.id}").status_code == 404


def test_what_is_written_while_the_feed_is_lost_is_seen_also_when_it_is_back(
    here, there, monkeypatch
):
    monkeypatch.setattr("app.store.changes._RETRY_SECONDS", 0.2)
    execution = here.add_execution()
    shown(there, execution.id)
    feed = there.web.changes._feed
    with monkeypatch.context() as patch:
        patch.setattr(feed, "_counted", lambda: 1 / 0)
        see(here, execution, outputs={"n": 0})
        assert shown(there, execution.id)[0]["outputs"] == {"n": 0}
        for n in range(1, 20):
            see(here, execution, outputs={"n": n})
            assert shown(there, execution.id)[0]["outputs"] == {"n": n}
    deadline = time.monotonic() + PATIENCE
    n = 20
    while not feed.prove():
        assert time.monotonic() < deadline
        see(here, execution, outputs={"n": n})
        assert shown(there, execution.id)[0]["outputs"] == {"n": n}
        n += 1
    see(here, execution, outputs={"n": n})
    assert shown(there, execution.id)[0]["outputs"] == {"n": n}


def test_writers_and_readers_at_the_same_time_never_see_the_past(here, there):
    """Each writer reads after its own commit, through the other process."""
    execution, reads = here.add_execution(), ExecutionReads(there.store, there.web.changes)
    faults, counted = [], []
    done = threading.Event()

    def read():
        last = 0
        while not done.is_set():
            total = reads.get(execution.id).log_total
            if total < last:
                faults.append((last, total))
            last = total
            counted.append(total)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for n in range(1, 200):
        see(here, execution, entries=(NewLogEntry(Level.INFO, n, str(n)),))
        total = reads.get(execution.id).log_total
        if total != n:
            faults.append((n, total))
    done.set()
    for reader in readers:
        reader.join(PATIENCE)
    assert faults == []
    assert counted


def test_an_execution_that_does_not_change_costs_no_statement_while_others_do(here, there):
    execution, other = here.add_execution(), here.add_execution()
    for _ in range(2):
        there.client.get(f"/executions/{execution.id}")
    statements = []

    looks = ("FROM counters", "SELECT executions.id, executions.changed")

    @event.listens_for(there.web.database._reader, "before_cursor_execute")
    def _note(_connection, _cursor, statement, *_more):
        if not any(look in statement for look in looks):
            statements.append(statement)

    for n in range(20):
        see(here, other, entries=(NewLogEntry(Level.INFO, n, str(n)),))
        assert there.client.get(f"/executions/{execution.id}").status_code == 200
    assert statements == []


def test_what_was_read_and_is_gone_is_not_found(here):
    execution = here.add_execution(accepted=False)
    reads = ExecutionReads(here.store, here.web.changes)
    reads.get(execution.id)
    here.launches.withdraw(execution)
    with pytest.raises(NotFound):
        reads.get(execution.id)
