"""What texts of Slurm say. Those called 22.05 were taken from a real cluster, with the names of its
account in the place of numbers; the others were written after the manual."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clients.slurm.accounting import accounted, sacct
from app.clients.slurm.queue import queued, squeue
from app.clients.slurm.states import (
    Standing,
    never_begins,
    standing,
    state_word,
    why_ended,
    why_waiting,
)
from app.clients.slurm.submission import Outcome, Request, sbatch, submitted
from app.job_resources import Resources

RECORDED = Path(__file__).parent / "recorded"
NAME = "slw-0123"


def recorded(name):
    return (RECORDED / f"{name}.txt").read_text(encoding="utf-8")


def early():
    return {row.job_id: row for row in queued(recorded("squeue-22.05-early"))}


def test_a_queue_is_read_with_what_runs_waits_and_has_ended():
    rows = early()
    assert len(rows) == 20  # tasks of an array that wait have the id of the array
    assert rows[1].standing is Standing.RUNNING
    assert (rows[1].node, rows[1].user, rows[1].name) == ("node1", "slwuser1", NAME)
    assert (rows[1].submitted_at, rows[1].starts_at) == (1795774943.0, 1795774945.0)
    assert (rows[2].standing, rows[2].reason) == (Standing.QUEUED, "JobHeldUser")
    assert (rows[2].node, rows[2].starts_at) == ("", None)
    assert (rows[5].reason, rows[5].starts_at) == ("BeginTime", 1795775543.0)
    assert (rows[6].state, rows[6].standing) == ("FAILED", Standing.ENDED)
    assert (rows[21].state, rows[21].standing) == ("DEADLINE", Standing.ENDED)


def test_tasks_of_an_array_are_told_apart_by_its_id_and_their_number():
    rows = queued(recorded("squeue-22.05-early"))
    tasks = {(row.array_id, row.task): row for row in rows if row.array_id == 3}
    assert sorted(tasks) == [(3, number) for number in range(6)]
    assert tasks[3, 0].job_id == 22
    assert tasks[3, 4].reason == "JobArrayTaskLimit"


def test_what_was_requeued_waits_again_and_was_submitted_later():
    rows = queued(recorded("squeue-22.05-late"))
    requeued = next(row for row in rows if row.task == 1)
    assert (requeued.standing, requeued.submitted_at) == (Standing.QUEUED, 1795775042.0)
    stopped = next(row for row in rows if row.task == 0)
    assert stopped.standing is Standing.STOPPED


def test_accounting_tells_how_jobs_ended():
    rows = {row.job_id: row for row in accounted(recorded("sacct-22.05"))}
    ends = {number: (row.exit_code, row.unbegun) for number, row in rows.items()}
    assert ends == {
        **dict.fromkeys((1, 22, 14), (None, False)),
        6: (3, False), 7: (137, False), 10: (1, False), 20: (126, True), 21: (1, False),
    }  # fmt: skip
    assert (rows[22].array_id, rows[22].task) == (3, 0)
    assert (rows[14].nodes, rows[14].started_at) == ("", None)
    assert rows[6].finished_at == 1795774945.0


def test_other_ends_are_told_in_words_and_steps_are_passed_over():
    rows = {row.job_id: row for row in accounted(recorded("sacct-made-up"))}
    assert sorted(rows) == [30, 31, 32, 33, 41]
    assert {number: why_ended(row.state) for number, row in rows.items()} == {
        30: None,
        31: "it took more memory than it was given",
        32: "its node failed",
        33: "it reached its time limit",
        41: "it had to make room for a job of higher priority",
    }
    assert rows[30].state == "CANCELLED"
    assert (rows[41].array_id, rows[41].task, rows[41].exit_code) == (34, 7, 143)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "jobs of higher priority wait, too (Priority)"),
        ("(Resources)", "it waits for nodes to become free (Resources)"),
        ("(ReqNodeNotAvail, UnavailableNodes:n7)",
         "a node that it needs is not available (ReqNodeNotAvail, UnavailableNodes:n7)"),
        ("BrandNew", "the cluster says BrandNew"),
        ("None", None),
        ("", None),
        ("PartitionTimeLimit", ("it asks for more time than its partition gives, so it never "
         "begins by itself (PartitionTimeLimit)")),
    ],
)  # fmt: skip
def test_why_a_job_waits_is_told_in_words(reason, words):
    assert why_waiting(reason) == words
    assert never_begins(reason) == (words is not None and "never begins" in words)


def test_what_could_never_begin_has_ended_for_that():
    assert why_ended("FAILED", "BadConstraints") == "no node has what it asks for"
    assert why_ended("FAILED", "NonZeroExitCode") is None
    assert why_ended("COMPLETED") is None


def test_states_of_newer_versions_are_not_taken_for_an_end():
    assert standing("BRAND_NEW") is Standing.UNKNOWN
    assert state_word("CANCELLED by 1001") == "CANCELLED"
    assert state_word("cancelled+") == "CANCELLED"
    assert state_word(" ") == ""


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "outcome", "job_id"),
    [
        (0, "13\n", "", Outcome.SUBMITTED, 13),
        (0, "13;testbed\n", "", Outcome.SUBMITTED, 13),
        (0, "Welcome, 7 news\n13\n", "", Outcome.SUBMITTED, 13),
        (0, "", "", Outcome.UNSURE, None),
        (0, "0\n", "", Outcome.UNSURE, None),
        (None, "", "", Outcome.UNSURE, None),
        (127, "", "sbatch: command not found", Outcome.UNSURE, None),
        (1, "", ("sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job "
         "submission failed: Invalid partition name specified\n"), Outcome.REFUSED, None),
        (255, "", ("sbatch: unrecognized option '--bad'\nTry \"sbatch --help\" for more "
         "information\n"), Outcome.REFUSED, None),
        (255, "", "sbatch: error: Invalid --time specification\n", Outcome.REFUSED, None),
        (1, "", ("sbatch: error: Batch job submission failed: Unable to contact slurm controller "
         "(connect failure)\n"), Outcome.UNSURE, None),
        (1, "", ("sbatch: error: Batch job submission failed: Socket timed out on send/recv "
         "operation\n"), Outcome.UNSURE, None),
        (1, "", "a login that says nothing of it\n", Outcome.UNSURE, None),
    ],
)  # fmt: skip
def test_a_submission_is_refused_only_where_slurm_says_so(code, stdout, stderr, outcome, job_id):
    found = submitted(code, stdout, stderr)
    assert (found.outcome, found.job_id) == (outcome, job_id)
    if "nope" in stderr:
        assert found.reason == (
            "invalid partition specified: nope Batch job submission failed: Invalid partition name "
            "specified"
        )


def test_what_a_job_asks_for_is_an_option_each():
    asked = Request(
        NAME, "/home/a/b/slurm.out", array=1000, most_at_once=20,
        resources=Resources(
            cpus=2, memory_bytes=3 * 1024**3 + 1, time_seconds=61, nodes=2, tasks=8,
            tasks_per_node=4, gpus=1, exclusive=True, partition="main", account="proj", qos="high",
            reservation="r1", constraint="intel&ssd", extra=("--mail-type=END",),
        ),
    )  # fmt: skip
    assert sbatch(asked) == [
        "sbatch", "--parsable", f"--job-name={NAME}", f"--comment={NAME}",
        "--output=/home/a/b/slurm.out", "--export=NONE", "--cpus-per-task=2", "--mem=3073M",
        "--time=2", "--nodes=2", "--ntasks=8", "--ntasks-per-node=4", "--gpus=1",
        "--partition=main", "--account=proj", "--qos=high", "--reservation=r1",
        "--constraint=intel&ssd", "--array=0-999%20", "--exclusive", "--mail-type=END",
    ]  # fmt: skip
    assert len(sbatch(Request(name=NAME))) == 6


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("name", Request(name="a b")),
        ("name", Request(name="a|b")),
        ("partition", Request(NAME, resources=Resources(partition="main --uid=0"))),
        ("constraint", Request(NAME, resources=Resources(constraint="a\nb"))),
        ("extra", Request(NAME, resources=Resources(extra=("script.sh",)))),
        ("extra", Request(NAME, resources=Resources(extra=("-J", "other")))),
        ("extra", Request(NAME, resources=Resources(extra=("--job-name=other",)))),
        ("extra", Request(NAME, resources=Resources(extra=("--job=other",)))),
        ("extra", Request(NAME, resources=Resources(extra=("--wrap=true",)))),
        ("extra", Request(NAME, resources=Resources(extra=("--mail-type=END\n",)))),
    ],
)
def test_what_is_no_option_is_refused_by_its_name(field, asked):
    with pytest.raises(ValueError, match=f"^{field}: "):
        sbatch(asked)


def test_questions_are_bounded_in_time_and_by_account():
    assert squeue(["ada", "eve"])[-4:-2] == ["-u", "ada,eve"]
    asked = sacct(1795774943.9, jobs=[3, 4], names=[NAME], users=["ada"])
    assert asked[-4:] == [
        "--starttime=uts1795774943", "--jobs=3,4", f"--name={NAME}", "--user=ada"
    ]  # fmt: skip


@given(st.text(alphabet=st.sampled_from("|0123456789_%[],-\nPENDIG:."), max_size=300))
def test_no_text_is_too_strange_to_be_read(text):
    for row in [*queued(text), *accounted(text)]:
        assert row.job_id >= 0
    assert submitted(1, text, text).outcome is not Outcome.SUBMITTED
    why_waiting(text)
