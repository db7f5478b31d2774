"""Why something cannot be done, for whoever asked."""

import errno
import os
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_NEVER = {errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR}


class Refusal(Exception):
    """It cannot be done.

    Attributes:
        kind: ``invalid`` (for the user), ``refused`` (for good) or ``unreachable`` (for now).
        message: A sentence for people.
        detail: What only a log should hold.
    """

    def __init__(self, kind: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.kind, self.message, self.detail = kind, message, detail

    def told(self) -> "dict[str, Any]":
        """Return it as an answer has it."""
        return {"kind": self.kind, "message": self.message, "detail": self.detail}


@contextmanager
def disk_faults() -> "Iterator[None]":
    """Raise what the disk does wrong as a refusal.

    Raises:
        Refusal: For good where there can be no such file; else for now.
    """
    try:
        yield
    except OSError as exc:
        raise of_disk(exc) from exc


def of_disk(exc: OSError) -> Refusal:
    """Return what an error of the disk means for whoever asked."""
    why = exc.strerror or str(exc)
    if exc.errno in _NEVER:
        return Refusal("refused", f"The folder on the cluster cannot be made: {why}.", str(exc))
    if exc.errno == errno.EACCES:
        text = f"The folder on the cluster cannot be used by the account: {why}."
        return Refusal("refused", text, str(exc))
    return Refusal("unreachable", f"The disk of the cluster cannot be used now: {why}.", str(exc))


def is_private_name(name: str) -> bool:
    """Return whether something is the name of a file in a folder, and leads nowhere else."""
    return name not in ("", ".", "..") and os.sep not in name and "\0" not in name
