"""The master key, which encrypts what is secret in the database and is not in it."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.errors import ConfigError, FieldError
from app.files import read_or_make

_KEY_BYTES = 32


def load_master_key(
    file: Path, from_environment: str | None, in_use: Callable[[], bool] = lambda: False
) -> bytes:
    """Find the master key, or make one at the first start.

    Args:
        file: Holds 32 bytes in base64; readable by its owner only.
        from_environment: The same text, which wins over the file.
        in_use: Whether anything is encrypted already, so that another key would be of no use.

    Raises:
        ConfigError: The key is unusable or lost, or others may read the file.
        OSError: The file can be neither read nor made.
    """
    if from_environment is not None:
        return _decode(from_environment, "SLIPWAY_MASTER_KEY")
    path = "ssh_keys.master_key_file"
    with suppress(FileNotFoundError):
        if file.stat().st_mode & 0o077:
            raise _fault(path, f"{file} must be readable by its owner only (mode 0600)")
    try:
        return _decode(read_or_make(file, lambda: _make_key(file, in_use)), path)
    except UnicodeDecodeError:
        return _decode("", path)


def _make_key(file: Path, in_use: Callable[[], bool]) -> str:
    if in_use():
        text = f"{file} is missing or empty, and SSH keys are encrypted with it: restore it"
        raise _fault("ssh_keys.master_key_file", text)
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def _decode(text: str, path: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise _fault(path, "must be 32 bytes in base64, as 'openssl rand -base64 32' makes them")
    return key


def _fault(path: str, message: str) -> ConfigError:
    return ConfigError("The master key cannot be used.", fields=(FieldError(path, message),))
