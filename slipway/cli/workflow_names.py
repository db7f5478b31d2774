"""Workflows by the names that people type."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from shlex import quote
from typing import TYPE_CHECKING, Final

import click

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.output import clean, shown
from slipway.errors import Conflict, NotFound, SlipwayError

if TYPE_CHECKING:
    from slipway import Client, Workflow


orchestrator_option: Final = click.option(
    "--orchestrator",
    metavar="NAME",
    help="Where it is to run, where several have a workflow of this name.",
)


def described(client: Client, name: str, orchestrator: str | None = None) -> Workflow:
    """Return a workflow with what the service says of it.

    Args:
        client: Asks the service.
        name: Its id or name.
        orchestrator: Where it is looked for; everywhere unless given.

    Raises:
        Failure: There is none of this id or name, or there are several.
        SlipwayError: The service refuses otherwise, or cannot be reached.
    """
    workflow = client.workflow(name, orchestrator)
    try:
        workflow.describe()
    except NotFound as exc:
        raise unknown(client, name, exc) from None
    except Conflict as exc:
        if exc.code != "ambiguous":
            raise
        places = [f"{quote(clean(each.path))} {each.message}" for each in exc.fields]
        text = f"There are several workflows '{shown(name)}': use the id, or --orchestrator NAME."
        raise Failure(text, hint="\n  ".join(places), code=ExitCode.USAGE) from None
    return workflow


def unknown(client: Client, name: str, refused: NotFound) -> Failure:
    """Return what to say of a workflow that there is not: those that are called nearly so."""
    try:
        known = {text.casefold(): text for text in _names(client)}
    except SlipwayError:
        known = {}
    typed = name.casefold()[:200]
    # One of this very name is elsewhere than it was looked for.
    near = [] if typed in known else get_close_matches(typed, known, n=1, cutoff=0.6)
    if near:
        return Failure(
            f"There is no workflow '{shown(name)}'; did you mean {clean(known[near[0]])}?",
            code=ExitCode.REFUSED,
        )
    return Failure(str(refused), hint="slipway workflows lists them.", code=ExitCode.REFUSED)


def _names(client: Client) -> Iterator[str]:
    for workflow in client.workflows():
        yield workflow.info.name
        yield workflow.id
