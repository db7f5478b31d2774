"""The command line for people: ``slipway``.

What a command does not use is not imported, so that each starts fast.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that the arguments of the process name, and exit."""
    # Imports leave next to no garbage, and looking for it takes a tenth of a start. A client begins
    # to look for it again.
    gc.disable()
    if instruction := os.environ.get("_SLIPWAY_COMPLETE"):
        from slipway.cli.completion import answer  # noqa: PLC0415  (at TAB only)

        code = answer(instruction)
        os._exit(code)  # a question that is too slow is still being asked
    try:
        from slipway.cli.running import run  # noqa: PLC0415  (who imports the package needs it not)

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before it could be told, or while it was
        code = 130
    sys.exit(code)
