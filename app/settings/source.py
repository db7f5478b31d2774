"""Where the settings come from: a YAML file, expanded, and overrides of its leaves."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import documents
from app.documents import Unreadable
from app.errors import FieldError

_PREFIX = "SLIPWAY_"
MASTER_KEY = "SLIPWAY_MASTER_KEY"
_NOT_SETTINGS = frozenset(
    {MASTER_KEY, "SLIPWAY_CONFIG", "SLIPWAY_OUTPUT", "SLIPWAY_URL", "SLIPWAY_USER",
     "SLIPWAY_PASSWORD", "SLIPWAY_TOKEN", "SLIPWAY_API_KEY", "SLIPWAY_PROFILE"}
)  # fmt: skip
# Kubernetes gives every container such variables of every service, by the service's name.
_OF_A_SERVICE = re.compile(
    r"SLIPWAY_(?:[A-Z0-9]+_)*(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*"
    r"|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
_EXPANSION = re.compile(
    r"\$\{(?:file:(?P<file>[^}]+)|(?P<name>\w+)(?::-(?P<default>[^}]*))?)\}", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Source:
    """The settings before they are checked.

    Attributes:
        tree: A tree of plain values.
        written: The part of it that stands in the file, as it stands there.
        faults: What was found on the way.
    """

    tree: dict[str, Any]
    written: dict[str, Any]
    faults: list[FieldError]


def read_source(
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    without: Collection[str] = (),
) -> Source:
    """Read the file, expand it and lay the overrides over it.

    Args:
        file: YAML file, or None.
        environ: Variables for ``${VAR}`` and ``SLIPWAY_*``.
        overrides: Values by dotted path.
        without: Dotted paths of sections, and of leaves, to leave out.
    """
    written, faults = _read_file(file) if file is not None else ({}, [])
    needed = _needed(written, "", without)
    tree: Any = _expand(needed, "", environ, faults)
    seen: dict[str, str] = {}
    for name, text in environ.items():
        if not name.startswith(_PREFIX) or _OF_A_SERVICE.fullmatch(name) or name in _NOT_SETTINGS:
            continue
        leaf = name[len(_PREFIX) :].lower()
        dotted = leaf.replace("__", ".")
        if is_left_out(dotted, without):
            continue
        other = seen.setdefault(leaf, name)
        if other != name:
            faults.append(FieldError(name, f"says the same setting as {other}"))
        value = _needed(_structured(text, name, faults), dotted, without)
        _put(tree, leaf.split("__"), value, name, faults)
    for dotted, value in overrides.items():
        if not is_left_out(dotted, without):
            _put(tree, dotted.split("."), _needed(value, dotted, without), dotted, faults)
    return Source(tree, written, faults)


def is_left_out(path: str, without: Collection[str]) -> bool:
    """Return whether a setting, or a section that holds it, is among those to leave out.

    Args:
        path: Its dotted path.
        without: Those paths.
    """
    return any(path == each or path.startswith(f"{each}.") for each in without)


def _needed(node: Any, path: str, without: Collection[str]) -> Any:
    """Copy a tree without what is left out; elements of lists are always kept."""
    if not isinstance(node, dict):
        return node
    below = {key: f"{path}.{key}" if path else str(key) for key in node}
    return {
        key: _needed(value, below[key], without)
        for key, value in node.items()
        if not is_left_out(below[key], without)
    }


def unneeded_variables(
    file: Path | None, environ: Mapping[str, str], without: Collection[str]
) -> frozenset[str]:
    """Name the variables that only some settings need.

    Args:
        file: The settings file, which is known to be right.
        environ: The variables that there are.
        without: Dotted paths of these settings, or of sections of them.
    """
    written, _ = _read_file(file) if file is not None else ({}, [])
    kept = frozenset(_names(_needed(written, "", without)))
    settings = {
        name
        for name in environ
        if name.upper().startswith(_PREFIX)
        and is_left_out(name[len(_PREFIX) :].lower().replace("__", "."), without)
    }
    return (frozenset(_names(written)) - kept) | settings


def _names(value: Any) -> Iterator[str]:
    """Return the variables that a value names."""
    if isinstance(value, str):
        yield from (match["name"] for match in _EXPANSION.finditer(value) if match["name"])
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _names(item)


def _read_file(file: Path) -> tuple[dict[str, Any], list[FieldError]]:
    try:
        text = file.read_bytes()
    except OSError as exc:
        return {}, [FieldError(str(file), f"cannot be read: {exc.strerror}")]
    try:
        tree, faults = _read_text(text, str(file))
    except documents.Empty:
        return {}, []
    except Unreadable as exc:
        where = f"{exc.fault.path}: " if exc.fault.path else ""
        return {}, [FieldError(str(file), where + exc.fault.message)]
    if tree is None:
        return {}, faults
    if not isinstance(tree, dict):
        return {}, [*faults, FieldError(str(file), "must be a mapping of settings")]
    return tree, faults


def _read_text(text: str | bytes, origin: str) -> tuple[Any, list[FieldError]]:
    """Read a document, and name its faults.

    Args:
        text: YAML.
        origin: What the document as a whole is called.

    Raises:
        Unreadable: It is none.
    """
    document = documents.read(text)
    lines = documents.lines(text) if document.faults else {}
    found = (documents.to_field_error(fault, lines) for fault in document.faults)
    faults = [FieldError(fault.path or origin, fault.message) for fault in found]
    return document.content, list(dict.fromkeys(faults))


def _expand(value: Any, path: str, environ: Mapping[str, str], faults: list[FieldError]) -> Any:
    if isinstance(value, dict):
        return {
            key: _expand(item, f"{path}.{key}" if path else str(key), environ, faults)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_expand(item, f"{path}[{i}]", environ, faults) for i, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        if match["file"] is not None:
            return _secret_file(match["file"], path, faults)
        text = environ.get(match["name"], match["default"])
        if text is None:
            faults.append(FieldError(path, f"the variable {match['name']} is not set"))
        return text or ""

    return _EXPANSION.sub(replace, value)


def _secret_file(name: str, path: str, faults: list[FieldError]) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        faults.append(FieldError(path, f"the file {name} cannot be read: {exc}"))
        return ""


def _structured(text: str, name: str, faults: list[FieldError]) -> Any:
    """Read a list or a mapping in YAML's flow style; any other text stays text.

    The fields themselves make numbers and booleans of text, so that a password of digits stays
    a password.
    """
    if not text.startswith(("[", "{")):
        return text
    try:
        value, found = _read_text(text, "")
    except Unreadable:
        return text
    faults += [
        FieldError(name, f"{fault.path}: {fault.message}" if fault.path else fault.message)
        for fault in found
    ]
    return value


def _put(
    tree: dict[str, Any], path: list[str], value: Any, origin: str, faults: list[FieldError]
) -> None:
    node: Any = tree
    for key in path[:-1]:
        if isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, dict):
            node = node.setdefault(key, {})
        else:
            faults.append(FieldError(origin, "overrides something that is not a mapping"))
            return
    if isinstance(node, list) and path[-1].isdigit() and int(path[-1]) < len(node):
        node[int(path[-1])] = value
    elif isinstance(node, dict):
        node[path[-1]] = value
    else:
        faults.append(FieldError(origin, "overrides something that is not a mapping"))
