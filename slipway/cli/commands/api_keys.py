"""``slipway api-keys``: keys with which programs sign in."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from slipway.cli.new_files import NewFile
from slipway.cli.options import command as of_table
from slipway.cli.output import Column
from slipway.cli.revoking import Revocable, revoke_all
from slipway.cli.shell import Shell
from slipway.cli.times import ago, clock

if TYPE_CHECKING:
    from slipway.models import ApiKey

_KEY_MODE = 0o600
"""Whoever can read a key can use it."""
_WHOLE_ID: Final = re.compile(r"[0-9a-f]{16}")
"""An id that is not shortened."""


@of_table("api-keys create")
@click.argument("name")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
              help="Write the key into a new file that only you can read.")  # fmt: skip
@click.option("--expires-in", metavar="TIME", help="Until it ends, such as 720h.")
@click.option("--role", "roles", metavar="ROLE", multiple=True,
              help="What it may do: all that you may unless given; repeatable.")  # fmt: skip
@click.option("--scope", "scopes", metavar="SCOPE", multiple=True,
              help="What it is restricted to, such as executions:read; repeatable.")  # fmt: skip
def create(
    shell: Shell,
    *,
    name: str,
    out: Path | None,
    expires_in: str | None,
    roles: Sequence[str],
    scopes: Sequence[str],
) -> None:
    """Make an API key, with which a program signs in as you; it is shown only now.

    The key is printed to standard output, and what is said about it to standard error.
    """
    with NewFile(out, _KEY_MODE) as file:
        key = shell.client.create_api_key(
            name, expires_in=expires_in, roles=roles or None, scopes=scopes or None
        )
        is_written = file.write(f"{key.key}\n")
    if shell.out.for_programs:
        shell.out.value(key.raw)
    else:
        id_alone = is_written or shell.out.format == "name"
        shell.out.write(key.id if id_alone else key.key)
        sys.stdout.flush()
        if id_alone and not is_written:
            shell.say(key.key)
        ends = f", until {clock(key.expires_at)}" if key.expires_at else ""
        place = f"it is in {out}" if is_written else "it is not shown again"
        shell.say(f"API key {key.name} ({key.id}){ends}; {place}.")
        shell.say("Programs send it as SLIPWAY_API_KEY, or in the header X-API-Key.")
    file.complain()


@of_table("api-keys list")
def list_(shell: Shell) -> None:
    """List your API keys, newest first; the keys themselves nobody knows any more."""
    columns: list[Column[ApiKey]] = [
        Column("ID", lambda key: key.id),
        Column("NAME", lambda key: key.name, shrinks=True),
        Column("BEGINS", lambda key: key.prefix, leaves=3),
        Column("ROLES", lambda key: ",".join(key.roles), leaves=4),
        Column("SCOPES", lambda key: ",".join(key.scopes or ("all",)), leaves=5),
        Column("USED", lambda key: _ago(key.last_used_at, "never"), leaves=2),
        Column("ENDS", lambda key: clock(key.expires_at) if key.expires_at else "-",
                         leaves=1),
        Column("MADE", lambda key: _ago(key.created_at, "-"), wide=True),
        Column("OWNER", lambda key: key.owner, wide=True),
    ]  # fmt: skip
    shell.out.records(
        [*shell.client.api_keys()], columns, name=lambda key: key.id,
        document=lambda key: key.raw,
        empty="There are no API keys. Make one: slipway api-keys create NAME",
    )  # fmt: skip


def _ago(moment: datetime | None, never: str) -> str:
    return never if moment is None else ago(moment)


@of_table("api-keys revoke")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def revoke(shell: Shell, ids: Sequence[str], yes: bool) -> int:
    """Revoke API keys, by their ids, the first characters of them, or those of the key itself."""

    def listed() -> list[Revocable]:
        return [Revocable(key.id, (key.id, key.prefix)) for key in shell.client.api_keys()]

    return revoke_all(
        shell, ids, what="API key", listed=listed, revoke=shell.client.revoke_api_key,
        whole_id=_WHOLE_ID, yes=yes,
    )  # fmt: skip
