"""Commands that do one small thing, in the hands of scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from kit.service import run_slipway
from kit.thrift import make_tables
from structlog.testing import capture_logs

from app.cli._limits import warn_of_no_workflows
from app.cli._serving import give_examples
from app.cli._settings import check_all
from app.cli.hash_password import command as hash_password
from app.errors import ConfigError, FieldError
from app.identity.basic import is_password
from app.store.database import Database


@pytest.mark.parametrize(
    "typed", ["a long password\n", "a long password", "a long password\r\nx\n"]
)
def test_one_line_of_a_pipe_is_one_hash(typed: str) -> None:
    done = CliRunner().invoke(hash_password, input=typed)
    [hashed] = done.stdout.splitlines()
    assert (done.exit_code, done.stderr) == (0, "")
    assert is_password(hashed, "a long password")


@pytest.mark.parametrize("typed", ["", "\n", "\r\n"])
def test_an_empty_password_is_refused(typed: str) -> None:
    done = CliRunner().invoke(hash_password, input=typed)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "password" in done.stderr
    assert CliRunner().invoke(hash_password, ["--password", ""]).exit_code == 1


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run_slipway("init", tmp_path / "file" / "tour")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"slipway: {tmp_path}/file/tour cannot be written: File exists"
    ]


def test_who_has_no_workflows_is_told_how_to_get_some(make_settings) -> None:
    settings = make_settings()
    make_tables(settings.database_url)
    database = Database(settings.database_url)
    with capture_logs() as logs:
        warn_of_no_workflows(settings, database)
    assert ["slipway init" in entry["remedy"] for entry in logs] == [True]
    settings.workflows_dir.mkdir(parents=True)
    (settings.workflows_dir / "flow.yaml").touch()
    with capture_logs() as logs:
        warn_of_no_workflows(settings, database)
    assert logs == []
    database.dispose()


def test_a_service_begins_with_examples_in_a_folder_that_nobody_chose(
    make_settings, monkeypatch
) -> None:
    monkeypatch.delenv("SLIPWAY_DATA_DIR", raising=False)
    settings = make_settings()
    give_examples(settings)
    names = {path.name for path in settings.workflows_dir.iterdir()}
    assert {"diamond.yaml", "hello.yaml"} <= names
    (settings.workflows_dir / "hello.yaml").unlink()
    give_examples(settings)
    assert not (settings.workflows_dir / "hello.yaml").exists()


def test_a_folder_that_somebody_chose_stays_as_it_is(make_settings, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SLIPWAY_DATA_DIR", str(tmp_path))
    settings = make_settings()
    give_examples(settings)
    assert not settings.workflows_dir.exists()


def fail(*faults: str) -> None:
    raise ConfigError("It is wrong.", fields=tuple(FieldError(each, "x") for each in faults))


def test_the_faults_of_several_checks_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match="2 fault") as caught:
        check_all(lambda: fail("a"), lambda: None, lambda: fail("b"))
    assert [each.path for each in caught.value.fields] == ["a", "b"]
    with pytest.raises(ConfigError, match="It is wrong"):
        check_all(lambda: fail("a"), lambda: None)
    check_all(lambda: None)
