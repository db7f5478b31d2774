"""The options that all commands share, and how a command of the table is made of a function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from slipway.cli.table import BY_NAME, Entry
from slipway.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FORMATS = ("table", "wide", "name", "json", "yaml")
HELP_NAMES: Final = {"help_option_names": ["-h", "--help"]}
"""Of the context of every command: click remembers in a command what the first context had."""
_LIVE: Final = "slipway.cli.live_words"
_COMPLETED: Final = {
    "execution": "executions", "executions": "executions", "workflow": "workflows",
    "pairs": "inputs", "step": "steps", "profile": "profiles",
    "show name": "workflows", "delete names": "workflows",
    "profiles use name": "profiles", "profiles remove names": "profiles",
}  # fmt: skip
"""Parameters, by their names or with the command's before, and what of
:mod:`slipway.cli.live_words` completes them."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What was asked for by the options that all commands share; None where nothing was.

    Attributes:
        profile: Name of the login that is kept.
        url: Address of the service.
        user: ``USER`` or ``USER:PASSWORD``.
        token: For ``Authorization: Bearer``.
        debug: Whether requests and traces are shown.
        output: One of :data:`FORMATS`.
        query: JMESPath expression.
    """

    profile: str | None = None
    url: str | None = None
    user: str | None = None
    token: str | None = None
    debug: bool = False
    output: str | None = None
    query: str | None = None

    def laid_over(self, given: Mapping[str, Any]) -> Connection:
        """Return this with what was given later, which wins."""
        names = {field.name for field in fields(self)}
        later = {k: v for k, v in given.items() if k in names and v is not None and v is not False}
        return replace(self, **later)


class _Format(click.Choice[str]):
    """A format of the output; what ``waas`` calls text is a table."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert("table" if value == "text" else value, param, ctx)


class SharedOption(click.Option):
    """One that all commands have; their help shows it last, without the older client's name."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return None if record is None else (record[0].replace(", --api_url", ""), record[1])


def _shared() -> list[SharedOption]:
    return [
        SharedOption(["--profile"], metavar="NAME", help="Use a login that is kept."),
        SharedOption(
            ["--url", "--api-url", "--api_url", "url"], metavar="URL",
            help="Address of the service.",
        ),
        SharedOption(
            ["-u", "--user"], metavar="USER[:PASSWORD]", help="Sign in so, this time only.",
        ),
        SharedOption(
            ["-o", "--output"], metavar="FORMAT", type=_Format(FORMATS),
            help="table, wide, name, json or yaml.",
        ),
        SharedOption(["--query"], metavar="JMESPATH", help="Print a part of the JSON only."),
        SharedOption(["--debug"], is_flag=True, help="Show requests, and traces of errors."),
    ]  # fmt: skip


def before_command() -> list[click.Parameter]:
    """Return the options that may stand before a command."""
    token = click.Option(
        ["-t", "--token", "--access_token", "token"],
        metavar="TOKEN",
        help="Sign in by a token (before the command).",
    )
    shared = _shared()
    version = click.Option(
        ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
        help="Print the version of this program.",
    )  # fmt: skip
    return [*shared[:3], token, *shared[3:], version]


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"slipway, version {__version__}")
        ctx.exit()


def behind_command(own: Iterable[click.Parameter]) -> list[click.Parameter]:
    """Return the options that may stand behind a command, but for those that it has itself."""
    taken = {name for param in own for name in param.opts}
    return [option for option in _shared() if taken.isdisjoint(option.opts)]


class TableCommand(click.Command):
    """A command of the table: its help shows two examples, and its own options first.

    Attributes:
        entry: What the table says of it.
        shared: Names of the parameters that all commands have.
    """

    entry: Entry
    shared: frozenset[str]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        formatter.write("\nExamples:\n")
        for example in self.entry.examples:
            formatter.write(f"  {example}\n")
        self.format_options(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and record[1]:
                (shared if isinstance(param, SharedOption) else own).append(record)
        for title, records in (("Options", own), ("Options of all commands", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def command(name: str, **settings: Any) -> Callable[[Callable[..., int | None]], TableCommand]:
    """Make the command of a table entry of a function.

    The function gets a :class:`slipway.cli.shell.Shell` first, and its own options by name. It
    returns what the process ends with; None is success. Its docstring is the text of the help.

    Args:
        name: Of the entry.
        settings: Further ones of :class:`click.Command`, such as ``context_settings``.
    """
    entry = BY_NAME[name]

    def make(function: Callable[..., int | None]) -> TableCommand:
        @functools.wraps(function)
        def run(**given: Any) -> int | None:
            from slipway.cli.shell import Shell  # noqa: PLC0415  (help needs none)

            shared = {name: given.pop(name) for name in made.shared}
            earlier = click.get_current_context().obj or Connection()
            with Shell(earlier.laid_over(shared)) as shell:
                return function(shell, **given)

        settings["context_settings"] = HELP_NAMES | settings.get("context_settings", {})
        made = click.command(entry.name.rpartition(" ")[2], cls=TableCommand, **settings)(run)
        made.entry = entry
        made.help = made.help or entry.summary
        shared = behind_command(made.params)
        made.shared = frozenset(option.name for option in shared if option.name)
        made.params += shared
        for param in made.params:
            _complete(entry, param)
        return made

    return make


def _complete(entry: Entry, param: click.Parameter) -> None:
    """Let the service complete a parameter at TAB; what asks it is imported only then."""
    words = _COMPLETED.get(f"{entry.name} {param.name}") or _COMPLETED.get(param.name or "")
    if words is None:
        return

    def complete(ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        offered: list[CompletionItem[str]] = getattr(import_module(_LIVE), words)(ctx, incomplete)
        return offered

    param.shell_complete = complete  # type: ignore[method-assign]
