"""Revoking keys by what people type of their ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.output import clean
from slipway.cli.shell import Shell


class Revocable(NamedTuple):
    """A key.

    Attributes:
        id: By which the service revokes it.
        names: What it may be called by, or the beginning of it.
    """

    id: str
    names: tuple[str, ...]


def revoke_all(
    shell: Shell,
    typed: Sequence[str],
    *,
    what: str,
    listed: Callable[[], list[Revocable]],
    revoke: Callable[[str], None],
    whole_id: re.Pattern[str],
    yes: bool,
) -> int:
    """Revoke keys; whoever can be asked is asked before.

    Args:
        shell: Of the command.
        typed: Ids, or their beginnings.
        what: What they are.
        listed: Returns all that there are; asked only where it is needed.
        revoke: Revokes one.
        whole_id: What is an id already, and is not looked for.
        yes: Nobody is asked.

    Returns:
        What the process ends with: whether some were not found.

    Raises:
        Failure: What was typed means several; then none is revoked.
    """
    words = [*dict.fromkeys(typed)]
    known = [] if all(map(whole_id.fullmatch, words)) else listed()
    found = {
        word: word if whole_id.fullmatch(word) else _meant(word, known, what) for word in words
    }
    ids = [*dict.fromkeys(id_ for id_ in found.values() if id_ is not None)]
    for word in (word for word, id_ in found.items() if id_ is None):
        shell.say(f"slipway: There is no {what} '{clean(word[:_SHOWN])}'.")
    missing = None in found.values()
    if ids and not shell.confirm(f"Revoke {_counted(ids, what)}", yes=yes):
        shell.say("Nothing was revoked.")
        ids = []
    for id_ in ids:
        missing |= not _revoked(shell, id_, what, revoke)
    return ExitCode.REFUSED if missing else ExitCode.SUCCESS


_SHOWN = 8
"""Characters that are shown of what may be a key itself."""


def _meant(word: str, known: Sequence[Revocable], what: str) -> str | None:
    """Return the id of what somebody means; None where there is none."""
    if not word:
        return None
    exact = [each.id for each in known if word in each.names]
    fitting = exact or [
        each.id
        for each in known
        if any(name.startswith(word) or word.startswith(name) for name in each.names)
    ]
    if len(fitting) > 1:
        raise Failure(
            f"'{clean(word)}' begins the ids of {len(fitting)} {what}s: {', '.join(fitting[:5])}.",
            hint="Type more of the one that you mean; nothing was done.",
        )
    return fitting[0] if fitting else None


def one_meant(word: str, known: Sequence[Revocable], what: str) -> str:
    """Return the id of the one that somebody means.

    Raises:
        Failure: There is none, or there are several.
    """
    found = _meant(word, known, what)
    if found is None:
        text = f"There is no {what} '{clean(word[:_SHOWN])}'."
        raise Failure(text, code=ExitCode.REFUSED)
    return found


def _counted(ids: Sequence[str], what: str) -> str:
    return f"{what} {ids[0]}" if len(ids) == 1 else f"{len(ids)} {what}s"


def _revoked(shell: Shell, id_: str, what: str, revoke: Callable[[str], None]) -> bool:
    from slipway.errors import NotFound  # noqa: PLC0415  (it comes with the client)

    try:
        revoke(id_)
    except NotFound:
        shell.say(f"slipway: There is no {what} '{id_}'.")
        return False
    shell.say(f"Revoked {what} {id_}.")
    return True
