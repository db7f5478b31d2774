"""Reading the results that a command wrote to the file named in ``$SLIPWAY_OUTPUT``."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import NoReturn

from app.documents import HALF_PAIR, MAX_DEPTH, TOO_DEEP
from app.domain import JSON
from app.engine.launchers.shim.reading import MAX_OUTPUTS_BYTES, Damaged, read_results
from app.errors import InvalidRequest

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def read_outputs(path: Path) -> bytes:
    """Read results as the command wrote them, up to one byte more than there may be.

    Args:
        path: The file, which may be missing.

    Raises:
        InvalidRequest: They are not in a file.
        OSError: The disk cannot be used now.
    """
    try:
        return read_results(path)
    except Damaged as exc:
        raise InvalidRequest(f"The outputs are not a regular file: {exc}.") from exc


def parse_outputs(content: bytes) -> dict[str, JSON]:
    r"""Read results, one or several on each line; the later one wins.

    A line is ``name=value``, whose value is a text and begins right behind the ``=``; or
    ``name:=value``, whose value is JSON; or a JSON object of several. Blank lines are skipped.
    Bytes that are not UTF-8 become U+FFFD.

    Args:
        content: Content of the file.

    Raises:
        InvalidRequest: The file is longer than 1 MiB, or a line is none of the three; the
            message tells its number, from 1.
    """
    if len(content) > MAX_OUTPUTS_BYTES:
        number = content.count(b"\n", 0, MAX_OUTPUTS_BYTES) + 1
        raise InvalidRequest(f"Line {number} of the outputs: here they exceed 1 MiB.")
    results: dict[str, JSON] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        text = line.decode("utf-8", "replace").removesuffix("\r")
        if text.strip():
            try:
                results |= _parse_line(text)
            except ValueError as exc:
                raise InvalidRequest(f"Line {number} of the outputs: {exc}.") from exc
    return results


def _parse_line(line: str) -> dict[str, JSON]:
    results: dict[str, JSON]
    if line.lstrip().startswith("{"):
        results = parse_json(line)
    else:
        name, separator, value = line.partition("=")
        if not separator:
            raise ValueError("neither name=value nor a JSON object")
        if name.endswith(":"):
            results = {name[:-1]: parse_json(value)}
        else:
            results = {name: value.replace("\0", "\ufffd")}
    for name in results:
        if not _NAME.fullmatch(name):
            raise ValueError("a name must be a letter or _, then letters, digits, _ and -")
    return results


def parse_json(text: str) -> JSON:
    """Read JSON that any store can keep and any reader takes.

    That is RFC 8259, without what Python's own reader lets through: NaN, infinite numbers and
    halves of surrogate pairs are refused, as is nesting of more than 64 levels. NUL becomes U+FFFD.

    Raises:
        ValueError: The text is not such JSON; the message is fit for a user.
    """
    try:
        return _kept(json.loads(text, parse_constant=_refuse))
    except _NotKept as exc:
        raise ValueError(f"not valid JSON: it {exc}") from exc
    except RecursionError as exc:
        raise ValueError(f"not valid JSON: it {TOO_DEEP}") from exc
    except ValueError as exc:
        raise ValueError("not valid JSON") from exc


class _NotKept(ValueError):
    """What is valid JSON for Python's reader only."""


def _refuse(constant: str) -> NoReturn:
    raise _NotKept(f"holds {constant}")


def _kept(value: JSON, depth: int = 0) -> JSON:
    if depth > MAX_DEPTH:
        raise _NotKept(TOO_DEEP)
    if isinstance(value, str):
        if _HALF_PAIR.search(value):
            raise _NotKept(HALF_PAIR)
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_kept(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_kept(name): _kept(item, depth + 1) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise _NotKept("holds a number that is not finite")
    return value
