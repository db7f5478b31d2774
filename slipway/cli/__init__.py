"""The command line for people: ``slipway``.

What a command does not use is not imported, so that each starts fast.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that the arguments of the process name, and exit."""
    from slipway.cli.running import run  # noqa: PLC0415  (who imports the package needs it not)

    sys.exit(run(sys.argv[1:]))
