"""``slipway slave``: run virtual users for a master, on this machine."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path

import click

from app.cli._late_log import LateLog
from app.cli._process import forget_variable, guard_process
from app.cli._signals import catch_stop_signals
from app.cli._slave import SlaveOptions, keep_hangups_from_ending, run_slave
from app.load.machine import CAPABILITIES, VUS_PER_PROCESS, default_processes
from app.load.protocol import SLAVE_ID
from app.load.slave.connection import Master, NotWelcome

KEY_VARIABLE = "SLIPWAY_API_KEY"
"""Environment variable with the key of a slave."""

_TYPES = ("worker", "gateway", "aggregator")
_HIDDEN = "***"
_USAGE_ERROR = 2


@click.group("slave")
def command() -> None:
    """Run virtual users for a master, on any machine that reaches it."""


def _words(_ctx: object, _param: object, text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _pairs(_ctx: object, _param: object, text: str) -> dict[str, str]:
    pairs = {}
    for word in _words(None, None, text):
        name, separator, value = word.partition("=")
        if not name or not separator:
            raise click.BadParameter(f"'{word}' is not of the form name=value")
        pairs[name] = value
    return pairs


def _id(_ctx: object, _param: object, text: str | None) -> str:
    if text is None:
        return f"slave-{secrets.token_hex(4)}"
    if not SLAVE_ID.fullmatch(text):
        raise click.BadParameter("must be 1 to 100 letters, digits, or some of ._~-")
    return text


@command.command("start")
@click.option(
    "--master", "url", default="http://localhost:8080", envvar="SLIPWAY_MASTER", show_default=True,
    help="Address of the service, such as https://gateway.example (SLIPWAY_MASTER).",
)  # fmt: skip
@click.option(
    "--id", "id_", callback=_id, help="Its name, which it should keep; one by chance by default."
)
@click.option(
    "--labels", default="", callback=_pairs, metavar="K=V,...", help="What it can be chosen by."
)
@click.option(
    "--capabilities", default=",".join(CAPABILITIES), callback=_words, show_default=True,
    help="What it can do.",
)  # fmt: skip
@click.option(
    "--max-vus", type=click.IntRange(1, 1_000_000),
    help=f"Most virtual users at a time; {VUS_PER_PROCESS} for each process by default.",
)  # fmt: skip
@click.option(
    "--processes", type=click.IntRange(1, 1024),
    help="Worker processes, each of which uses one core; one less than there are by default.",
)  # fmt: skip
@click.option(
    "--api-key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds its API key.",
)  # fmt: skip
@click.option(
    "--api-key", envvar=KEY_VARIABLE,
    help=f"The key itself; a file or the variable {KEY_VARIABLE} keep it from histories.",
)  # fmt: skip
@click.option("--type", "type_", type=click.Choice(_TYPES), default="worker", help="To be shown.")
@click.option("--address", help="To be shown; the name of the machine by default.")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False),
    help="Certificates that are trusted, instead of those of the system.",
)  # fmt: skip
@click.option("--no-verify", is_flag=True, help="Trust whatever certificate the master shows.")
def start(  # noqa: PLR0917  (click passes its options by name)
    url: str,
    id_: str,
    labels: dict[str, str],
    capabilities: tuple[str, ...],
    max_vus: int | None,
    processes: int | None,
    api_key_file: Path | None,
    api_key: str | None,
    type_: str,
    address: str | None,
    ca: str | None,
    no_verify: bool,
) -> None:
    """Join a master, and run the virtual users that it gives this slave.

    SIGTERM or Ctrl-C: what runs may end, then it leaves; once more, and it ends at once.
    """
    guard_process()
    signals = catch_stop_signals()
    keep_hangups_from_ending()
    _hide(api_key)
    number = processes or default_processes()
    options = SlaveOptions(
        id_, type_, address or socket.gethostname(), number, max_vus or number * VUS_PER_PROCESS,
        labels, capabilities,
    )  # fmt: skip
    master = _master(url, _key(api_key_file, api_key), ca, verify=not no_verify)
    joined = []

    def announce() -> None:
        joined.append(True)
        click.echo(f"Slave {id_} has joined {master.url} ({number} processes)")

    try:
        run_slave(options, master, signals, LateLog("slave"), announce)
    except NotWelcome as exc:
        click.echo(f"slipway: {exc}", err=True)
        sys.exit(1 if joined else _USAGE_ERROR)


def _master(url: str, key: str | None, ca: str | None, *, verify: bool) -> Master:
    try:
        return Master.at(url, key=key, ca=ca, verify=verify)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--master") from None


def _key(file: Path | None, key: str | None) -> str | None:
    if file is not None:
        key = file.read_text(encoding="utf-8")
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise click.BadParameter("is no API key", param_hint="--api-key")
    return key or None


def _hide(key: str | None) -> None:
    """Take the key out of what others see of this process, and of what its own processes get."""
    forget_variable(KEY_VARIABLE)
    if not key or not any(key in word for word in sys.orig_argv):
        return
    shown = [word.replace(key, _HIDDEN) for word in sys.orig_argv]
    from app.engine.launchers.shim.title import Title  # noqa: PLC0415  (hardly ever needed)

    try:
        title = Title()
    except OSError:  # the kernel does not tell where that is
        return
    title.set(b"\0".join(map(os.fsencode, shown))[: title.size - 2] + b"\0")
