"""What looks like a reference of a definition, and is written as other systems write theirs.

Only what names this service's own vocabulary counts: ``inputs.<name>``, ``steps.<id>`` and
``execution.id``. So a shell's ``${var}`` and ``${inputs[0]}``, an ``${env.X}`` and the templates
that a program fills in by itself are left alone.

Sources: the references of Jinja2 and Argo Workflows (``{{ }}``), of the Common Workflow Language
(``$( )``), of GitLab (``$[[ ]]``), and of JavaScript and many build tools (``${ }``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_QUOTED: Final = 80
"""Most characters that are shown of what was found."""

_BOUND: Final = "{0,4096}"
_DOTTED: Final = r"(?:(?:inputs|steps)\.[A-Za-z0-9_]|execution\.id\b)"
_NAMED: Final = rf"(?:{_DOTTED}|(?:inputs|steps)\[\s*['\"])"
# Every alternative ends at the first bracket of its kind, so the time grows as the text does.
_SPAN: Final = re.compile(
    rf"""(?P<expression>\$\{{\{{[^{{}}]{_BOUND}\}}\}})
    | (?P<braces>\{{\{{[^{{}}]{_BOUND}\}}\}})
    | (?P<statement>\{{%[^{{}}]{_BOUND}%\}})
    | \$\{{\s{{0,9}}{_DOTTED}[^{{}}]{_BOUND}\}}
    | \$\(\s{{0,9}}{_NAMED}[^()]{_BOUND}\)
    | \$\[\[\s{{0,9}}{_DOTTED}[^][]{_BOUND}\]\]""",
    re.VERBOSE,
)
_WITHIN: Final = re.compile(rf"(?<![\w.$'\"-]){_NAMED}")
_SCANNED: Final = ("expression", "braces", "statement")
_REFERENCE: Final = re.compile(r"inputs(?:\.|\[\s*['\"])([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class LookAlike:
    """The first one of a text.

    Attributes:
        text: As it is written, cut to :data:`MAX_QUOTED` characters.
        line: Its line within the text, from 1.
        input: Name of the input that it names; empty where it names none.
    """

    text: str
    line: int
    input: str


def find(text: str, *, expressions: bool) -> LookAlike | None:
    """Find the first look-alike of a text.

    Args:
        text: The text.
        expressions: Whether ``${{ ... }}`` is one, too: it is not evaluated here.
    """
    for match in _SPAN.finditer(text):
        kind = match.lastgroup
        if kind == "expression" and not expressions:
            continue
        if kind in _SCANNED and not _WITHIN.search(match[0]):
            continue
        named = _REFERENCE.search(match[0])
        line = text.count("\n", 0, match.start()) + 1
        return LookAlike(_shortened(match[0]), line, named[1] if named else "")
    return None


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= MAX_QUOTED else f"{plain[:MAX_QUOTED]}..."
