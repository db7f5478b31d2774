"""Where the web processes of one service write what they count, so that each can add all up.

The folder is in memory, since a file that is mapped there cannot fill a disk.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import structlog

from app.files import PRIVATE_FOLDER, data_mark
from app.settings import Settings

log = structlog.get_logger(__name__)

FIGURES_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder to a process; the client library of Prometheus calls it so."""
_MEMORY = Path("/dev/shm")  # noqa: S108  (what is there of somebody else's is refused)


def figures_folder(settings: Settings) -> Path | None:
    """Make an empty folder for the figures of the web processes of this service.

    Returns:
        None where there is one process alone, or nothing to share in.
    """
    if not settings.api.enabled or settings.web_processes < 2:
        return None
    try:
        folder = _MEMORY / f"slipway-{os.geteuid()}-{data_mark(settings.data_dir)}"
        folder.mkdir(PRIVATE_FOLDER, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError(f"{folder} is somebody else's")
        folder.chmod(PRIVATE_FOLDER)
        for left in folder.glob("*.db"):  # of a service that was killed
            left.unlink()
    except (OSError, UnicodeDecodeError) as exc:
        log.warning("each web process tells its own figures", reason=str(exc))
        return None
    return folder
