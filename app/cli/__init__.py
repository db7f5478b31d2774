"""The ``slipway`` command.

It is imported when it is called: the supervisor, which is in this package too, stays small without.
"""

from __future__ import annotations


def main() -> None:
    """Run the command that the arguments of the process name, and exit."""
    from app.cli._group import main as group  # noqa: PLC0415

    group()
