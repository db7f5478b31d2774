"""Reading the results that a command wrote to the file named in ``$SLIPWAY_OUTPUT``."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from app.domain import JSON
from app.errors import InvalidRequest

MAX_OUTPUTS_BYTES = 1024 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def parse_outputs(content: bytes) -> dict[str, JSON]:
    r"""Read results: on each line ``name=value``, or a JSON object of several; the later one wins.

    Values of the first form are texts and begin right behind the ``=``. Blank lines are skipped.
    Bytes that are not UTF-8 become U+FFFD.

    Args:
        content: Content of the file.

    Raises:
        InvalidRequest: The file is longer than 1 MiB, or a line is neither of the two; the
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
        results = {name: value.replace("\0", "\ufffd")}
    for name in results:
        if not _NAME.fullmatch(name):
            raise ValueError("a name must be a letter or _, then letters, digits, _ and -")
    return results


def parse_json(text: str) -> JSON:
    """Read JSON that any store can keep: RFC 8259, without what Python's own reader lets through.

    NaN, infinite numbers and lone surrogates are refused; NUL becomes U+FFFD.

    Raises:
        ValueError: The text is not such JSON; the message is fit for a user.
    """
    try:
        value = _without_nul(json.loads(text, parse_constant=_refuse))
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as exc:
        raise ValueError("not valid JSON") from exc
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _without_nul(value: JSON) -> JSON:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(item) for name, item in value.items()}
    return value
