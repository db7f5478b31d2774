"""What commands upon jobs came to. All answers but the empty ones are of a real 22.05,
some of them cut."""

import pytest

from app.clients.slurm import control
from app.clients.slurm.control import Effect


@pytest.mark.parametrize(
    ("code", "stderr", "effect"),
    [
        (0, "", Effect.DONE),
        (1, "Invalid job id specified for job 99999\n", Effect.DONE),
        (1, "Job has already finished for job 6\n", Effect.DONE),
        (1, "Access/permission denied for job 3\n", Effect.DENIED),
        (1, "slurm_update error: Invalid user id\n", Effect.DENIED),
        (
            228,
            "scancel: error: Kill job error on job id 3_0: Job can not be altered now, try again",
            Effect.FAILED,
        ),
        (
            8,
            "Kill job error on job id 2: Unable to contact slurm controller (connect failure)",
            Effect.FAILED,
        ),
        (1, "Unexpected message received for job 2\n", Effect.FAILED),
        (None, "", Effect.FAILED),
    ],
)
def test_what_is_done_denied_and_uncertain_is_told_apart(code, stderr, effect):
    assert control.effect(code, stderr) is effect


def test_a_task_of_an_array_is_called_by_both_numbers():
    assert control.name_of(7) == "7"
    assert control.name_of(7, 0) == "7_0"
    assert control.signal_all("7_0", "STOP") == ["scancel", "--signal=STOP", "--full", "7_0"]
