"""With what the command line ends, and what people read then."""

import click
import pytest

from slipway import errors
from slipway.cli import group
from slipway.cli.codes import MEANINGS, ExitCode, Failure
from slipway.cli.options import command as of_table
from slipway.cli.running import explained


class Ended:
    """An execution that was waited for."""

    id, error = "7f3a", "step join ended with code 3"

    def __init__(self, state):
        self.status = self.state = state


def refused(status, **problem):
    return errors.refusal(status, {"detail": "No.", **problem})


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure("x"), 2),
        (Failure("x", code=ExitCode.REFUSED), 4),
        (click.UsageError("x"), 2),
        (click.FileError("x"), 2),
        (click.Abort(), 2),
        (EOFError(), 2),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 0),
        (OSError(28, "No space left on device"), 1),
        (FileNotFoundError(2, "No such file or directory", "x"), 1),
        (ZeroDivisionError("x"), 1),
        (refused(400), 2),
        (refused(401), 4),
        (refused(403), 4),
        (refused(404), 4),
        (refused(409), 2),
        (refused(410), 4),
        (refused(412), 2),
        (refused(422), 2),
        (refused(429), 5),
        (refused(500), 5),
        (refused(501), 2),
        (refused(502), 5),
        (refused(503), 5),
        (errors.Unreachable("x"), 5),
        (errors.TimedOut("x"), 5),
        (errors.NotOurs("x"), 5),
        (errors.Misused("x"), 2),
        (errors.StillRunning("x"), 1),
        (errors.ExecutionFailed(Ended("FAILED")), 1),
        (errors.ExecutionFailed(Ended("CANCELLED")), 3),
    ],
    ids=lambda value: (
        f"{type(value).__name__}-{getattr(value, 'status', '')}"
        if isinstance(value, BaseException)
        else str(value)
    ),
)
def test_each_failure_has_its_code_and_at_most_three_lines(failure, code):
    found, lines = explained(failure)
    assert found == code
    assert found in MEANINGS
    assert len(lines) <= 3
    assert bool(lines) == (code not in (0, 130))
    assert all(line.startswith("slipway: ") for line in lines[:1])


def test_every_fault_of_a_field_is_told():
    fields = [{"path": "inputs.n", "message": "is no\nnumber"}, {"path": "m", "message": "what?"}]
    assert explained(refused(422, fields=fields))[1] == [
        "slipway: No.", "  inputs.n: is no number", "  m: what?",
    ]  # fmt: skip


def test_what_a_server_says_moves_no_cursor():
    assert "\x1b" not in explained(refused(404, detail="\x1b[2Jgone"))[1][0]


def test_nothing_that_is_told_steers_the_terminal(person, instead):
    def fail(shell):
        shell.say("one\x1b]0;title\x07\n\ttwo")
        raise Failure("No\x1b[2J.", hint="a\x9b2J\n  b")

    instead("ps", fail)
    told = person.types("ps").err
    assert told == "one\ufffd]0;title\ufffd\n\ttwo\nslipway: No\ufffd[2J.\n  a\ufffd2J\n  b\n"
    assert "\x1b" not in person.types("--debug", "ps").err


@pytest.fixture
def instead(monkeypatch):
    """Let a command of the table do something else."""

    def put(name, function):
        made = of_table(name)(function)
        monkeypatch.setattr(group, "load", lambda _: made)

    return put


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1), (ExitCode.CANCELLED, 3)])
def test_what_a_command_returns_is_the_code(person, instead, result, code):
    instead("ps", lambda shell: result)
    assert person.types("ps") == (code, "", "")


def test_a_fault_of_ours_is_a_sentence_and_the_trace_is_for_who_asks(person, instead):
    def fail(shell):
        raise ZeroDivisionError("division by zero")

    instead("ps", fail)
    code, out, err = person.types("ps")
    assert (code, out) == (1, "")
    assert err == (
        "slipway: This is a fault of slipway: ZeroDivisionError: division by zero\n"
        "  --debug shows where.\n"
    )
    for arguments in (["--debug", "ps"], ["ps", "--debug"]):
        assert "Traceback" in person.types(*arguments).err


def test_interrupting_is_130_and_no_trace(person, instead):
    def interrupt(shell):
        raise KeyboardInterrupt

    instead("ps", interrupt)
    assert person.types("--debug", "ps") == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sttaus"], "There is no command 'sttaus'. Did you mean status or task?"),
        (["keys", "creat"], "There is no command 'creat'. Did you mean create?"),
        (["--prfile", "x", "version"], "No such option '--prfile'."),
        (["version", "--quer", "x"], "No such option '--quer'."),
        (["version", "x"], "Got unexpected extra argument (x)"),
        (["version", "-o", "xml"], "'xml' is not one of"),
        (["version", "--query", "[["], "--query '[[' does not work: "),
        (["version", "-t", "x"], "A token stands before the command"),
        (["task"], "It needs one of: start, stop, restart."),
        (["man", "nothing"], "There is no page on 'nothing'."),
    ],
)  # fmt: skip
def test_wrong_usage_is_2_and_says_what_is_right(person, arguments, told):
    code, out, err = person.types(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) <= 3


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_is_no_failure_and_on_standard_output(person, arguments):
    code, out, err = person.types(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: slipway ")
    for word in ("Everyday:", "Workflows:", "Keys:", "Account:", "Service:", "Exit codes:"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_command_explains_itself_with_two_examples(person):
    for arguments in (["version", "--help"], ["version", "-h"], ["help", "version"]):
        code, out, _ = person.types(*arguments)
        assert code == 0
        assert "  slipway version\n  slipway version -o json\n" in out
        assert "Options of all commands:" in out
