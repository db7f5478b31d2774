"""The settings of a command, and how they reach child processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from app.assembly import read_settings
from app.cli._options import CONFIG_VARIABLE
from app.cli._process import forget_variable
from app.errors import ConfigError, FieldError, StoreUnavailable
from app.settings import MASTER_KEY, Settings
from app.settings.source import is_left_out, unneeded_variables

WEB_ALONE = (
    "api", "master_key", "ssh_keys.vault.role_id", "ssh_keys.vault.secret_id",
    "ssh_keys.vault.token",
)  # fmt: skip
"""Settings with the secrets of users, and those that write private keys, which no other process
than a web process needs."""
CONDUCTOR_ALONE = ("ssh_keys.vault.reader",)
"""Settings that let private keys be read, which no other process than a conductor needs."""


def settings_or_exit(
    config: Path | None,
    overrides: Mapping[str, Any],
    *,
    without: Collection[str] = (),
    master_key: str | None = None,
) -> Settings:
    """Load the settings, or print every fault and exit with status 2.

    The master key leaves the environment, where the process's own commands could read it.

    Args:
        config: YAML file.
        overrides: Leaves by dotted path; those that are None are left out.
        without: Dotted paths of settings, or of sections, that are not needed.
        master_key: Where it is handed over in another way.
    """
    given = {path: _plain(value) for path, value in overrides.items() if value is not None}
    environ = dict(os.environ)
    if master_key is not None:
        environ[MASTER_KEY] = master_key
    forget_variable(MASTER_KEY)
    try:
        return read_settings(config, given, environ, without)
    except ConfigError as exc:
        explain(exc)
        sys.exit(2)


@contextmanager
def start_or_exit() -> Iterator[None]:
    """Say in a sentence why a process cannot start or go on, and exit.

    The status is 2 where the settings are at fault, so that it is of no use to try again, and 1
    where it may pass.
    """
    try:
        yield
    except ConfigError as exc:
        explain(exc)
        sys.exit(2)
    except StoreUnavailable as exc:
        click.echo(f"slipway: {exc.message} ({exc.detail})", err=True)
        sys.exit(1)


def check_all(*checks: Callable[[], None]) -> None:
    """Make several checks of the settings, and tell the faults of all of them at once.

    Raises:
        ConfigError: With every fault in ``fields``.
    """
    errors: list[ConfigError] = []
    for check in checks:
        try:
            check()
        except ConfigError as exc:
            errors.append(exc)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        faults = [fault for exc in errors for fault in exc.fields or [FieldError("-", exc.message)]]
        raise ConfigError(f"The settings have {len(faults)} fault(s).", fields=tuple(faults))


def explain(error: ConfigError) -> None:
    """Print a fault of the configuration in words."""
    click.echo(f"slipway: {error.message}", err=True)
    for fault in error.fields:
        click.echo(f"  {fault.path}: {fault.message}", err=True)


def environment(
    config: Path | None, overrides: Mapping[str, Any], without: Collection[str] = ()
) -> dict[str, str]:
    """Make the environment in which a child loads the same settings.

    Args:
        config: YAML file.
        overrides: Leaves by dotted path.
        without: Dotted paths of settings, or of sections, that it does not need; nor does it get
            what they alone need.
    """
    unneeded = unneeded_variables(config, os.environ, without)
    env = {name: value for name, value in os.environ.items() if name not in unneeded}
    env.pop("NOTIFY_SOCKET", None)  # systemd hears of the supervisor alone
    if config is not None:
        env[CONFIG_VARIABLE] = str(config.absolute())
    for path, value in overrides.items():
        if value is not None and not is_left_out(path, without):
            env["SLIPWAY_" + path.upper().replace(".", "__")] = _plain(value)
    return env


def _plain(value: Any) -> str:
    """Write a value as the environment would hold it; paths are relative to the caller."""
    return str(value.absolute() if isinstance(value, Path) else value)
