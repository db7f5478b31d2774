"""Asking for a password, at the terminal or of a pipe."""

from __future__ import annotations

import sys

import click

_LONGEST_LINE = 4096


def ask_password() -> str:
    """Ask for a password, twice; from what is no terminal its first line is read.

    It is never an argument: those are in the list of processes, which everybody can read.
    """
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        line = sys.stdin.readline(_LONGEST_LINE)
    except UnicodeDecodeError:
        raise click.ClickException("the password is no text in UTF-8") from None
    if not line:
        raise click.ClickException("no password came on standard input")
    return line.rstrip("\r\n")
