"""The help of ``slipway`` itself, made of the table by hand, so that it is there at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from slipway.cli import service
from slipway.cli.codes import MEANINGS
from slipway.cli.options import before_command
from slipway.cli.table import GROUPS, INSTALL, TABLE, Entry
from slipway.cli.terminal import terminal_width

_NARROW = 80
"""Columns that the lines take."""
_WIDTH = 16
"""Of the column of names."""


def shown() -> list[Entry]:
    """Return what the help lists: the commands of the service only where it is installed."""
    installed = service.installed()
    return [entry for entry in TABLE if entry.shown_alone and (installed or not entry.service)]


def overview() -> str:
    """Return the help of ``slipway`` itself."""
    entries = shown()
    lines = [
        "Usage: slipway [OPTIONS] COMMAND [ARGUMENTS]",
        "",
        "Launch workflows on high-performance computers, and watch them.",
    ]
    for group in GROUPS:
        lines += ["", f"{group}:"]
        lines += [
            f"  {entry.name:<{_WIDTH}}  {entry.summary}"
            for entry in entries
            if entry.group == group
        ]
    if not service.installed():
        lines.append(f"  To run a service here, too: {INSTALL}")
    lines += ["", "Options, before or behind the command:", *_option_lines(before_command())]
    codes = "; ".join(f"{code:d} {meaning}" for code, meaning in MEANINGS.items())
    lines += ["", "Exit codes:", *_wrapped(codes)]
    lines += [
        "",
        "First steps:",
        "  slipway login https://slipway.example.org",
        "  slipway run diamond -i n=3000000 -f",
        "",
        "'slipway COMMAND --help' explains a command.",
    ]
    width = terminal_width(sys.stdout)
    if width is not None and width < _NARROW:
        lines = [part for line in lines for part in _folded(line, width)]
    return "\n".join(lines) + "\n"


def _folded(line: str, width: int) -> list[str]:
    """Return a line of the help as several, for a terminal that is too narrow for it."""
    from textwrap import wrap  # noqa: PLC0415  (most terminals are wider)

    indent = " " * (len(line) - len(line.lstrip())) * 3
    return wrap(line, max(width, 20), subsequent_indent=indent) or [""]


def _option_lines(params: Iterable[click.Parameter]) -> list[str]:
    lines = []
    for param in params:
        assert isinstance(param, click.Option)  # noqa: S101  (there are no others)
        names = ", ".join(name for name in param.opts if "_" not in name)
        metavar = "" if param.is_flag else f" {param.metavar}"
        lines.append(f"  {names + metavar:<28}  {param.help}")
    return lines


def _wrapped(text: str) -> list[str]:
    lines, line = [], " "
    for part in text.split("; "):
        if len(line) + len(part) > 76:
            lines.append(line)
            line = " "
        line += f" {part};"
    return [*lines, line.rstrip(";")]
