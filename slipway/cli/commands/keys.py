"""``slipway keys``: SSH keys, with which workflows reach machines."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from slipway.cli.new_files import NewFile
from slipway.cli.options import command as of_table
from slipway.cli.output import Column
from slipway.cli.pairs import pairs
from slipway.cli.revoking import Revocable, revoke_all
from slipway.cli.shell import Shell
from slipway.cli.times import ago

if TYPE_CHECKING:
    from slipway.models import CreatedSshKey, SshKey

_LINE_MODE = 0o644
"""Everybody may read a public key."""
_WHOLE_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""An id that is not shortened."""


@of_table("keys create")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
              help="Write the public key into a new file; the id is printed.")  # fmt: skip
@click.option("-m", "--meta", "--metadata", "meta", metavar="KEY=VALUE", multiple=True,
              help="Keep words of your own with the key; repeatable.")  # fmt: skip
@click.option("--algorithm", metavar="NAME", help="Such as ed25519 or rsa-4096.")
def create(shell: Shell, out: Path | None, meta: Sequence[str], algorithm: str | None) -> None:
    """Make an SSH key. The service keeps the private half; you get the line for authorized_keys.

    The line is printed to standard output, and what is said about it to standard error. Neither it
    nor the id of the key is shown again.
    """
    metadata = pairs(meta, "--meta")
    with NewFile(out, _LINE_MODE) as file:
        key = shell.client.create_ssh_key(metadata, algorithm)
        is_written = file.write(f"{key.public_key}\n")
    if shell.out.for_programs:
        shell.out.value(key.raw)
    elif is_written:
        shell.out.write(key.id)
        sys.stdout.flush()
        shell.say(f"{out} holds the line for ~/.ssh/authorized_keys of the machine.")
        shell.say(_ONCE)
    else:
        _show(shell, key)
    file.complain()


_ONCE = "Neither id nor line is shown again."


def _show(shell: Shell, key: CreatedSshKey) -> None:
    id_first = shell.out.format == "name"
    said = "" if id_first else f" {key.id}"
    shell.say(f"Key{said}: add this line to ~/.ssh/authorized_keys of the machine.")
    if id_first:
        shell.say(key.public_key)
    shell.out.write(key.id if id_first else key.public_key)
    sys.stdout.flush()
    shell.say(_ONCE)


@of_table("keys list")
def list_(shell: Shell) -> None:
    """List your SSH keys, newest first."""
    columns: list[Column[SshKey]] = [
        Column("ID", lambda key: key.id),
        Column("ALGORITHM", lambda key: key.algorithm, leaves=2),
        Column("MADE", lambda key: ago(key.created_at) if key.created_at else "-"),
        Column("USED", lambda key: ago(key.last_used_at) if key.last_used_at else "-", leaves=3),
        Column("METADATA", lambda key: _words(key.metadata), leaves=3, shrinks=True),
        Column("FINGERPRINT", lambda key: key.fingerprint, leaves=4),
    ]
    shell.out.records(
        shell.client.ssh_keys(), columns, name=lambda key: key.id, document=lambda key: key.raw,
        empty="There are no keys. Make one: slipway keys create",
    )  # fmt: skip


def _words(metadata: Any) -> str:
    return " ".join(f"{key}={value}" for key, value in metadata.items())


@of_table("keys revoke")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def revoke(shell: Shell, ids: Sequence[str], yes: bool) -> int:
    """Revoke SSH keys, by their ids or the first characters of them; it cannot be undone."""

    def listed() -> list[Revocable]:
        return [Revocable(key.id, (key.id,)) for key in shell.client.ssh_keys()]

    return revoke_all(
        shell, ids, what="key", listed=listed, revoke=shell.client.revoke_ssh_key,
        whole_id=_WHOLE_ID, yes=yes,
    )  # fmt: skip
