"""What the words about an SSH key may be, for every way to send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.resources._api import extent

LONGEST_NAME: Final = 255
_MOST_VALUES: Final = 1000


def fault_of_size(metadata: Mapping[str, Any]) -> str | None:
    """Return what is wrong with words that a key store may not take; None if nothing is.

    Vault has limits on JSON of its own.
    """
    if extent(dict(metadata))[1] > _MOST_VALUES:
        return f"must hold at most {_MOST_VALUES} values"
    return None
