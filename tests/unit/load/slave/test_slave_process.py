"""The parent process of a slave, with a master and worker processes that do as they are told."""

from __future__ import annotations

import os
import signal
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import scripted_worker
from kit.certificates import Authority
from kit.patience import await_that, join
from kit.slave_messages import desired, register
from master_kit import FakeMaster

from app.load.messages import Forget, Heartbeat, Register, RegisterAck
from app.load.protocol import NOT_ALLOWED, TAKEN_FOR_LOST
from app.load.slave.connection import Master, NotWelcome, Unreachable, connect
from app.load.slave.slave import Slave

DEFINITION = {"id": "w"}
VUS = scripted_worker.VUS


def vus(task, segment, elapsed_us):
    return segment.share(VUS if task.scaled is None else task.scaled)


class Log:
    """Says nothing."""

    def info(self, event, **fields):
        pass

    error = info


@dataclass
class Running:
    """A slave in a thread of this process; its worker processes are real."""

    slave: Slave
    folder: Path
    stop: int
    error: Exception | None = None

    def __post_init__(self):
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.slave.run()
        except NotWelcome as exc:
            self.error = exc

    def is_told_to_stop(self):
        os.write(self.stop, b"x")

    def ends(self):
        join(self.thread)

    def pids(self):
        return [worker.pid for worker in self.slave._workers if worker.pid]

    def done(self):
        """How many iterations were begun, by whom ever."""
        return sum(path.stat().st_size for path in self.folder.glob("done-*"))

    def is_at_work(self):
        before = self.done()
        await_that(lambda: self.done() > before, "further iterations")

    def is_still(self):
        """Wait until nothing is begun any more."""

        def still():
            before = self.done()
            time.sleep(0.1)
            return self.done() == before

        await_that(still, "no further iterations")


@pytest.fixture
def master():
    with FakeMaster() as master:
        yield master


@pytest.fixture
def start(tmp_path):
    started, pipes = [], []

    def start(master, processes=1, **more):
        signals, stop = os.pipe()
        pipes.extend((signals, stop))
        worker = [sys.executable, scripted_worker.__file__, str(tmp_path)]
        where = Master.at(master.url, **more)
        slave = Slave(where, register(), worker, processes, vus=vus, signals=signals, log=Log())
        started.append(Running(slave, tmp_path, stop))
        return started[-1]

    yield start
    for each in started:
        each.is_told_to_stop()
        each.is_told_to_stop()
        each.ends()
    for pipe in pipes:
        os.close(pipe)


def test_it_joins_with_its_key_and_gives_signs_of_life(master, start):
    start(master, key="slw_key")
    link = master.link()
    assert (b"authorization", b"Bearer slw_key") in link.request.extra_headers
    assert link.request.target == "/api/v1/slave-ws"
    await_that(lambda: len(link.of(Heartbeat)) > 2, "signs of life")
    assert link.of(Register) == [register()]


def test_a_task_is_done_to_the_iteration_by_several_processes(master, start):
    slave = start(master, processes=3)
    link = master.link()
    link.tell(desired(quota=100, definition=DEFINITION))
    link.await_reports(lambda reports: "t1" in reports and reports["t1"].report["ended"])
    assert slave.done() == 100
    assert link.of(Heartbeat)[-1].tasks[0].report["iterations"] == 100
    link.tell(Forget("t1"))
    link.await_reports(lambda reports: not reports)


def test_a_process_that_is_killed_is_replaced_and_no_report_is_lost(master, start):
    slave = start(master, processes=2)
    link = master.link()
    link.tell(desired(quota=600, definition=DEFINITION))
    link.await_reports(lambda reports: "t1" in reports and reports["t1"].report["iterations"] > 50)
    os.kill(slave.pids()[0], signal.SIGKILL)
    whole = link.await_reports(lambda reports: reports["t1"].report["ended"])
    assert whole["t1"].report["iterations"] == 600
    assert slave.done() >= 600, "what was not reported is done again"


def test_a_process_that_stands_still_is_replaced(master, start, monkeypatch):
    monkeypatch.setattr("app.load.slave.slave._SILENT_SECONDS", 0.5)
    slave = start(master, processes=1)
    link = master.link()
    link.tell(desired(quota=200, definition=DEFINITION))
    slave.is_at_work()
    os.kill(slave.pids()[0], signal.SIGSTOP)
    whole = link.await_reports(lambda reports: reports["t1"].report["ended"])
    assert whole["t1"].report["iterations"] == 200


def test_where_the_master_is_killed_it_goes_on_and_comes_back_with_all(master, start):
    slave = start(master)
    master.link().tell(desired(definition=DEFINITION))
    slave.is_at_work()
    master.vanish()
    slave.is_at_work()
    master.listen()
    back = master.link(1)
    assert back.of(Register) == [register(tasks=("t1",))]
    before = back.await_reports(lambda reports: "t1" in reports)["t1"].report["iterations"]
    back.await_reports(lambda reports: reports["t1"].report["iterations"] > before)


def test_it_goes_on_alone_for_a_while_only(start):
    with FakeMaster(lease_ms=1000, alone_ms=1000) as master:
        slave = start(master)
        master.link().tell(desired(definition=DEFINITION))
        slave.is_at_work()
        master.vanish()
        slave.is_still()


def test_a_silent_master_stops_it_and_it_goes_on_when_that_is_said_again(start):
    with FakeMaster(lease_ms=1000) as master:
        slave = start(master)
        master.link().tell(desired(definition=DEFINITION))
        slave.is_at_work()
        master.silent = True
        slave.is_still()
        await_that(lambda: master.links[0].ended, "the end of the silent connection")
        master.silent = False
        back = await_that(
            lambda: [each for each in master.links if len(each.of(Heartbeat)) and not each.ended]
        )[-1]
        slave.is_still()
        back.tell(desired())
        slave.is_at_work()


@pytest.mark.parametrize("code", [TAKEN_FOR_LOST, NOT_ALLOWED])
def test_it_stops_at_once_when_its_work_was_given_to_others(master, start, code):
    slave = start(master)
    link = master.link()
    link.tell(desired(definition=DEFINITION))
    slave.is_at_work()
    link.say_goodbye(code)
    slave.is_still()
    if code == NOT_ALLOWED:
        slave.ends()
        assert "says goodbye" in str(slave.error)
    else:
        assert master.link(1).of(Register) == [register(tasks=("t1",))]


def test_a_signal_ends_it_gently_and_its_last_report_arrives(master, start):
    slave = start(master)
    link = master.link()
    link.tell(desired(definition=DEFINITION))
    slave.is_at_work()
    slave.is_told_to_stop()
    link.await_leave()
    slave.ends()
    last = link.of(Heartbeat)[-1]
    assert (last.state, last.tasks[0].report["ended"]) == ("draining", True)
    assert last.tasks[0].report["iterations"] == slave.done()


def test_a_second_signal_ends_it_at_once(start):
    with FakeMaster() as master:
        slave = start(master)
        link = master.link()
        link.tell(desired(definition=DEFINITION))
        slave.is_at_work()
        master.silent = True
        slave.is_told_to_stop()
        slave.is_told_to_stop()
        slave.ends()
        assert slave.pids() == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 501])
def test_a_master_that_does_not_want_it_is_told_of_and_not_asked_again(master, start, status):
    master.refuses_with = status
    slave = start(master)
    slave.ends()
    assert f"answers {status}: no way" in str(slave.error)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_master_that_cannot_take_it_now_is_asked_again(master, start, status):
    master.refuses_with = status
    start(master)
    await_that(lambda: master.links)
    master.refuses_with = None
    master.link()


def test_an_id_that_is_taken_is_asked_for_again(master, start):
    master.answer = RegisterAck(False, "slave-1", "the id is taken")
    start(master)
    master.link()
    master.answer = RegisterAck(True, "slave-1")
    await_that(lambda: [each for each in master.links if each.of(Heartbeat)], "it is taken")


def test_the_connection_is_secure_where_the_address_says_so(start, tmp_path):
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with FakeMaster(tls=context) as master:
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            connect(Master.at(master.url))
        connect(Master.at(master.url, verify=False)).close(1000)
        slave = start(master, ca=str(authority.cert), processes=2)
        link = master.link()
        link.tell(desired(quota=50, definition=DEFINITION | {"more": "x" * 300_000}))
        link.await_reports(lambda reports: "t1" in reports and reports["t1"].report["ended"])
        assert slave.done() == 50


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8080", ("localhost", 8080, False, "")),
        ("https://gateway.example", ("gateway.example", 443, True, "")),
        ("ws://[::1]:81/a/b/", ("::1", 81, False, "/a/b")),
        ("wss://h/p", ("h", 443, True, "/p")),
    ],
)
def test_addresses_are_read(url, expected):
    found = Master.at(url)
    assert (found.host, found.port, found.secure, found.prefix) == expected


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://h", "http://", "http://h?x", "http://u:p@h", "http://h:x"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValueError, match=r"must|port|Port"):
        Master.at(url)


def test_a_key_is_in_no_text_of_an_address():
    assert "secret" not in repr(Master.at("http://h", key="secret"))


def test_a_master_that_hangs_up_first_after_a_goodbye_is_not_looked_for_again(master, start):
    slave = start(master)
    link = master.link()
    link.tell(desired(quota=20, definition=DEFINITION))
    link.await_reports(lambda reports: "t1" in reports and reports["t1"].report["ended"])
    slave.is_told_to_stop()
    link.await_leave()
    link.say_goodbye(1000)
    slave.ends()
    assert len(master.links) == 1
