"""Options that all commands have: before the command and behind it."""

import click
import pytest

from slipway.cli import group
from slipway.cli.options import command as of_table


@pytest.fixture
def asked(monkeypatch):
    """Run a command that remembers what it was asked for."""
    seen = []

    @of_table("ps")
    @click.option("-u", "user", is_flag=True, expose_value=False)
    def with_user(shell):
        """Take -u for something else."""

    @of_table("ps")
    @click.option("-a", "all_", is_flag=True)
    def plain(shell, all_):
        """List them."""
        seen.append((shell.asked, all_))

    monkeypatch.setattr(group, "load", lambda _: plain)
    seen.append(with_user)
    return seen


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--profile", "test", "profile"), ("--url", "http://x", "url"),
        ("--api_url", "http://x", "url"), ("--api-url", "http://x", "url"), ("-u", "ana", "user"),
        ("--user", "ana", "user"), ("-o", "json", "output"), ("--output", "json", "output"),
        ("--query", "a", "query"),
    ],
)  # fmt: skip
def test_they_stand_before_and_behind_and_the_later_place_wins(person, asked, option, value, name):
    other = {"output": "yaml"}.get(name, "http://other")
    for arguments in (
        [option, value, "ps"], ["ps", option, value], ["ps", "-a", f"{option}", value],
        [option, other, "ps", option, value], ["e", option, other, "list", option, value],
        ["e", option, value, "list"], ["exec", "list", option, value],
    ):  # fmt: skip
        assert person.types(*arguments)[:2] == (0, "")
        connection, _ = asked[-1]
        assert getattr(connection, name) == value


def test_a_switch_that_was_put_on_before_stays_on(person, asked):
    for arguments in (["--debug", "ps"], ["ps", "--debug"], ["ps"]):
        person.types(*arguments)
    assert [connection.debug for connection, _ in asked[1:]] == [True, True, False]


def test_a_token_stands_before_only(person, asked):
    person.types("-t", "abc", "ps")
    assert asked[-1][0].token == "abc"
    assert person.types("ps", "-t", "abc").code == 2


def test_what_others_can_see_is_warned_of(person, asked):
    for arguments in (["-t", "abc", "ps"], ["-u", "ana:pw", "ps"], ["ps", "-u", "ana:pw"]):
        assert person.types(*arguments).err.startswith("Warning: others on this machine can see")
    for arguments in (["-u", "ana", "ps"], ["ps"]):
        assert person.types(*arguments).err == ""


def test_a_command_that_has_an_option_of_that_name_keeps_it(asked):
    made = asked[0]
    assert [param.name for param in made.params if "-u" in param.opts] == ["user"]
    assert "user" not in made.shared


def test_what_a_command_calls_so_itself_says_nothing_of_the_connection(person, monkeypatch):
    seen = []

    @of_table("ps")
    @click.option("--token", is_flag=True)
    @click.option("-o", "output")
    def own(shell, token, output):
        """Take both for something else."""
        seen.append((shell.asked.token, shell.asked.output, token, output))

    monkeypatch.setattr(group, "load", lambda _: own)
    assert person.types("ps", "--token", "-o", "file").code == 0
    assert seen == [(None, None, True, "file")]
