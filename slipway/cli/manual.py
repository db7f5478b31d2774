"""Pages of the manual, made of the table and of what the commands say of themselves.

They are written with the macros of man(7), and have no date: the same program makes the same page.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from slipway.cli import group
from slipway.cli.codes import MEANINGS
from slipway.cli.options import Connection, SharedOption, before_command
from slipway.cli.table import GROUPS, TABLE, Entry
from slipway.version import __version__

VARIABLES = (
    ("SLIPWAY_URL", "Address of the service."),
    ("SLIPWAY_TOKEN", "Sign in by a token, sent as Authorization: Bearer."),
    ("SLIPWAY_API_KEY", "Sign in by an API key, sent as X-API-Key."),
    ("SLIPWAY_USER, SLIPWAY_PASSWORD", "Sign in by name and password."),
    ("SLIPWAY_PROFILE", "Use a login that is kept."),
    ("HW_API_URL, HW_ACCESS_TOKEN, HW_USER", "The same, by the names of the older client."),
    ("NO_COLOR, FORCE_COLOR", "No colours; colours also where there is no terminal."),
    ("TZ", "The time zone of what is shown, such as UTC."),
    ("REQUESTS_CA_BUNDLE", "File with the certificates of authorities that are trusted."),
)
"""What the command line reads of the environment, options before them, profiles behind."""
_DESCRIBED = [entry for entry in TABLE if entry.shown and not entry.service]
"""Those of the service explain themselves."""


def names() -> list[str]:
    """Return the names of all pages: ``slipway``, and one for each command."""
    return ["slipway", *map(page_name, _DESCRIBED)]


def page_name(entry: Entry) -> str:
    """Return the name of the page of a command, such as ``slipway-keys-create``."""
    return f"slipway-{entry.name.replace(' ', '-')}"


def main_page() -> str:
    """Return the page of ``slipway`` itself."""
    lines = [
        *_head("slipway", "launch workflows on high-performance computers, and watch them"),
        *_synopsis("slipway", ["[OPTIONS]", "COMMAND", "[ARGUMENTS]"]),
    ]
    for name in GROUPS:
        entries = [each for each in TABLE if each.group == name and each.shown_alone]
        lines.append(f".SH {name.upper()}")
        for entry in entries:
            suffix = "" if entry.service else f" See {_bold(page_name(entry))}(1)."
            lines += [".TP", _bold(entry.name), escaped(entry.summary) + suffix]
    lines += [
        ".SH OPTIONS",
        "They stand before the command or behind it.",
        *_options(before_command()),
    ]
    lines += _closing()
    return "\n".join(lines) + "\n"


def page(entry: Entry) -> str:
    """Return the page of a command."""
    command = group.command_of(entry)
    ctx = click.Context(command, info_name=f"slipway {entry.name}", **command.context_settings)
    lines = [
        *_head(page_name(entry), entry.summary.rstrip(".")),
        *_synopsis(f"slipway {entry.name}", command.collect_usage_pieces(ctx)),
        ".SH DESCRIPTION",
        *_paragraphs(command.help or entry.summary),
    ]
    own = [param for param in command.params if not isinstance(param, SharedOption)]
    if any(isinstance(param, click.Option) for param in own):
        lines += [".SH OPTIONS", *_options(own)]
    if len(own) < len(command.params):
        lines += ["Options of all commands are in", ".BR slipway (1)."]
    lines += [".SH EXAMPLES"]
    for example in entry.examples:
        lines += [".PP", ".nf", escaped(example), ".fi"]
    lines += [".SH SEE ALSO", ".BR slipway (1)"]
    return "\n".join(lines) + "\n"


def pages() -> Iterator[tuple[str, str]]:
    """Make all pages, each with its name."""
    yield "slipway", main_page()
    for entry in _DESCRIBED:
        yield page_name(entry), page(entry)


def escaped(text: str) -> str:
    """Return a text as roff has it: no character of it means anything else."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{text}" if text.startswith((".", "\\(aq")) else text


def _head(name: str, summary: str) -> list[str]:
    return [
        f'.TH {name.upper()} 1 "" "slipway {__version__}" "Slipway"',
        ".SH NAME",
        f"{escaped(name)} \\- {escaped(summary[:1].lower() + summary[1:])}",
    ]


def _synopsis(name: str, pieces: list[str]) -> list[str]:
    return [".SH SYNOPSIS", f"{_bold(name)} {escaped(' '.join(pieces))}"]


def _closing() -> list[str]:
    lines = [".SH ENVIRONMENT"]
    for names_, meaning in VARIABLES:
        lines += [".TP", _bold(names_), escaped(meaning)]
    lines.append(".SH EXIT STATUS")
    for code, meaning in MEANINGS.items():
        lines += [".TP", _bold(str(int(code))), escaped(meaning[:1].upper() + meaning[1:] + ".")]
    return lines


def _options(params: list[click.Parameter]) -> list[str]:
    lines = []
    for param in params:
        record = param.get_help_record(_NOWHERE) if isinstance(param, click.Option) else None
        if record is not None:
            lines += [".TP", _bold(record[0]), escaped(record[1])]
    return lines


def _paragraphs(text: str) -> list[str]:
    lines = []
    for paragraph in text.split("\n\n"):
        lines += [".PP", escaped(" ".join(paragraph.replace("\b", "").split()))]
    return lines


def _bold(text: str) -> str:
    return f"\\fB{escaped(text)}\\fR"


_NOWHERE = click.Context(click.Command("slipway"), obj=Connection())
