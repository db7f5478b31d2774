"""``slipway user``: without a service, before the first start, no password in an argument."""

import os
import pty
import stat

import pytest
from click.testing import CliRunner
from kit.service import clean_environment, run_slipway, slipway

from app.cli.user import command
from app.domain import AuditFilter
from app.identity.basic import is_password
from app.store.audit import AuditLog
from app.store.database import Database
from app.store.users import Users

GOOD = "a good password"


@pytest.fixture
def database(tmp_path):
    made = Database(f"sqlite:///{tmp_path / 'data' / 'slipway.db'}")
    yield made
    made.dispose()


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Return a function that runs the command; it returns the exit status and what was said."""
    for name in os.environ:
        if name.startswith("SLIPWAY_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("app.cli._store.guard_process", lambda: None)  # it is about this process
    config = tmp_path / "slipway.yaml"
    config.write_text(
        "data_dir: data\napi: {auth: {type: basic, users: [{username: conf, password: x}]}}\n"
    )
    config.chmod(0o600)

    def run(name, *arguments, said=""):
        words = [name, "--config", str(config), *arguments]
        result = CliRunner().invoke(command, words, input=said)
        assert not result.exception or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


def test_the_first_admin_is_added_before_the_first_start(call, database, tmp_path):
    assert call("add", "root", "--role", "admin", said=f"{GOOD}\n") == (0, "root: admin\n")
    kept = Users(database).get("root")
    assert is_password(kept.password_hash, GOOD)
    mode = (tmp_path / "data" / "slipway.db").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_users_are_managed(call, database):
    assert call("add", "ada", "--role", "user", "--role", "developer", said=GOOD)[0] == 0
    assert call("add", "sam", "--no-password")[1] == "sam: user (without a password)\n"
    assert call("roles", "ada", "operator")[1] == "ada: operator\n"
    assert call("disable", "ada")[1] == "ada: operator (disabled)\n"
    assert call("enable", "ada")[1] == "ada: operator\n"
    assert call("passwd", "ada", said="another password\r\n")[0] == 0
    assert is_password(Users(database).get("ada").password_hash, "another password")
    assert call("disable", "conf")[1] == "conf: user (disabled, in the settings)\n"
    assert call("list")[1].splitlines() == [
        "ada: operator", "conf: user (disabled, in the settings)", "sam: user (without a password)",
    ]  # fmt: skip
    assert call("remove", "ada") == (0, "ada: removed\n")
    assert "ada" not in call("list")[1]
    assert call("add", "ada", said=GOOD)[0] == 1
    assert call("add", "ada", "--again", said=GOOD) == (0, "ada: user\n")


REFUSED = {
    "short password": (("add", "ada"), "short", "password: must be 8 to 1024"),
    "no password": (("add", "ada"), "", "no password came"),
    "bad name": (("add", "a:b"), GOOD, "username: must be 1 to 100"),
    "reserved": (("add", "me"), GOOD, "username: is reserved"),
    "bad role": (("add", "ada", "--role", "king"), GOOD, "king"),
    "in the settings": (("add", "conf"), GOOD, "in the settings"),
    "password of the settings": (("passwd", "conf"), GOOD, "password: is what the settings say"),
    "roles of the settings": (("roles", "conf", "admin"), "", "roles: is what the settings say"),
    "removed from the settings": (("remove", "conf"), "", "stands in the settings"),
    "unknown": (("roles", "nobody", "user"), "", "no such user"),
    "unknown, password": (("passwd", "nobody"), GOOD, "no such user"),
    "unknown, enabled": (("enable", "nobody"), "", "no such user"),
    "last admin": (("disable", "root"), "", "last admin"),
    "last admin, roles": (("roles", "root", "user"), "", "last admin"),
    "last admin, removed": (("remove", "root"), "", "last admin"),
}


@pytest.mark.parametrize(("arguments", "said", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_said_in_words(call, arguments, said, words):
    call("add", "root", "--role", "admin", said=GOOD)
    before = call("list")
    code, output = call(*arguments, said=said)
    assert code in {1, 2}
    assert words in output
    assert "Traceback" not in output
    assert GOOD not in output
    assert call("list") == before


@pytest.mark.parametrize("change", [("disable",), ("remove",)])
def test_the_last_admin_goes_if_that_is_forced(call, change):
    call("add", "root", "--role", "admin", said=GOOD)
    assert call(*change, "root", "--force")[0] == 0


def test_a_password_is_never_an_argument(call):
    code, _ = call("add", "ada", "--password", GOOD)
    assert code == 2
    assert call("add", "ada", GOOD)[0] == 2
    assert call("passwd", "conf", GOOD)[0] == 2


def test_the_audit_says_who_it_was(call, database):
    call("add", "ada", said=GOOD)
    call("remove", "ada")
    entries, _ = AuditLog(database).page(AuditFilter(), None, 10)
    assert [entry.event.action for entry in entries] == ["users:remove", "users:add"]
    for entry in entries:
        assert entry.event.credential.startswith("command-line:")
        assert GOOD not in repr(entry)


def test_tables_of_another_version_are_not_touched(call, database):
    call("list")
    database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'"))
    code, output = call("list")
    assert code == 2
    assert "slipway migrate" in output


def test_at_a_terminal_it_is_asked_for_twice_and_not_shown(tmp_path):
    pid, terminal = pty.fork()
    if pid == 0:
        words = slipway("user", "add", "ada", "--data-dir", tmp_path / "data")
        os.execve(words[0], words, clean_environment())
    shown = b""
    for prompt in (b"Password: ", b"Repeat for confirmation: "):
        while not shown.endswith(prompt):
            shown += os.read(terminal, 1000)
        os.write(terminal, f"{GOOD}\n".encode())
    while b"ada: user" not in shown:
        shown += os.read(terminal, 1000)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)
    assert GOOD.encode() not in shown


def test_bytes_that_are_no_text_are_no_password(tmp_path):
    result = run_slipway("user", "add", "ada", "--data-dir", tmp_path / "data")
    assert result.returncode == 1
    assert "no password" in result.stderr
