"""What is asked of a scheduler, how often, and which of its lines are a job's."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from app.engine.launchers.slurm.accounts import ClusterAccount
from app.engine.launchers.slurm.scheduler import MISSES, Scheduler, Sought

SUBMITTED_AT = 1795774943.0
JOB = Sought("slw-one", SUBMITTED_AT, waits=True)
LINE = "{id}|{id}|{id}|N/A|{state}|None|N/A|N/A|{at}|{node}|slwuser1|slw-one\n"


class Cluster:
    """Answers as it is told; ``queue`` and ``accounting`` are what is printed."""

    def __init__(self):
        self.queue = self.accounting = ""
        self.accounting_error = ""
        self.asked = []
        self.now = 1000.0
        self.may_ask = True
        self.login = self.login_of("ada")
        self.scheduler = Scheduler(lambda: self.may_ask, 1.0, 30.0, clock=lambda: self.now)

    def call(self, verb, arguments, data=b"", *, timeout):
        program = arguments["program"]["argv"][0]
        self.asked.append(program)
        failed = program == "sacct" and self.accounting_error
        told = {"code": 1 if failed else 0, "stderr": self.accounting_error if failed else ""}
        printed = self.queue if program == "squeue" else self.accounting
        return SimpleNamespace(result=told, data=b"" if failed else printed.encode())

    def login_of(self, owner):
        """The account that all have, with the key of one of them."""
        return SimpleNamespace(account=ClusterAccount("slwuser1", None, owner), agent=self)

    def facts(self, seconds=6.0, job=JOB, login=None):
        self.now += seconds
        return self.scheduler.facts(login or self.login, [job])[job.key]


@pytest.fixture
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.scheduler.close()


def line(id_, state="PENDING", at=SUBMITTED_AT, node="n/a"):
    return LINE.format(id=id_, state=state, at=int(at), node=node)


def test_the_line_of_a_refused_submission_and_of_an_older_job_are_passed_over(cluster):
    cluster.queue = line(3, "RUNNING", SUBMITTED_AT - 86400, "node1") + line(4, "FAILED") + line(5)
    assert cluster.facts().queued.job_id == 5
    cluster.queue = line(3, "RUNNING", SUBMITTED_AT - 86400, "node1") + line(4, "FAILED")
    facts = cluster.facts()
    assert (facts.queued, facts.misses) == (None, 1)


def test_what_was_put_back_has_a_later_line_that_counts(cluster):
    cluster.queue = line(5, at=SUBMITTED_AT + 99) + line(5, "NODE_FAIL", node="node1")
    assert cluster.facts().queued.state == "PENDING"


def test_the_accounting_is_asked_for_what_is_missing_twice(cluster):
    facts = cluster.facts()
    assert (facts.misses, cluster.asked) == (1, ["squeue"])
    ends = "1795774945|1795774999|node1|slwuser1|slw-one"
    cluster.accounting = f"5|5|OUT_OF_MEMORY|0:125|{int(SUBMITTED_AT)}|{ends}\n"
    facts = cluster.facts()
    assert facts.misses == MISSES
    assert (facts.accounted.state, facts.has_accounting) == ("OUT_OF_MEMORY", True)
    assert cluster.asked == ["squeue", "squeue", "sacct"]


def test_a_cluster_without_accounting_is_not_asked_for_it_each_time(cluster):
    cluster.accounting_error = "Slurm accounting storage is disabled\n"
    for _ in range(4):
        facts = cluster.facts()
    assert not facts.has_accounting
    assert facts.misses == 4
    assert cluster.asked.count("sacct") == 1


def test_who_has_no_turn_gets_what_was_told_last(cluster):
    cluster.queue = line(5)
    cluster.facts()
    cluster.may_ask, cluster.queue = False, ""
    assert cluster.facts().queued.job_id == 5
    assert cluster.asked == ["squeue"]


def test_a_queue_that_cannot_be_asked_is_no_miss(cluster):
    cluster.queue = line(5)
    cluster.facts()
    cluster.call = lambda *_, **__: SimpleNamespace(
        result={"code": 1, "stderr": "Unable to contact slurm controller"}, data=b""
    )
    facts = cluster.facts()
    assert (facts.queued.job_id, facts.misses) == (5, 0)


def test_those_who_share_an_account_do_not_hide_what_is_missing_from_each_other(cluster):
    of_bob = Sought("slw-two", SUBMITTED_AT, waits=True)
    for misses in range(1, MISSES + 1):
        assert cluster.facts().misses == misses
        assert cluster.facts(0.0, of_bob, cluster.login_of("bob")).misses == misses


def test_what_was_told_before_a_look_is_no_news(cluster):
    cluster.queue = line(5)
    assert cluster.facts().is_news
    cluster.may_ask = False
    facts = cluster.facts(job=replace(JOB, seen_at=cluster.scheduler.now + 1))
    assert (facts.queued.job_id, facts.is_news) == (5, False)
