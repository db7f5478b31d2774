"""The master key on its way to a conductor, which hands it on and never reads it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from app.settings import MASTER_KEY

OPTION = "--master-key-fd"
"""Names an open file, or a pipe, that holds the master key."""
_MOST_BYTES = 4096


def held_master_key(descriptor: int | None) -> int | None:
    """Return an open file in memory that holds the master key; None where it is elsewhere.

    What comes through a pipe goes there within the kernel, by splice(2), and is never in the
    memory of this process; what stands in the environment was there already.

    Args:
        descriptor: The pipe, or such a file of before; None where there is neither.
    """
    if descriptor is not None and stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.set_inheritable(descriptor, False)  # commands get none of it
        return descriptor
    given = os.environ.get(MASTER_KEY)
    if descriptor is None and not given:
        return None
    held = os.memfd_create("master-key")
    if descriptor is None:
        os.write(held, os.fsencode(given or ""))
        return held
    with suppress(OSError):
        while os.splice(descriptor, held, _MOST_BYTES):
            pass
    os.close(descriptor)
    return held
