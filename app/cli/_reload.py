"""SIGHUP: reading the settings again without stopping.

A process whose settings have changed is replaced by one with the new ones, and answers before it
goes what it has begun. Certificates alone are taken up by the process as it is.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NoReturn

import structlog

from app.assembly import read_settings
from app.errors import ConfigError
from app.settings import MASTER_KEY, Settings

log = structlog.get_logger(__name__)


class Reload:
    """Reads the settings of a process again.

    Attributes:
        is_due: They are others by now, so that the process is to be replaced.
        has_faults: They had some the last time.

    Args:
        settings: Those that it has.
        config: The YAML file.
        data_dir: As the command line has it.
        without: Sections that the process does not need.
        check: Checks what the settings name, such as files; raises ConfigError.
    """

    def __init__(
        self,
        settings: Settings,
        config: Path | None,
        data_dir: Path | None,
        *,
        without: Collection[str] = (),
        check: Callable[[Settings], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._config = config
        self._overrides = {"data_dir": str(data_dir.absolute())} if data_dir else {}
        self._without = without
        self._check = check
        self.is_due = False
        self.has_faults = False

    def look(self, stop: Callable[[], None]) -> None:
        """Read the settings, and have the process stopped if they are others by now.

        Every fault is told, and the process goes on with what it has.
        """
        environ = dict(os.environ)
        if self._settings.master_key is not None:
            environ[MASTER_KEY] = self._settings.master_key
        try:
            found = read_settings(self._config, self._overrides, environ, self._without)
            self._check(found)
        except ConfigError as exc:
            faults = [f"{fault.path}: {fault.message}" for fault in exc.fields]
            log.error("the settings have faults, and those of before stay", faults=faults)
            self.has_faults = True
            return
        self.has_faults = False
        self.is_due = found != self._settings
        log.info("settings read again", changed=self.is_due)
        if self.is_due:
            stop()


def run_again(
    module: str,
    config: Path | None,
    data_dir: Path | None,
    settings: Settings,
    descriptors: Mapping[str, int] | None = None,
) -> NoReturn:
    """Become a new process of the same kind, under the same number (execve(2)).

    Args:
        module: What ``python -m`` runs.
        config: The YAML file.
        data_dir: As the command line has it.
        settings: Those that it had; they hold the master key, which left the environment.
        descriptors: Those that it goes on to use, by the options that name them.
    """
    env = dict(os.environ)
    if settings.master_key is not None:
        env[MASTER_KEY] = settings.master_key
    arguments = ["--config", str(config)] if config else []
    arguments += ["--data-dir", str(data_dir)] if data_dir else []
    for option, descriptor in (descriptors or {}).items():
        os.set_inheritable(descriptor, True)
        arguments += [option, str(descriptor)]
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what catches it now does not outlive execve
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *arguments], env)  # noqa: S606
