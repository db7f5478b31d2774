"""Signing in and keys in a terminal: what is asked, what is hidden, and how one gets out of it."""

from __future__ import annotations

import json

import pexpect
import pytest
import requests
from kit.accounts import ADA, EVE, ROOT
from kit.patience import PATIENCE_SECONDS
from kit.people import Person


def ended(terminal: pexpect.spawn) -> tuple[int | None, str]:
    """Wait for the end of a command; return its exit code, and what it wrote since it was asked."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus, terminal.before or ""


def is_kept(person: Person) -> bool:
    return (person.home / ".config" / "slipway" / "profiles.json").exists()


def test_what_is_missing_is_asked_for_in_turn_and_the_password_is_hidden(person, accounts):
    terminal = person.sits_at("login")
    terminal.expect("URL: ")
    terminal.sendline(accounts.url)
    terminal.expect("User: ")
    terminal.sendline("ada")
    terminal.expect("Password: ")
    terminal.sendline(ADA)
    code, told = ended(terminal)
    assert code == 0
    assert told == "\r\nSigned in as ada (developer); kept as profile default.\r\n"
    assert ADA not in told


def test_the_address_of_before_is_offered(ada, accounts):
    terminal = ada.sits_at("login", "-u", "ada")
    terminal.expect_exact(f"URL [{accounts.url}]: ")
    terminal.sendline("")
    terminal.expect("Password: ")
    terminal.sendline(ADA)
    assert ended(terminal)[0] == 0


@pytest.mark.parametrize("question", ["URL", "User", "Password"])
@pytest.mark.parametrize(("key", "code"), [("sendintr", 130), ("sendeof", 2)])
def test_whoever_leaves_a_question_keeps_nothing(person, accounts, question, key, code):
    words = {"URL": [], "User": [accounts.url], "Password": [accounts.url, "-u", "ada"]}[question]
    terminal = person.sits_at("login", *words)
    terminal.expect(f"{question}: ")
    getattr(terminal, key)()
    ended_with, told = ended(terminal)
    assert ended_with == code
    assert "Traceback" not in told
    assert not is_kept(person)


def test_an_empty_name_is_no_user(person, accounts):
    terminal = person.sits_at("login", accounts.url)
    terminal.expect("User: ")
    terminal.sendline("")
    code, told = ended(terminal)
    assert (code, "A user has a name" in told) == (2, True)


@pytest.mark.parametrize(
    ("option", "question"), [("--token", "Token: "), ("--api-key", "API key: ")]
)
def test_a_token_and_a_key_are_hidden_too(person, accounts, option, question):
    terminal = person.sits_at("login", accounts.url, option)
    terminal.expect(question)
    terminal.sendline("slw_something_that_nobody_knows")
    code, told = ended(terminal)
    assert code == 4
    assert "Nothing was kept." in told
    assert "slw_something" not in told
    assert not is_kept(person)


def test_the_password_of_an_option_is_asked_for(person, accounts):
    terminal = person.sits_at("-u", "ada", "whoami", "--api_url", accounts.url, "-o", "name")
    terminal.expect("Password of ada: ")
    terminal.sendline(ADA)
    code, told = ended(terminal)
    assert (code, told) == (0, "\r\nada\r\n")


def test_nobody_is_asked_where_a_ci_runs(person, accounts):
    terminal = person.sits_at("login", accounts.url, CI="true")
    code, told = ended(terminal)
    assert code == 2
    assert "User is missing, and nobody can be asked." in told


@pytest.mark.parametrize(
    ("answer", "told", "left"), [("n", "Nothing was revoked.", 1), ("y", "Revoked key", 0)]
)
def test_a_key_is_revoked_when_the_answer_is_yes(ada, answer, told, left):
    made = json.loads(ada.types("keys", "create", "-o", "json").out)["id"]
    terminal = ada.sits_at("keys", "revoke", made)
    terminal.expect_exact(f"Revoke key {made}? [y/N]: ")
    terminal.sendline(answer)
    code, said = ended(terminal)
    assert code == 0
    assert told in said
    assert ada.types("keys", "-o", "name").out.split().count(made[:8]) == left
    if left:
        terminal = ada.sits_at("keys", "revoke", made, "--yes")
        assert "?" not in ended(terminal)[1]


def test_a_question_that_is_left_revokes_nothing(ada):
    made = json.loads(ada.types("keys", "create", "-o", "json").out)["id"]
    terminal = ada.sits_at("keys", "revoke", made)
    terminal.expect("y/N")
    terminal.sendintr()
    assert ended(terminal)[0] == 130
    assert made[:8] in ada.types("keys", "-o", "name").out
    assert ada.types("keys", "revoke", made).code == 0


def test_a_new_password_is_typed_twice(person, accounts):
    body = {"username": "mia", "password": EVE, "again": True}
    requests.post(f"{accounts.url}/users", json=body, auth=ROOT, timeout=PATIENCE_SECONDS)
    assert person.types("login", accounts.url, "-u", f"mia:{EVE}").code == 0
    for again, expected in (("something else entirely", 2), ("mia has another one", 0)):
        terminal = person.sits_at("passwd")
        terminal.expect("New password: ")
        terminal.sendline("mia has another one")
        terminal.expect("The same again: ")
        terminal.sendline(again)
        code, told = ended(terminal)
        assert code == expected, told
        assert "another one now" in told or "nothing was changed" in told
    assert person.types("whoami", "-o", "name").out == "mia\n"


def test_a_key_and_what_is_said_of_it_come_in_order(ada):
    terminal = ada.sits_at("keys", "create", columns=200)
    code, told = ended(terminal)
    assert code == 0
    first, line, last = told.strip().splitlines()
    assert first.endswith("add this line to ~/.ssh/authorized_keys of the machine.")
    assert line.startswith("restrict ssh-ed25519 ")
    assert last == "The whole id is not shown again."
    assert "\x1b" not in told


@pytest.mark.parametrize("words", [["profiles"], ["keys"], ["api-keys"], ["doctor"]])
def test_in_40_columns_no_line_is_broken(ada, words):
    made = ada.types("api-keys", "create", "a name that is somewhat longer than others").err
    ada.types("keys", "create", "--meta", "some=words of ones own that are long")
    code, told = ended(ada.sits_at(*words, columns=40, NO_COLOR="1"))
    assert code == 0, made
    lines = told.replace("\r\n", "\n").splitlines()
    assert lines
    assert all(len(line) <= 40 for line in lines), lines
    ada.types("keys", "revoke", *ada.types("keys", "-o", "name").out.split())
    ada.types("api-keys", "revoke", *ada.types("api-keys", "-o", "name").out.split())


def test_colours_are_for_terminals_and_can_be_turned_off(ada):
    assert "\x1b[32mok" in ended(ada.sits_at("doctor"))[1]
    assert "\x1b" not in ended(ada.sits_at("doctor", NO_COLOR="1"))[1]
    assert "\x1b" not in ended(ada.sits_at("doctor", TERM="dumb"))[1]
    assert "\x1b" not in ada.types("doctor").out


def test_what_one_may_do_fits_a_narrow_terminal(ada, accounts):
    terminal = ada.sits_at("whoami", columns=40)
    terminal.expect("May do")
    terminal.expect(pexpect.EOF)
    said = terminal.before.splitlines()
    assert "password:write" in terminal.before
    assert [line for line in said if len(line) > 40] == []
