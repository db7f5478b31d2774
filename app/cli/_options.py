"""What several commands share that needs none of the service's code: it is there at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

CONFIG_VARIABLE = "SLIPWAY_CONFIG"
_READ_WHILE_LOADING = frozenset(
    {"GLIBC_TUNABLES", "HOME", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "TZ"}
)
_READ_WHILE_LOADING_PREFIXES = ("GEVENT_", "LC_", "MALLOC_", "OPENSSL_", "PYTHON")


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


def bare_environment() -> dict[str, str]:
    """Return what Python and its libraries read of the environment when they are loaded.

    None of that is a secret: it is for processes that hold none.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name in _READ_WHILE_LOADING or name.startswith(_READ_WHILE_LOADING_PREFIXES)
    }
