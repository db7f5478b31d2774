"""How long the long runs are: the same tests at any scale.

``SLIPWAY_STRESS=1`` is the whole of it, as ``make stress`` runs it; CI runs a tenth. Without the
variable it is the least that still proves something.
"""

from __future__ import annotations

import os

VARIABLE = "SLIPWAY_STRESS"
SCALE = float(os.environ.get(VARIABLE) or 0)


def scaled(whole: int, least: int) -> int:
    """Return so much of the whole as this run is to do."""
    return max(least, round(whole * SCALE))
