"""Options that several commands share, and how their settings reach child processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from app.errors import ConfigError
from app.factory import read_settings
from app.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

CONFIG_VARIABLE = "SLIPWAY_CONFIG"


def config_option(function: F) -> F:
    """Add ``--config`` and ``--data-dir``."""
    function = click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of all that the service keeps (SLIPWAY_DATA_DIR).",
    )(function)
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar=CONFIG_VARIABLE,
        help="YAML file with the settings (SLIPWAY_CONFIG).",
    )(function)


def settings_or_exit(config: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Load the settings, or say every fault and exit with status 2.

    Args:
        config: YAML file.
        overrides: Leaves by dotted path; those that are None are left out.
    """
    given = {path: _plain(value) for path, value in overrides.items() if value is not None}
    try:
        return read_settings(config, given)
    except ConfigError as exc:
        explain(exc)
        sys.exit(2)


def explain(error: ConfigError) -> None:
    """Print a fault of the configuration in words."""
    click.echo(f"slipway: {error.message}", err=True)
    for fault in error.fields:
        click.echo(f"  {fault.path}: {fault.message}", err=True)


def environment(config: Path | None, overrides: Mapping[str, Any]) -> dict[str, str]:
    """Make the environment in which a child loads the same settings."""
    env = dict(os.environ)
    env.pop("NOTIFY_SOCKET", None)  # systemd hears of the supervisor alone
    if config is not None:
        env[CONFIG_VARIABLE] = str(config.absolute())
    for path, value in overrides.items():
        if value is not None:
            env["SLIPWAY_" + path.upper().replace(".", "__")] = _plain(value)
    return env


def _plain(value: Any) -> str:
    """Write a value as the environment would hold it; paths are relative to the caller."""
    return str(value.absolute() if isinstance(value, Path) else value)
