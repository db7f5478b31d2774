"""What shells complete at TAB."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import click
import pytest
from kit.people import COMMAND, bare
from kit.raw_server import RawServer, answer

from slipway.cli import completion, group, live_words
from slipway.cli.options import command as of_table

WORKFLOWS = {"workflows": [{"id": "diamond", "description": "Counts primes"}, {"id": "night:4"}]}
DIAMOND = {"inputs": [{"name": "n"}, {"name": "mode", "description": "How"}]}
EXECUTIONS = {
    "executions": [
        {"id": "7f3a91c2-1", "workflow": "diamond", "state": "RUNNING"},
        {"id": "c01d77aa-2", "workflow": "diamond", "status": "FAILED"},
    ]
}
STEPS = {"tasks": [{"name": "low", "status": "RUNNING"}, {"name": "join"}]}
ANSWERS = {
    "/workflows": WORKFLOWS, "/workflows/diamond": DIAMOND, "/executions?page_size=50": EXECUTIONS,
    "/executions/7f3a": STEPS,
}  # fmt: skip


@contextmanager
def serving(said):
    """Serve what a function returns for a path: an object, or bytes that are no answer."""
    with RawServer(lambda asked, _: answer(200, said(asked.target))) as server:
        yield server.url


@pytest.fixture
def commands(monkeypatch):
    """Commands whose arguments are completed."""

    @of_table("run")
    @click.argument("workflow")
    @click.option("-i", "pairs", multiple=True)
    @click.option("--inputs", type=click.Path())
    def run(shell, **given):
        """Launch it."""

    @of_table("status")
    @click.argument("execution", required=False)
    @click.argument("step", required=False)
    def status(shell, **given):
        """Show it."""

    made = {"run": run, "status": status}
    monkeypatch.setattr(group, "load", lambda entry: made[entry.name])


@pytest.fixture
def tab(person, commands, monkeypatch, capsys):
    """Press TAB at the end of a line, in a shell."""

    monkeypatch.setenv("XDG_CACHE_HOME", str(person.home / "cache"))
    monkeypatch.setenv("SLIPWAY_URL", "http://127.0.0.1:1")

    def press(line, shell="bash"):
        words = line.split(" ")
        variables = {
            "bash": {"COMP_LINE": line, "COMP_POINT": str(len(line))},
            "zsh": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
            "fish": {"COMP_WORDS": line, "COMP_CWORD": words[-1]},
        }[shell]
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        assert completion.answer(f"{shell}_complete") == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out.splitlines()

    return press


def values(lines):
    return [line.partition(",")[2] for line in lines]


class TestWordsOfTheTable:
    def test_commands(self, tab):
        assert values(tab("slipway st")) == ["status"]
        assert values(tab("slipway keys re")) == ["revoke"]
        assert {"run", "ps", "keys"} <= set(values(tab("slipway ")))
        assert "wf" not in values(tab("slipway "))

    def test_options_of_a_command_and_of_all(self, tab):
        assert values(tab("slipway run --in")) == ["--inputs"]
        assert values(tab("slipway run --prof")) == ["--profile"]
        assert values(tab("slipway --que")) == ["--query"]
        assert values(tab("slipway run -o j")) == ["json"]

    def test_files_are_left_to_the_shell(self, tab):
        assert tab("slipway run x --inputs a") == ["file,a"]

    def test_each_shell_is_answered_in_its_way(self, tab):
        assert tab("slipway stat", "zsh")[:2] == ["plain", "status"]
        assert tab("slipway stat", "fish")[0].startswith("plain,status\t")

    @pytest.mark.parametrize(
        "line", ["slipway nothing ", "slipway serve ", "slipway run --nothing x", "slipway 'a", ""]
    )
    def test_what_is_no_command_is_silence(self, tab, line):
        assert [line for line in tab(line) if not line.startswith("plain,")] == []

    def test_an_instruction_that_is_none(self):
        assert completion.answer("tcsh_complete") == 1
        assert completion.answer("bash_source") == 1


class TestWordsOfTheService:
    @pytest.fixture
    def asked(self, monkeypatch, person):
        """Serve the answers, and remember what was asked for."""
        seen = []

        def said(path):
            seen.append(path)
            return ANSWERS[path]

        with serving(said) as url:
            monkeypatch.setenv("SLIPWAY_URL", url)
            yield seen

    def test_workflows_inputs_executions_and_steps(self, tab, asked):
        assert values(tab("slipway run d")) == ["diamond"]
        assert values(tab("slipway run diamond -i ")) == ["n=", "mode="]
        assert values(tab("slipway run diamond -i n=3 -i m")) == ["mode="]
        assert values(tab("slipway status ")) == ["@latest", "7f3a91c2", "c01d77aa"]
        assert values(tab("slipway status c0")) == ["c01d77aa"]
        assert values(tab("slipway status 7f3a ")) == ["low", "join"]

    def test_what_bash_takes_for_several_words_is_one(self, tab, asked):
        assert values(tab("slipway status @latest:di")) == ["diamond"]
        assert values(tab("slipway run night:")) == ["4"]
        assert tab("slipway status @latest:di", "fish")[0].startswith("plain,@latest:diamond")
        assert values(tab("slipway run diamond -i n=")) == []

    def test_an_answer_is_kept_for_a_while_and_for_its_owner_only(self, tab, asked, person):
        assert tab("slipway run d") == tab("slipway run d")
        assert asked == ["/workflows"]
        [file] = (person.home / "cache" / "slipway").iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        os.utime(file, (1, 1))
        tab("slipway run d")
        assert asked == ["/workflows"] * 2

    def test_another_login_is_another_question(self, tab, asked, monkeypatch):
        tab("slipway run d")
        monkeypatch.setenv("SLIPWAY_TOKEN", "abc")
        tab("slipway run d")
        assert asked == ["/workflows"] * 2

    def test_options_before_the_place_count(self, tab, asked, monkeypatch):
        url = os.environ["SLIPWAY_URL"]
        monkeypatch.delenv("SLIPWAY_URL")
        assert values(tab(f"slipway --url {url} run d")) == ["diamond"]
        assert values(tab(f"slipway run --url {url} d")) == ["diamond"]

    @pytest.mark.parametrize("body", [b"<html>", {"workflows": 7}, [], b"", {}])
    def test_what_is_no_answer_is_silence(self, tab, monkeypatch, person, body):
        with serving(lambda _: body) as url:
            monkeypatch.setenv("SLIPWAY_URL", url)
            assert tab("slipway run d") == []

    def test_a_password_is_not_asked_for(self, tab, monkeypatch, asked):
        monkeypatch.setenv("SLIPWAY_USER", "ana")
        assert tab("slipway run d") == []
        assert asked == []

    def test_a_service_that_is_slow_is_not_waited_for(self, tab, monkeypatch, person):
        monkeypatch.setenv("XDG_CACHE_HOME", str(person.home / "cache"))
        monkeypatch.setattr(live_words, "_ANSWER_SECONDS", 0.01)
        wait = threading.Event()

        def said(path):
            wait.wait()
            return WORKFLOWS

        with serving(said) as url:
            monkeypatch.setenv("SLIPWAY_URL", url)
            try:
                assert tab("slipway run d") == []
            finally:
                wait.set()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("run ", "diamond"), ("run diamond -i ", "n="), ("show ", "diamond"),
        ("delete ", "diamond"), ("status ", "@latest"), ("logs ", "7f3a91c2"),
        ("wait 7f3a ", "c01d77aa"), ("e cancel ", "@latest"), ("task restart 7f3a ", "join"),
        ("logs 7f3a --step ", "low"),
        ("rerun ", "@latest"), ("outputs ", "@latest"), ("wf trigger ", "diamond"),
    ],
)  # fmt: skip
def test_the_commands_complete_what_they_take(person, monkeypatch, capsys, line, word):
    monkeypatch.setenv("XDG_CACHE_HOME", str(person.home / "cache"))
    monkeypatch.setenv("COMP_LINE", f"slipway {line}")
    monkeypatch.setenv("COMP_POINT", str(len(line) + 8))
    with serving(ANSWERS.__getitem__) as url:
        monkeypatch.setenv("SLIPWAY_URL", url)
        completion.answer("bash_complete")
    assert f"plain,{word}" in capsys.readouterr().out.splitlines()


def test_bash_completes_with_the_script(person, tmp_path):
    program = tmp_path / "slipway"
    program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    line = (
        'eval "$(slipway completion bash)"; complete -p slipway; '
        "COMP_LINE='slipway sta' COMP_POINT=11; _slipway_completion slipway; echo ${COMPREPLY[@]}; "
        "COMP_LINE='slipway keys ' COMP_POINT=13; _slipway_completion slipway; "
        "echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", line], capture_output=True, text=True, check=True,
        env=bare(person.home, {"PATH": f"{tmp_path}:{os.environ['PATH']}"}),
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _slipway_completion slipway", "status",
        "create list test rotate revoke",
    ]  # fmt: skip


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_script_asks_nobody(person, shell):
    done = person.types("completion", shell)
    assert done.code == 0
    assert f"_SLIPWAY_COMPLETE={shell}_complete" in done.out
    assert "2>/dev/null" in done.out


def test_a_program_that_completes_imports_little(person):
    program = (
        "import sys, os\nfrom slipway.cli import completion\n"
        "completion.answer('bash_complete')\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True,
        env=bare(person.home, {"COMP_LINE": "slipway ", "COMP_POINT": "8"}),
    )  # fmt: skip
    assert {"requests", "rich", "yaml", "platformdirs"}.isdisjoint(done.stderr.split())
