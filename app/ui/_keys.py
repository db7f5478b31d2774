"""What pages call SSH keys, and what people do with their public halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.domain import JSON, SshKey

HERE: Final = "/ui/keys"
LONGEST_SHOWN: Final = 200
"""Most characters that are shown of a word about a key."""


def name_of(key: SshKey) -> str:
    """Return what somebody calls a key, or else its id."""
    return name_in(key.metadata) or key.id


def name_in(metadata: Mapping[str, JSON]) -> str:
    """Return what somebody calls a key; empty where they do not."""
    name = metadata.get("name")
    return name[:LONGEST_SHOWN] if isinstance(name, str) else ""


def installing(line: str) -> str:
    """Return the command that adds a line to ``authorized_keys``."""
    return f"mkdir -p -m 700 ~/.ssh && echo '{line}' >> ~/.ssh/authorized_keys"
