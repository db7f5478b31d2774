"""Which secrets stand in the settings file itself, and not in a variable or a file of their own."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import fields

from app.errors import ConfigError
from app.settings.schema import Choice

_URL = re.compile(r"\w[\w+.-]*://")
_URL_WITH_PASSWORD = re.compile(r"\w[\w+.-]*://[^/@]*:[^/@]+@")


def written_secrets(cls: Any, written: Any, path: str = "") -> Iterator[str]:
    """Find the secrets that a text holds in clear.

    Args:
        cls: Declares the settings.
        written: Their tree as it stands in the file, before anything is expanded.
        path: Where that tree begins.

    Returns:
        The path of each.
    """
    if not isinstance(written, Mapping):
        return
    for declared in dataclasses.fields(cls):
        field, value = declared.metadata.get("field"), written.get(declared.name)
        if field is None or value is None:
            continue
        place = f"{path}{declared.name}"
        inner = field.inner if isinstance(field, fields.List) else field
        section = inner.metadata.get("section")
        if section is not None:
            yield from _in_sections(section, value, place)
        elif isinstance(inner, Choice):
            yield from _in_choice(inner, value, place)
        elif field.metadata.get("secret") and _is_secret(str(value)):
            yield place


def orchestrator_secrets(options_of: Any, written: Any) -> Iterator[str]:
    """Find the secrets among the options of orchestrators; see :func:`written_secrets`."""
    for index, entry in enumerate(written if isinstance(written, list) else []):
        if isinstance(entry, Mapping):
            try:
                options = options_of(str(entry.get("type", "engine")))
            except ConfigError:
                continue
            yield from written_secrets(options, entry, f"orchestrators[{index}].")


def _in_sections(section: Any, value: Any, place: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from written_secrets(section, item, f"{place}[{index}].")
    else:
        yield from written_secrets(section, value, f"{place}.")


def _in_choice(field: Choice, value: Any, place: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        try:
            options = field.options_of(str(value.get("type")))
        except ConfigError:
            return
        yield from written_secrets(options, value, f"{place}.")


def _is_secret(text: str) -> bool:
    if not text or "${" in text:
        return False
    return bool(_URL_WITH_PASSWORD.match(text)) if _URL.match(text) else True
