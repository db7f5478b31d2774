"""Telling JSON that was cut off from what never was any."""

from __future__ import annotations

import codecs
import json
import re
from typing import Final

_HALF_TOKEN: Final = re.compile(
    r"""\s*(?:
        "[^\x00-\x1f]*                       # a string without its end
      | t(?:ru?)? | f(?:a(?:ls?)?)? | n(?:ul?)?
      | -? | \. | [eE][-+]?                  # what of a number is none yet
      | \\?u?[0-9a-fA-F]{0,4}                # what of an escape is none yet
    )""",
    re.VERBOSE,
)
"""What may stand between the place that cannot be read and the end of a text that was cut."""


def begins_json(body: bytes) -> bool:
    """Whether more bytes could make JSON (RFC 8259) of bytes that are none.

    Args:
        body: In UTF-8; its last character may be cut, too.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(body)
        json.loads(text)
    except json.JSONDecodeError as exc:
        return _HALF_TOKEN.fullmatch(text, exc.pos) is not None
    except (ValueError, RecursionError):
        return False
    return True
