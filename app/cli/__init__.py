"""The service's own commands, such as ``serve``; those for people are in :mod:`slipway.cli`.

They are imported when one is called: the supervisor, which is in this package too, stays small
without.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the arguments of the process name, and exit."""
    try:
        from app.cli._group import main as group  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        if (exc.name or "app").startswith("app"):
            raise
        print(
            "The service is not installed here: pip install 'slipway-hpc[server]'", file=sys.stderr
        )
        sys.exit(2)
    group()
