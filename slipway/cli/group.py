"""The groups of commands: what was typed is looked up in the table, and only that is imported."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import service
from slipway.cli.options import HELP_NAMES, Connection, before_command, behind_command
from slipway.cli.overview import overview, shown
from slipway.cli.table import Entry, find, members

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class _Words(click.Group):
    """A group whose commands stand in the table."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "COMMAND [ARGUMENTS]")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word, rest = args[0], args[1:]
        command = self._command(ctx, word, rest)
        if command is None and not ctx.resilient_parsing:
            raise _no_such(word, self.list_commands(ctx), ctx)
        return word, command, rest

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._command(ctx, cmd_name, [])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Complete from the table: what click does itself imports every command."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from slipway.cli.completion import starting_with  # noqa: PLC0415  (at TAB only)

        return starting_with(incomplete, self._summaries(ctx))

    def _command(self, ctx: click.Context, word: str, rest: list[str]) -> click.Command | None:
        raise NotImplementedError

    def _summaries(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Return the commands with what they do."""
        raise NotImplementedError


class Root(_Words):
    """The command ``slipway`` itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in shown()]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(overview())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] == "help" and len(args) > 1:
            args = [*args[1:], "--help"]
        return super().resolve_command(ctx, args)

    def _summaries(self, ctx: click.Context) -> list[tuple[str, str]]:
        return [(entry.name, entry.summary) for entry in shown()]

    def _command(self, ctx: click.Context, word: str, rest: list[str]) -> click.Command | None:
        if word == "help":
            return click.Command("help", callback=lambda: click.echo(overview(), nl=False))
        entry = find(word)
        if entry is not None and (entry.service or _is_local(entry, rest)):
            return service.Handover(word)
        return _group_of(word, entry, rest) or (None if entry is None else load(entry))


class _Pair(_Words):
    """A first word that takes a second one; without, it is the list of what it is about."""

    def __init__(self, word: str, followers: dict[str, Entry], alone: Entry | None) -> None:
        super().__init__(
            word, params=behind_command(()), callback=_take_options, no_args_is_help=False,
            context_settings=HELP_NAMES,
        )  # fmt: skip
        self._followers = followers
        self._of_today = _of_today(word, followers)
        self._alone = followers.get("list") or (None if self._of_today else alone)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._of_today or self._once_each()

    def _once_each(self) -> list[str]:
        """Return a word for each command that follows, the longest of its own where it has one."""
        chosen: dict[str, str] = {}
        for word, entry in self._followers.items():
            last = entry.name.partition(" ")[2]
            chosen.setdefault(entry.name, last if last in self._followers else word)
        return [*chosen.values()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        option_first = not args or args[0].startswith("-")
        if (
            self._alone
            and option_first
            and not ctx.resilient_parsing
            and not {*HELP_NAMES["help_option_names"], *self._followers}.intersection(args)
        ):
            args = ["", *args]
        elif not args and not ctx.resilient_parsing:
            raise click.UsageError(f"It needs one of: {', '.join(self.list_commands(ctx))}.", ctx)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        if self._alone is not None:
            formatter.write(f"\n  Alone: {self._alone.summary}\n")
        with formatter.section("Commands"):
            formatter.write_dl(self._summaries(ctx))
        formatter.write("\nExamples:\n")
        for word in self.list_commands(ctx):
            formatter.write(f"  {self._followers[word].examples[0]}\n")

    def _summaries(self, ctx: click.Context) -> list[tuple[str, str]]:
        return [(word, self._followers[word].summary) for word in self.list_commands(ctx)]

    def _command(self, ctx: click.Context, word: str, rest: list[str]) -> click.Command | None:
        entry = self._followers.get(word) if word else self._alone
        return None if entry is None else load(entry)


def _of_today(word: str, followers: dict[str, Entry]) -> list[str]:
    """Return which of the words that may follow one make it a group of today, not of before."""
    return [
        name for name, entry in followers.items() if entry.shown and entry.name == f"{word} {name}"
    ]


def _group_of(word: str, entry: Entry | None, rest: list[str]) -> _Pair | None:
    """Return the group that a first word means; None where it means a command, or nothing."""
    followers = members(word)
    if not followers or _is_one(entry, word, followers, rest):
        return None
    return _Pair(word, followers, entry)


def _is_one(entry: Entry | None, word: str, followers: dict[str, Entry], rest: list[str]) -> bool:
    """Whether a word means a command of its own although words of before may follow it."""
    if entry is None or entry.name != word or (rest and rest[0] in followers):
        return False
    return not _of_today(word, followers)


def root() -> Root:
    """Return the command ``slipway``."""
    return Root(
        "slipway", params=before_command(), callback=_take_options, invoke_without_command=True,
        context_settings=HELP_NAMES,
    )  # fmt: skip


def load(entry: Entry) -> click.Command:
    """Import a command."""
    command = getattr(import_module(entry.module), entry.attribute)
    assert isinstance(command, click.Command)  # noqa: S101  (a convention of this package)
    return command


def command_of(entry: Entry) -> click.Command:
    """Return the command of an entry, a group where that is what its name means."""
    return _group_of(entry.name, entry, []) or load(entry)


def _take_options(**given: Any) -> None:
    """Remember the options that stand before the command."""
    ctx = click.get_current_context()
    earlier = ctx.parent.obj if ctx.parent is not None else Connection()
    ctx.obj = earlier.laid_over(given)
    if ctx.parent is None and ctx.invoked_subcommand is None:
        click.echo(overview(), nl=False)


def _is_local(entry: Entry, rest: list[str]) -> bool:
    """Whether a word of both sides means that of the service here."""
    if not entry.local or not service.installed():
        return False
    return (not rest and "" in entry.local) or any(
        word.partition("=")[0] in entry.local for word in rest
    )


def _no_such(word: str, known: list[str], ctx: click.Context) -> click.UsageError:
    from difflib import get_close_matches  # noqa: PLC0415  (it is needed for mistakes only)

    near = get_close_matches(word, known, n=3, cutoff=0.6)
    question = f" Did you mean {' or '.join(near)}?" if near else ""
    return click.UsageError(f"There is no command '{word}'.{question}", ctx=ctx)
