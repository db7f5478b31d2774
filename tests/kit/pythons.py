"""Older versions of Python, where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

OLD = ("3.6", "3.7", "3.8")


def old_python(version: str) -> str:
    """Return an interpreter of a version; the test is skipped where there is none."""
    versions = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    try:
        found = [str(path) for path in sorted(versions.glob(f"{version}.*/bin/python"))]
    except PermissionError:  # those of another user
        found = []
    found += filter(None, [shutil.which(f"python{version}")])
    for path in found:
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip(f"python {version} is missing")
