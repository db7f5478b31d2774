"""``slipway keys``: SSH keys, with which workflows reach machines."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from slipway.cli.codes import ExitCode
from slipway.cli.new_files import NewFile
from slipway.cli.options import command as of_table
from slipway.cli.output import Column
from slipway.cli.pairs import pairs
from slipway.cli.revoking import Revocable, one_meant, revoke_all
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

    The line is printed to standard output, and what is said about it to standard error. The whole
    id of the key is not shown again.
    """
    metadata = pairs(meta, "--meta")
    with NewFile(out, _LINE_MODE) as file:
        key = shell.client.create_ssh_key(metadata, algorithm)
        is_written = file.write(f"{_line(key)}\n")
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


_ONCE = "The whole id is not shown again."


def _line(key: CreatedSshKey) -> str:
    return key.authorized_keys


def _show(shell: Shell, key: CreatedSshKey) -> None:
    id_first = shell.out.format == "name"
    said = "" if id_first else f" {key.id}"
    shell.say(f"Key{said}: add this line to ~/.ssh/authorized_keys of the machine.")
    if id_first:
        shell.say(_line(key))
    shell.out.write(key.id if id_first else _line(key))
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


_TRIAL = click.option(
    "--orchestrator", metavar="NAME", help="Of the cluster; as the key's metadata say if absent."
)


@of_table("keys test")
@click.argument("id_", metavar="ID")
@_TRIAL
def test(shell: Shell, id_: str, orchestrator: str | None) -> int:
    """Log in with an SSH key, once, to see whether that works; the code is 1 if it does not."""
    told = shell.client.test_ssh_key(_whole(shell, id_), orchestrator)
    if shell.out.for_programs:
        shell.out.value(dict(told))
    else:
        shell.out.write(str(told.get("message")))
    return ExitCode.SUCCESS if told.get("logs_in") else ExitCode.FAILED


@of_table("keys rotate")
@click.argument("id_", metavar="ID")
@_TRIAL
def rotate(shell: Shell, id_: str, orchestrator: str | None) -> int:
    """Replace an SSH key; type it twice.

    The first time a new key is made, and its line for authorized_keys printed. From the second time
    on the new one is tried: if it logs in, it takes the place of the old one, and else the code is
    1 and the old one stays in use.
    """
    told = shell.client.rotate_ssh_key(_whole(shell, id_), orchestrator)
    login, line = told.get("login"), str(told.get("authorized_keys"))
    if shell.out.for_programs:
        shell.out.value(dict(told))
    elif told.get("state") == "ROTATED":
        shell.out.write(f"Key {told.get('new_key')} has taken the place of {told.get('key')}.")
        return ExitCode.SUCCESS
    else:
        if login is not None:
            shell.say(f"The new key does not log in: {login.get('message')}")
        shell.say("Add this line to ~/.ssh/authorized_keys of the machine, and type this again.")
        shell.out.write(line)
    return ExitCode.FAILED if login is not None and not login.get("logs_in") else ExitCode.SUCCESS


def _whole(shell: Shell, typed: str) -> str:
    if _WHOLE_ID.fullmatch(typed):
        return typed
    known = [Revocable(key.id, (key.id,)) for key in shell.client.ssh_keys()]
    return one_meant(typed, known, "key")


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
