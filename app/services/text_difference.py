"""How two texts differ: what worker processes compute, so this imports little."""

from __future__ import annotations

import json
from difflib import unified_diff
from itertools import islice
from typing import Final

MOST_LINES: Final = 1000
"""Lines of a difference that are told."""
LONGEST_LINE: Final = 500
"""Characters of one of them."""


def indented(document: bytes) -> bytes:
    """Write JSON so that people can read it; in a worker process."""
    return _indented(document.decode()).encode()


def compared(work: bytes) -> bytes:
    """Compare two texts in a worker process; see :mod:`app.services.definition_texts`."""
    before, after, name_before, name_after, as_json = json.loads(work)
    if as_json:
        before, after = _indented(before), _indented(after)
    lines = unified_diff(
        before.splitlines(), after.splitlines(), name_before, name_after, lineterm=""
    )
    told = [*islice(lines, MOST_LINES)]
    cut = next(lines, None) is not None or any(len(line) > LONGEST_LINE for line in told)
    return json.dumps([[line[:LONGEST_LINE] for line in told], cut]).encode()


def _indented(document: str) -> str:
    return json.dumps(json.loads(document), indent=2, ensure_ascii=False)
