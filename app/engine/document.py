"""The documents that workflow definitions are: reading, checking and writing them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import yaml

from app import documents
from app.documents import SCALAR
from app.domain import JSON
from app.engine.faults import Fault, Path
from app.errors import InvalidDefinition


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
