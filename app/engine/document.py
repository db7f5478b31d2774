"""The documents that workflow definitions are: reading, checking and writing them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import yaml

from app import documents
from app.documents import HALF_PAIR, MAX_DEPTH, SCALAR, TOO_DEEP, TOO_LONG, lines
from app.domain import JSON
from app.engine.faults import Fault, Path
from app.errors import InvalidDefinition

__all__ = ["MAX_DEPTH", "lines", "not_json", "read", "write"]


def read(
    text: str | bytes, keeps_text: Callable[[Path], bool] = lambda _: False
) -> tuple[JSON, list[Fault]]:
    """Read YAML or JSON; see :func:`app.documents.read`.

    Returns:
        The content as JSON, and the faults that do not hinder reading on.

    Raises:
        InvalidDefinition: It is no document; see :func:`app.documents.read`.
    """
    try:
        document = documents.read(text, keeps_text)
    except documents.Unreadable as exc:
        raise InvalidDefinition(
            "The workflow definition has one fault.", fields=(exc.fault,)
        ) from exc
    return document.content, document.faults


def write(document: JSON) -> str:
    """Write YAML for people, which :func:`read` takes for the same: block style throughout."""
    return yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_NEVER_FOLD
    )


def not_json(value: JSON, path: Path = ()) -> Iterator[Fault]:
    """Find what cannot be stored, handed to a command, or read by other programs.

    That is: NUL, broken Unicode, numbers that are not finite or have more than 64 bits, nesting
    deeper than :data:`MAX_DEPTH`, and objects that JSON does not know.
    """
    if len(path) > MAX_DEPTH:
        yield Fault(path, TOO_DEEP)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield from (Fault(path, f"holds a name that {why}") for why in _text_faults(key))
                yield from not_json(item, (*path, key))
            else:
                yield Fault(path, "holds a name that is not a string")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from not_json(item, (*path, index))
    elif isinstance(value, str):
        yield from (Fault(path, why) for why in _text_faults(value))
    else:
        yield from (Fault(path, why) for why in _scalar_faults(value))


def _text_faults(text: str) -> Iterator[str]:
    if "\0" in text:
        yield "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        yield HALF_PAIR


def _scalar_faults(value: JSON) -> Iterator[str]:
    if value is None or isinstance(value, bool):
        return
    if not isinstance(value, int | float):
        yield f"is a {type(value).__name__}, which JSON does not know"
    elif not math.isfinite(value):
        yield "is not a finite number"
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield TOO_LONG


_YAML_1_1_BREAK: Final = re.compile("[\x85\u2028\u2029]")  # PyYAML would write them as breaks
_NEVER_FOLD: Final = 2**31 - 1


class _Dumper(yaml.SafeDumper):
    """Writes what this module, and other readers of YAML, take for the same."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def analyze_scalar(self, scalar: str) -> Any:
        """Let tabs stand in texts of several lines, as scripts have them."""
        # In front of the first line, libyaml would take one for a fault of the indentation.
        tabs_stand = "\n" in scalar and not scalar[0].isspace()
        analysis = super().analyze_scalar(scalar.replace("\t", " ") if tabs_stand else scalar)
        analysis.scalar = scalar
        return analysis


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    if _YAML_1_1_BREAK.search(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
# SafeDumper knows the numbers of YAML 1.1 and would leave the string "1e5" without its quotes.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", SCALAR, list("-0123456789"))
