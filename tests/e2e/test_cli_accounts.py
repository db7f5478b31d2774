"""Signing in and out from a shell, and keys, against a real service with users."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from kit.accounts import ADA, EVE, ROOT
from kit.patience import PATIENCE_SECONDS
from kit.people import Person
from kit.service import Service


def kept(person: Person) -> Path:
    return person.home / ".config" / "slipway"


def profiles(person: Person) -> dict[str, dict[str, str]]:
    return json.loads((kept(person) / "profiles.json").read_text())["profiles"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_login_is_tried_and_kept_where_nobody_else_reads_it(person, accounts):
    done = person.types("login", accounts.url, "-u", "ada", "--password-stdin", piped=f"{ADA}\n")
    assert done == (0, "Signed in as ada (developer); kept as profile default.\n", "")
    assert mode(kept(person)) == 0o700
    assert {mode(path) for path in kept(person).iterdir()} == {0o600}
    assert profiles(person)["default"]["user"] == "ada"


def test_a_wrong_password_is_not_kept(person, accounts):
    done = person.types("login", accounts.url, "-u", "ada", "--password-stdin", piped="wrong\n")
    assert done.code == 4
    assert "Nothing was kept." in done.err
    assert not (kept(person) / "profiles.json").exists()


def test_a_folder_that_others_can_read_is_closed(person, accounts):
    kept(person).mkdir(parents=True, mode=0o755)
    person.types("login", accounts.url, "-u", "ada", "--password-stdin", piped=f"{ADA}\n")
    assert mode(kept(person)) == 0o700


def test_who_may_not_write_there_is_told_which_file(person, accounts):
    (person.home / ".config").write_text("no folder")
    done = person.types("login", accounts.url, "-u", "ada", "--password-stdin", piped=f"{ADA}\n")
    assert done.code == 1
    assert done.err.startswith("slipway: ")
    assert ".config" in done.err
    assert "Traceback" not in done.err


def test_a_secret_is_no_argument(person, accounts):
    done = person.types("login", accounts.url, "a secret as argument")
    assert done.code == 2
    assert "a secret as argument" not in done.err
    assert "--token < FILE" in done.err


def test_a_password_in_an_argument_is_warned_of(person, accounts):
    done = person.types("login", accounts.url, "-u", f"ada:{ADA}")
    assert done.code == 0
    assert done.err.startswith("Warning: others on this machine can see the password")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--token", "--api-key"], "Give one of --token and --api-key, not both."),
        (["--token", "-u", "ada"], "Give either -u or --token"),
        (["-u", "ada:x", "--url", "http://127.0.0.1:1"], "Give the address once"),
        (["--profile", "../x", "-u", "a:b"], "'../x' is no name of a profile."),
        (["-u", "ada"], "Password is missing, and nobody can be asked."),
        ([], "User is missing, and nobody can be asked."),
        (["--token"], "The token is missing: the first line of standard input is empty."),
        (["--ca-file", "/nowhere"], "'/nowhere' does not exist."),
    ],
)
def test_what_is_wrong_or_missing_is_said(person, accounts, given, told):
    done = person.types("login", accounts.url, *given)
    assert (done.code, told in done.err) == (2, True), done
    assert not (kept(person) / "profiles.json").exists()


@pytest.mark.parametrize(
    ("address", "code", "told"),
    [
        ("ftp://x", 2, "is no address of a service"),
        ("http://ada:x@127.0.0.1", 2, "without a user"),
        ("http://127.0.0.1:1", 5, "127.0.0.1:1"),
    ],
)
def test_an_address_that_is_none_is_found_before_anybody_is_asked(person, address, code, told):
    done = person.types("login", address)
    assert (done.code, told in done.err) == (code, True), done


def test_an_address_needs_no_scheme_on_this_machine(person, accounts):
    done = person.types("login", accounts.url.removeprefix("http://"), "-u", f"ada:{ADA}")
    assert done.code == 0
    assert profiles(person)["default"]["url"] == accounts.url


def test_where_nobody_is_asked_no_login_is_needed(person, shared_service):
    done = person.types("login", shared_service.url)
    told = f"{shared_service.url} asks nobody who they are; kept as profile default.\n"
    assert done == (0, told, "")
    assert person.types("profiles").out.splitlines()[1].endswith("-     no login needed")
    assert "no: the service asks nobody who they are" in person.types("whoami").out


def test_whoami_says_who_what_and_from_where(ada, accounts, monkeypatch):
    done = ada.types("whoami")
    assert done.code == 0
    assert "User         ada (developer)" in done.out
    assert f"Service      {accounts.url} (from profile default)" in done.out
    assert "Signed in    by basic, from profile default" in done.out
    assert "executions:run" in done.out
    assert ada.types("whoami", "-o", "name").out == "ada\n"
    assert ada.types("whoami", "--query", "roles[0]").out == "developer\n"
    monkeypatch.setenv("SLIPWAY_USER", "root")
    monkeypatch.setenv("SLIPWAY_PASSWORD", ROOT[1])
    assert ada.types("whoami", "--query", "[username, login_from]", "-o", "yaml").out == (
        "- root\n- SLIPWAY_USER\n"
    )


def test_whoever_is_not_known_hears_from_where_the_login_is(ada, monkeypatch):
    monkeypatch.setenv("SLIPWAY_TOKEN", "a-token-that-nobody-knows")
    done = ada.types("whoami")
    assert done.code == 4
    assert "The login is from SLIPWAY_TOKEN." in done.err
    assert "a-token" not in done.err


def test_a_variable_beats_what_is_kept_and_login_says_so(person, accounts, monkeypatch):
    monkeypatch.setenv("SLIPWAY_API_KEY", "slw_something")
    done = person.types("login", accounts.url, "-u", "ada", "--password-stdin", piped=f"{ADA}\n")
    assert done.code == 0
    assert "SLIPWAY_API_KEY is set, and counts before what is kept." in done.err


def test_logout_forgets_the_secret_keeps_the_address_and_names_the_variable(
    ada, accounts, monkeypatch
):
    assert ada.types("logout").out == f"Signed out of {accounts.url} (profile default).\n"
    assert "secret" not in profiles(ada)["default"]
    assert ADA not in (kept(ada) / "profiles.json").read_text()
    assert "signed out" in ada.types("profiles").out
    assert ada.types("whoami").code == 4
    monkeypatch.setenv("HW_ACCESS_TOKEN", "something")
    done = ada.types("logout")
    assert done.out == "Nobody is signed in.\n"
    assert "HW_ACCESS_TOKEN still signs in" in done.err


def test_logout_of_a_profile_that_there_is_not(ada):
    done = ada.types("logout", "--profile", "other")
    assert (done.code, "There is no profile 'other'" in done.err) == (2, True)


def test_profiles_are_chosen_by_option_variable_and_for_good(
    ada, accounts, shared_service, monkeypatch
):
    done = ada.types("login", shared_service.url, "--profile", "open")
    assert "It counts with --profile open; always: slipway profiles use open" in done.err
    assert ada.types("whoami", "-o", "name").out == "ada\n"
    assert ada.types("whoami", "-o", "name", "--profile", "open").out == "anonymous\n"
    assert ada.types("--profile", "open", "whoami", "-o", "name").out == "anonymous\n"
    assert ada.types("profiles", "use", "open").out == (
        f"Profile open counts now: {shared_service.url}\n"
    )
    assert ada.types("whoami", "-o", "name").out == "anonymous\n"
    monkeypatch.setenv("SLIPWAY_PROFILE", "default")
    assert ada.types("whoami", "-o", "name").out == "ada\n"
    assert "SLIPWAY_PROFILE is set" in ada.types("profiles", "use", "open").err
    monkeypatch.delenv("SLIPWAY_PROFILE")
    assert ada.types("profiles", "-o", "name").out == "default\nopen\n"
    assert ada.types("profiles", "remove", "open", "nothing").code == 2
    assert ada.types("profiles", "-o", "name").out == "default\nopen\n"
    assert ada.types("profiles", "remove", "open").err == "Forgot profile open.\n"
    assert json.loads(ada.types("profiles", "-o", "json").out) == [
        {"name": "default", "url": accounts.url, "user": "ada", "by": "password", "ca_file": None,
         "counts": True}
    ]  # fmt: skip
    assert ada.types("profiles", "use", "open").code == 2


def test_ten_logins_at_once_are_all_kept(person, accounts):
    def login(number: int) -> int:
        return person.starts(
            "login", accounts.url, "--profile", f"job-{number}", "-u", "ada",
            SLIPWAY_PASSWORD=ADA,
        ).code  # fmt: skip

    with ThreadPoolExecutor(10) as pool:
        assert [*pool.map(login, range(10))] == [0] * 10
    assert profiles(person).keys() == {f"job-{number}" for number in range(10)}
    assert not [*kept(person).glob("*.new")]


def test_a_file_of_profiles_that_is_rubbish_is_named(person):
    kept(person).mkdir(parents=True)
    (kept(person) / "profiles.json").write_text("{")
    for words in (["profiles"], ["whoami"], ["logout"], ["login", "http://127.0.0.1:1"]):
        done = person.types(*words)
        assert (done.code, "is no list of profiles" in done.err) == (2, True), words


@pytest.fixture
def eve(person: Person, accounts: Service) -> Iterator[Person]:
    """Somebody who can change their password, signed in."""
    body = {"username": "eve", "password": EVE, "again": True}
    requests.post(f"{accounts.url}/users", json=body, auth=ROOT, timeout=PATIENCE_SECONDS)
    assert person.types("login", accounts.url, "-u", f"eve:{EVE}").code == 0
    yield person
    requests.delete(f"{accounts.url}/users/eve", auth=ROOT, timeout=PATIENCE_SECONDS)


def test_another_password_is_kept_in_the_place_of_the_old_one(eve):
    new = "another password of eve"
    done = eve.types("passwd", "--password-stdin", piped=f"{new}\n")
    assert done == (0, "The password is another one now.\n", "")
    assert profiles(eve)["default"]["secret"] == new
    assert eve.types("whoami", "-o", "name").out == "eve\n"


def test_a_password_that_is_too_short_is_refused_and_the_old_one_goes_on(eve):
    done = eve.types("passwd", "--password-stdin", piped="short\n")
    assert done.code == 2
    assert "new_password" in done.err
    assert eve.types("whoami").code == 0


def test_the_password_of_a_variable_is_said_to_be_worth_nothing(eve, monkeypatch):
    monkeypatch.setenv("SLIPWAY_USER", "eve")
    monkeypatch.setenv("SLIPWAY_PASSWORD", EVE)
    done = eve.types("passwd", "--password-stdin", piped="yet another password of eve\n")
    assert done.code == 0
    assert "What SLIPWAY_USER signs in with is worth nothing any more." in done.err
    monkeypatch.delenv("SLIPWAY_USER")
    assert eve.types("whoami", "-o", "name").out == "eve\n", "what is kept is the new one"


def test_nobody_changes_no_password(person, accounts):
    done = person.types("passwd", "--password-stdin", "--url", accounts.url, piped="x\n")
    assert (done.code, "Nobody is signed in." in done.err) == (2, True)


def test_a_key_is_shown_once_as_the_line_that_belongs_to_the_machine(ada):
    done = ada.types("keys", "create", "--meta", "machine=n01", "--meta", "text=a=b")
    assert done.code == 0
    assert done.out.startswith("restrict ssh-ed25519 ")
    assert done.out.count("\n") == 1
    assert "The whole id is not shown again." in done.err
    [key, *_] = json.loads(ada.types("keys", "-o", "json").out)
    assert key["metadata"] == {"machine": "n01", "text": "a=b"}
    assert ada.types("keys", "list", "-o", "name").out.splitlines()[0] == key["id"]
    assert key["id"] in done.err


def test_a_key_goes_into_a_new_file_and_its_id_is_printed(ada, tmp_path):
    file = tmp_path / "key.pub"
    done = ada.types("keys", "create", "--out", str(file))
    assert done.code == 0
    assert len(done.out) == len("54506845-8858-40e3-807e-e9cb9a522977\n")
    assert file.read_text().startswith("restrict ssh-ed25519 ")
    assert mode(file) == 0o644
    before = ada.types("keys", "-o", "name").out
    again = ada.types("keys", "create", "--out", str(file))
    assert (again.code, "is there already" in again.err) == (2, True)
    assert ada.types("keys", "-o", "name").out == before, "no key is made that has no place"


def test_a_key_that_cannot_be_made_leaves_no_file(ada, tmp_path):
    file = tmp_path / "key.pub"
    done = ada.types("keys", "create", "--out", str(file), "--algorithm", "rot13")
    assert done.code == 2
    assert not file.exists()
    assert ada.types("keys", "create", "--out", str(tmp_path / "no" / "key")).code == 2
    assert ada.types("keys", "create", "--meta", "nothing").code == 2
    assert ada.types("keys", "create", "--meta", "a=1", "--meta", "a=2").code == 2


def test_keys_are_revoked_by_what_tells_them_apart(ada):
    whole = [json.loads(ada.types("keys", "create", "-o", "json").out)["id"] for _ in range(3)]
    done = ada.types("keys", "revoke", whole[0], whole[1][:8], "nothing", whole[0])
    assert done.code == 4
    assert done.err.splitlines() == [
        "slipway: There is no key 'nothing'.",
        f"Revoked key {whole[0]}.",
        f"Revoked key {whole[1][:8]}.",
    ]
    listed = ada.types("keys", "-o", "name").out.split()
    assert whole[2][:8] in listed
    assert not {whole[0][:8], whole[1][:8]} & {*listed}
    assert ada.types("keys", "revoke", whole[0]).code == 4
    assert ada.types("keys", "revoke", "").code == 4
    assert ada.types("keys", "revoke", whole[2][:6]).code == 0


def test_what_begins_several_keys_revokes_none(ada):
    """With seventeen of them, two begin with the same of sixteen characters."""
    for _ in range(17):
        assert ada.types("keys", "create", "-o", "json").code == 0
    ids = ada.types("keys", "-o", "name").out.split()
    first = next(id_[0] for id_ in ids if sum(other[0] == id_[0] for other in ids) > 1)
    done = ada.types("keys", "revoke", first)
    assert (done.code, "nothing was done" in done.err) == (2, True)
    assert ada.types("keys", "-o", "name").out.split() == ids
    assert ada.types("keys", "revoke", *ids).code == 0
    empty = ada.types("keys")
    assert empty == (0, "", "There are no keys. Make one: slipway keys create\n")


def test_an_api_key_is_shown_once_signs_in_and_is_revoked(ada, accounts, tmp_path):
    file = tmp_path / "nightly.key"
    done = ada.types(
        "api-keys", "create", "nightly", "--scope", "executions:read", "--out", str(file)
    )
    assert done.code == 0
    assert mode(file) == 0o600
    key = file.read_text().strip()
    assert key.startswith("slw_")
    assert key not in done.out + done.err
    assert ada.types("login", accounts.url, "--api-key", "--profile", "k", piped=key).code == 0
    who = ada.types("whoami", "--profile", "k")
    assert "restricted" in who.out
    listed = ada.types("api-keys")
    assert "nightly" in listed.out
    assert "executions:read" in listed.out
    assert ada.types("api-keys", "revoke", key[:8]).code == 0
    refused = ada.types("whoami", "--profile", "k")
    assert (refused.code, "profile k" in refused.err) == (4, True)
    gone = ada.types("logout", "--profile", "k")
    assert "api-keys revoke" in gone.err


def test_a_key_beyond_what_its_owner_may_is_refused(ada):
    done = ada.types("api-keys", "create", "x", "--role", "admin")
    assert (done.code, "roles" in done.err) == (2, True)
    plain = ada.types("api-keys", "create", "plain", "--expires-in", "1h")
    assert plain.out.startswith("slw_")
    assert plain.out.count("\n") == 1
    assert "it is not shown again" in plain.err
    assert ada.types("api-keys", "revoke", plain.out.strip()).code == 0


def test_who_may_nothing_is_told(person, accounts):
    done = person.types("keys", "--url", accounts.url)
    assert (done.code, "slipway login" in done.err) == (4, True)


def test_rubbish_is_refused_in_a_sentence_without_its_control_characters(ada, accounts):
    for words, code in (
        (["login", accounts.url, "-u", "ada:\udcff"], 2),
        (["keys", "revoke", "\x1b[31m"], 4),
        (["api-keys", "create", ""], 2),
        (["api-keys", "create", "x", "--expires-in", "forever"], 2),
        (["profiles", "use", ""], 2),
        (["keys", "-o", "xml"], 2),
    ):
        done = ada.types(*words)
        assert (done.code, done.out) == (code, ""), (words, done)
        lines = done.err.removeprefix("Warning: others on this machine").splitlines()
        assert 1 <= len(lines) <= 3, done.err
        assert "\x1b" not in done.err
        assert "fault of slipway" not in done.err
    assert "See: slipway keys --help" in ada.types("keys", "-o", "xml").err
