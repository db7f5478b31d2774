"""What a process does not use while nothing is asked of it, it does not import.

Each module here takes megabytes of every process that imports it, and time at each start.
"""

import subprocess
import sys

import pytest

OF_NOBODY = {
    "alembic",  # the tables are up to date
    "cryptography",  # there are no keys
    "hvac",  # they are not in Vault
    "jsonschema_rs",  # nothing is checked
    "paramiko",
    "psycopg",  # the store is SQLite
    "requests",  # there is no upstream
    "app.clients.alien4cloud",
    "app.engine.http_exchange",
    "app.store._postgresql",
}
OF_WEB_PROCESSES = {
    "apispec", "argon2", "flask", "flask_smorest", "gevent", "orjson", "prometheus_client",
    "webargs", "werkzeug", "app.factory", "app.resources",
}  # fmt: skip

OF_ALL_BUT_THE_SUPERVISOR = {
    "jinja2", "marshmallow", "sqlalchemy", "sqlite3", "yaml", "app.assembly",
    "app.conductor", "app.engine", "app.services", "app.settings", "app.store",
}  # fmt: skip

FORBIDDEN = {
    "app.cli._serving": OF_NOBODY | OF_WEB_PROCESSES,
    "app.cli.conductor": OF_NOBODY | OF_WEB_PROCESSES,
    "app.cli.web_process": OF_NOBODY,
}

BUILT = {
    "app.cli._serving": "settings_or_exit(None, {'data_dir': folder})",
    "app.cli.conductor": "create_conductor(settings_or_exit(None, {'data_dir': folder}))",
    "app.cli.web_process": "create_web(settings_or_exit(None, {'data_dir': folder}))",
}
"""What each makes on the defaults."""


@pytest.mark.parametrize("module", FORBIDDEN)
def test_a_process_on_the_defaults_imports_nothing_large_that_it_does_not_use(module, tmp_path):
    upgrade = "migrate.upgrade(Database(f'sqlite:///{folder}/slipway.db'))"
    prepare = f"from app.store import migrate\nfrom app.store.database import Database\n{upgrade}"
    run(tmp_path, prepare)
    program = (
        f"import {module} as process\nglobals().update(vars(process))\n"
        f"{BUILT[module]}\n"
        "from app.store import migrate\nfrom app.store.database import Database\n"
        "migrate.check(Database(f'sqlite:///{folder}/slipway.db'))\n"
        "import sys\nprint(*sys.modules)"
    )
    imported = set(run(tmp_path, program).split())
    assert "app.settings" in imported, "it was really built"
    assert imported & FORBIDDEN[module] == set()


def run(folder, program):
    done = subprocess.run(
        [sys.executable, "-c", f"folder = {str(folder)!r}\n{program}"],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["app.cli._supervise", "app.cli.serve"])
def test_who_waits_for_other_processes_imports_nothing_of_what_they_do(module, tmp_path):
    """The supervisor is to stay small; and a template is begun before anything else is loaded."""
    imported = set(run(tmp_path, f"import {module}, sys\nprint(*sys.modules)").split())
    assert "app.cli._supervisor" in imported
    assert imported & (OF_NOBODY | OF_WEB_PROCESSES | OF_ALL_BUT_THE_SUPERVISOR) == set()


@pytest.mark.parametrize("module", ["app.cli.slave", "app.cli.local_slave"])
def test_a_slave_imports_nothing_of_the_service_nor_of_its_own_processes(tmp_path, module):
    imported = set(run(tmp_path, f"import {module}, sys\nprint(*sys.modules)").split())
    needed = {"orjson"}
    assert "app.load.slave.slave" in imported
    assert imported & (OF_NOBODY | OF_WEB_PROCESSES | OF_ALL_BUT_THE_SUPERVISOR) <= needed
    assert not {each for each in imported if each.startswith(("app.clients", "app.store", "app.i"))}
    assert imported.isdisjoint({"structlog", "ssl"})
