"""The table of commands, and what is found by it."""

import pytest

from app.cli._group import _COMMANDS
from slipway.cli.table import GROUPS, TABLE, find, members


def test_every_command_has_what_its_help_shows():
    for entry in TABLE:
        assert entry.group in GROUPS
        assert entry.summary.endswith(".")
        assert len(entry.summary) <= 61, "help is to fit into 80 columns"
        assert all("slipway " in example for example in entry.examples)
        assert len(set(entry.examples)) == 2


def test_no_name_means_two_commands():
    names = [name for entry in TABLE for name in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names))


def test_the_commands_of_the_service_are_those_that_it_has():
    ours = {entry.name: entry.summary for entry in TABLE if entry.service or entry.local}
    theirs = dict(_COMMANDS)
    del theirs["master"]  # by which slaves know it; no list of ours shows it
    del theirs["validate"]  # the one of ours asks it
    assert {name for name in ours if find(name).service} == theirs.keys() - {
        "abandon", "purge",
    }  # fmt: skip
    assert ours.keys() == theirs.keys()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("wf list", "workflows"), ("wf trigger", "wf trigger"), ("wf", "workflows"),
        ("w run", "wf trigger"), ("workflows list", "workflows"), ("workflow t", "wf trigger"),
        ("exec status", "exec status"), ("e s", "exec status"), ("executions l", "exec logs"),
        ("exec cancel", "cancel"), ("e d", "cancel"), ("ssh_keys key-gen", "keys key-gen"),
        ("k gen", "keys key-gen"), ("key key-gen", "keys key-gen"), ("k", "keys"),
        ("server", "serve"), ("node list", "nodes"), ("keys ls", "keys list"),
    ],
)  # fmt: skip
def test_words_of_before_are_known(words, name):
    assert find(words).name == name


def test_what_may_follow_a_word_is_what_its_entries_say():
    assert members("k").keys() == members("ssh_keys").keys() == members("keys").keys()
    assert {"status", "logs", "cancel"} <= members("e").keys()
    assert members("ps") == {}


@pytest.mark.parametrize("words", ["", "stat", "exec", "keys nothing", "run x", "status logs"])
def test_what_is_no_command_is_not_found(words):
    assert find(words) is None
