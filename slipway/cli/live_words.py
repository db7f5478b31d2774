"""Words for completion that the service knows: workflows, their inputs, executions, their steps.

They come within a second or not at all, in silence, and are kept for half a minute.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click
from click.shell_completion import CompletionItem

from slipway.cli.completion import starting_with
from slipway.cli.options import Connection
from slipway.private_files import write_private

if TYPE_CHECKING:
    from slipway.cli.shell import Shell

Words = list[tuple[str, str]]
"""Each with what is told about it."""

_ANSWER_SECONDS: Final = 1.0
"""For which a shell waits at TAB."""
_KEPT_SECONDS: Final = 30.0
"""For which an answer is good."""
_MOST: Final = 50
"""Of the newest executions."""
_SHORT: Final = 8
"""Characters of an id that are shown."""


def workflows(ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the id of a workflow."""
    return _offered(ctx, incomplete, "/workflows", _of_workflows)


def executions(ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
    """Complete an execution: its id, ``@latest``, or ``@latest:`` and a workflow."""
    if incomplete.startswith("@latest:"):
        names = workflows(ctx, incomplete.removeprefix("@latest:"))
        return [CompletionItem(f"@latest:{item.value}", help=item.help) for item in names]
    short = starting_with(incomplete, [("@latest", "the newest of yours")])
    # An id that is typed in full is found whatever list shows its beginning only.
    path = f"/executions?page_size={_MOST}"
    return short + _offered(ctx, incomplete, path, _of_executions)


def inputs(ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
    """Complete ``key=`` of the workflow that the command names before."""
    name = _named(ctx)
    if name is None or "=" in incomplete:
        return []
    return _offered(ctx, incomplete, f"/workflows/{quote(name, safe='')}", _of_inputs)


def steps(ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
    """Complete a step of the execution that the command names before, by its whole id."""
    execution = _named(ctx)
    if execution is None:
        return []
    return _offered(ctx, incomplete, f"/executions/{quote(execution, safe='')}", _of_steps)


def profiles(_ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the name of a profile."""
    from slipway.cli.profiles import read_profiles  # noqa: PLC0415  (at TAB only)

    kept = read_profiles().kept
    return starting_with(incomplete, [(name, profile.url) for name, profile in kept.items()])


def _named(ctx: click.Context) -> str | None:
    """Return the first argument of a command: the workflow or the execution that it is about."""
    found = [ctx.params.get(param.name or "") for param in ctx.command.params
             if isinstance(param, click.Argument)]  # fmt: skip
    # Behind an option whose value is typed just now, click has not told them apart.
    first = next((each for each in [*found[:1], *ctx.args[:1]] if each), None)
    return first if isinstance(first, str) else None


def _of_workflows(answer: Any) -> Words:
    return [(each["id"], each.get("description") or "") for each in answer["workflows"]]


def _of_executions(answer: Any) -> Words:
    return [
        (each["id"][:_SHORT], f"{each['workflow']} {each.get('state') or each['status']}")
        for each in answer["executions"]
    ]


def _of_inputs(answer: Any) -> Words:
    return [(f"{each['name']}=", each.get("description") or "") for each in answer["inputs"]]


def _of_steps(answer: Any) -> Words:
    return [(each["name"], each.get("status") or "") for each in answer["tasks"]]


def _offered(
    ctx: click.Context, incomplete: str, path: str, read: Callable[[Any], Words]
) -> list[CompletionItem[str]]:
    from slipway.cli.shell import Shell  # noqa: PLC0415  (at TAB only)

    shell = Shell(_asked(ctx))
    shell.interactive = False
    return starting_with(incomplete, _words(shell, path, read))


def _asked(ctx: click.Context) -> Connection:
    """Return the options before the place that is completed."""
    asked, chain = Connection(), [ctx]
    while (parent := chain[-1].parent) is not None:
        chain.append(parent)
    for each in reversed(chain):
        asked = asked.laid_over(each.params)
    return asked


def _words(shell: Shell, path: str, read: Callable[[Any], Words]) -> Words:
    target = shell.target
    file = _cache_file(f"{target.url}\n{target.login.source}\n{target.login.user}\n{path}")
    kept = _kept(file)
    if kept is not None:
        return kept
    found = _within(_ANSWER_SECONDS, lambda: read(_ask(shell, path)))
    if found is None:
        return []
    with suppress(OSError):
        write_private(file, json.dumps(found))
    return found


def _ask(shell: Shell, path: str) -> Any:
    """Ask the service once: what fails is not tried again."""
    from slipway.attempts import Patience  # noqa: PLC0415  (at TAB only)

    once = Patience(busy=0, gateway=0, silence=_ANSWER_SECONDS, connect=_ANSWER_SECONDS,
                    refused=0, lookup=0, cut=0)  # fmt: skip
    return shell.client.request("GET", path, patience=once).json()


def _within(seconds: float, ask: Callable[[], Words]) -> Words | None:
    """Return what a call finds, unless it takes too long or fails."""
    found: list[Words] = []

    def run() -> None:
        with suppress(Exception):
            found.append(ask())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None


def _cache_file(of: str) -> Path:
    import platformdirs  # noqa: PLC0415  (at TAB only)

    name = sha256(of.encode()).hexdigest()[:32]
    return Path(platformdirs.user_cache_dir("slipway")) / f"words-{name}.json"


def _kept(file: Path) -> Words | None:
    try:
        if not 0 <= time.time() - file.stat().st_mtime < _KEPT_SECONDS:
            return None
        return [(word, text) for word, text in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None
