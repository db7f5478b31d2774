"""What ``slipway serve`` checks and prepares before it becomes a supervisor."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from app.assembly import check_secrets
from app.cli._limits import (
    tell_shares,
    warn_of_any_host,
    warn_of_no_users,
    warn_of_no_workflows,
)
from app.cli._listener import listen, ports_of, sockets_of
from app.cli._local_slave import LocalSlavePlan
from app.cli._private import keep_private
from app.cli._run_as import check_run_as
from app.cli._settings import (
    CONDUCTOR_ALONE,
    WEB_ALONE,
    check_all,
    environment,
    explain,
    settings_or_exit,
)
from app.cli._shared_figures import FIGURES_VARIABLE, figures_folder
from app.cli._supervise import Begun, ChildPlan, Plan, become_supervisor
from app.cli._templates import template_plans
from app.cli._tls import check_tls, warn_of_clear_text
from app.cli.init import write_workflows
from app.errors import ConfigError, SlipwayError, StoreUnavailable
from app.files import make_private_folder
from app.observability import configure_logging
from app.settings import Settings
from app.store import migrate
from app.store.database import Database

_STOP_SECONDS = 4.7
"""How long the conductor may take to stop."""
_STOP_MARGIN_SECONDS = 0.7
"""What a web process may take beyond the time that it has for its readers."""


def serve(config: Path | None, overrides: dict[str, Any], template: Begun | None) -> NoReturn:
    """Prepare the service, and become its supervisor; or say why not, and exit.

    Args:
        config: YAML file.
        overrides: Settings by dotted path; those that are None are left out.
        template: The one that is begun already.
    """
    settings = settings_or_exit(config, overrides)
    configure_logging(settings.observability.log_level, settings.observability.log_format)
    try:
        check_all(
            lambda: keep_private(settings, config),
            lambda: check_run_as(settings, config),
            lambda: check_tls(settings.api.tls),
        )
        if config is None and overrides.get("data_dir") is None:
            give_examples(settings)
        database = Database(settings.database_url)
        check_secrets(settings, database)
        migrate.upgrade(database)
        warn_of_no_users(settings, database)
        warn_of_no_workflows(settings, database)
        listeners = _listeners(settings)
    except ConfigError as exc:
        explain(exc)
        sys.exit(2)
    except StoreUnavailable as exc:
        click.echo(f"slipway: cannot start: {exc.message} ({exc.detail})", err=True)
        sys.exit(1)
    except (OSError, SlipwayError) as exc:
        click.echo(f"slipway: cannot start on {_addresses(settings)}: {exc}", err=True)
        sys.exit(1)
    if settings.api.enabled:
        warn_of_any_host(settings)
        warn_of_clear_text(settings)
        tell_shares(settings, settings.web_processes)
    make_private_folder(settings.workflows_dir)
    stop_seconds = max(_STOP_SECONDS, settings.web.shutdown_timeout + _STOP_MARGIN_SECONDS)
    address = None
    if listeners:
        address = listeners[0][0].getsockname()[:2]
        ports = [listener.getsockname()[1] for listener in listeners[0]]
        overrides |= dict(zip(("api.port", "api.wattle.port"), ports, strict=False))
    figures = figures_folder(settings)
    become_supervisor(
        Plan(
            _children(config, overrides, settings, listeners, template, figures=figures),
            address,
            settings.api.tls.enabled,
            stop_seconds,
            str(settings.data_dir),
            (settings.observability.log_level, settings.observability.log_format),
            None if figures is None else str(figures),
        )
    )


def give_examples(settings: Settings) -> None:
    """Write the example workflows where the service begins in the folder that it chose itself.

    They are written once: who removes them does not get them again.
    """
    folder = settings.data_dir / "workflows"
    if "SLIPWAY_DATA_DIR" not in os.environ and settings.workflows_dir == folder:
        with suppress(FileExistsError):
            make_private_folder(settings.data_dir)
            folder.mkdir(mode=0o700)
            write_workflows(folder)


def _listeners(settings: Settings) -> list[list[socket.socket]]:
    """Open the listening sockets of each web process; none where the API is not served."""
    if not settings.api.enabled:
        return []
    processes = settings.web_processes
    if processes > 1:  # a port that is shared would be shared with another service, too
        for each in sockets_of(settings, shared=False):
            each.close()
    first = sockets_of(settings, shared=processes > 1)
    ports = [listener.getsockname()[1] for listener in first]
    others = (
        [listen(settings.api.host, port, shared=True) for port in ports]
        for _ in range(processes - 1)
    )
    return [first, *others]


def _addresses(settings: Settings) -> str:
    return " and ".join(f"{settings.api.host}:{port}" for port in ports_of(settings))


def _children(
    config: Path | None,
    overrides: Mapping[str, Any],
    settings: Settings,
    listeners: list[list[socket.socket]],
    template: Begun | None,
    *,
    figures: Path | None,
) -> list[ChildPlan]:
    templates = template_plans(template)
    overrides = {**overrides, "data_dir": settings.data_dir}
    slave = LocalSlavePlan.of(settings, listeners[0][0]) if listeners else None
    env = environment(config, overrides, WEB_ALONE)
    conductor = ChildPlan(
        "conductor", "app.cli.conductor", settings.conductor.silence_timeout, env,
        secret=settings.master_key, template=templates[0].name,
        options=slave.for_conductor() if slave else {},
    )  # fmt: skip
    env = environment(config, overrides, CONDUCTOR_ALONE)
    if figures is not None:
        env[FIGURES_VARIABLE] = str(figures)
    return [
        *templates,
        conductor,
        *([slave.child()] if slave else ()),
        *(
            ChildPlan(
                f"web-{number}", "app.cli.web_process", settings.web.silence_timeout, env,
                [listener.fileno() for listener in sockets], settings.master_key,
                template=templates[1].name, options=slave.for_web() if slave else {},
            )
            for number, sockets in enumerate(listeners, start=1)
        ),
    ]  # fmt: skip
