"""Which launchers there are: dotted names, imported only when one is configured."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from app.engine.launchers.base import Launcher
from app.engine.launchers.run_as import Account, RunAsLauncher
from app.errors import ConfigError, FieldError

LAUNCHERS = {"local": "app.engine.launchers.local:LocalLauncher"}


def create_launcher(type_: str, data_dir: Path, account: Account | None = None) -> Launcher:
    """Build a launcher.

    Args:
        type_: A name from the table, or ``package.module:Class``.
        data_dir: The service's folder, for whatever the launcher keeps.
        account: The user of the commands; None if it is the service's own.

    Raises:
        ConfigError: There is no such launcher, or it cannot run commands as another user.
    """
    module_name, _, class_name = LAUNCHERS.get(type_, type_).partition(":")
    try:
        launcher = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as exc:
        known = ", ".join(sorted(LAUNCHERS))
        fault = FieldError("orchestrators[].launcher", f"'{type_}' is none of {known}")
        raise ConfigError("There is no such launcher.", fields=(fault,)) from exc
    if account is not None:
        if type_ != "local":
            fault = FieldError("engine.run_as", f"launcher '{type_}' runs nothing as another user")
            raise ConfigError("Commands cannot run as another user.", fields=(fault,))
        return RunAsLauncher(account)
    built: Launcher = launcher.create(data_dir)
    return built
