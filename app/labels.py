"""What people call an execution by: a name and labels of their choice.

They are kept and shown as they were given, to whoever sees the execution, and no command gets them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from app.domain import JSON
from app.errors import FieldError, InvalidRequest

LONGEST_TEXT: Final = 200
"""Most characters of a name, and of the value of a label."""
MOST_LABELS: Final = 32
MOST_LABEL_BYTES: Final = 4096
"""Most bytes of all labels together, as UTF-8: lists show them of each execution."""

KEY_PATTERN: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?"
# Controls, ends of lines, and what turns the direction of a line around: tables and terminals show
# these texts.
_UNSEEN: Final = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
VALUE_PATTERN: Final = rf"[^{_UNSEEN}]{{0,{LONGEST_TEXT}}}"
NAME_PATTERN: Final = rf"[^{_UNSEEN}\s][^{_UNSEEN}]{{0,{LONGEST_TEXT - 1}}}"

KEY: Final = re.compile(KEY_PATTERN)
VALUE: Final = re.compile(VALUE_PATTERN)
_NAME: Final = re.compile(NAME_PATTERN)
_MOST_SHOWN: Final = 100

KEY_RULE: Final = (
    "must have 1 to 63 characters: letters, digits and . _ / -, with a letter or a digit at both "
    "ends"
)
_VALUE_RULE: Final = (
    f"must be text of at most {LONGEST_TEXT} characters, without control characters and line breaks"
)
_NAME_RULE: Final = (
    f"must be text of 1 to {LONGEST_TEXT} characters, without control characters and line breaks, "
    "and must not begin with a space"
)


def checked(name: JSON, labels: JSON) -> tuple[str | None, dict[str, str]]:
    """Return a name and labels as an execution has them; None for none of either.

    Raises:
        InvalidRequest: Naming every fault, at ``name`` and ``labels.<key>``.
    """
    faults = []
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        faults.append(FieldError("name", _NAME_RULE))
    if labels is None:
        labels = {}
    faults += _faults_of(labels)
    if faults:
        raise InvalidRequest("The name or the labels cannot be kept.", fields=tuple(faults))
    assert name is None or isinstance(name, str)  # noqa: S101  (checked above)
    assert isinstance(labels, Mapping)  # noqa: S101
    return name, {key: str(value) for key, value in labels.items()}


def _faults_of(labels: JSON) -> Iterator[FieldError]:
    if not isinstance(labels, Mapping):
        yield FieldError("labels", "must be an object")
        return
    if len(labels) > MOST_LABELS:
        yield FieldError("labels", f"must be at most {MOST_LABELS}, got {len(labels)}")
        return
    size = 0
    for key, value in labels.items():
        field = f"labels.{key[:_MOST_SHOWN]}"
        if not KEY.fullmatch(key):
            yield FieldError(field, f"the key {KEY_RULE}")
        elif not (isinstance(value, str) and VALUE.fullmatch(value)):
            yield FieldError(field, _VALUE_RULE)
        else:
            size += len(key) + len(value.encode())
    if size > MOST_LABEL_BYTES:
        text = f"must have at most {MOST_LABEL_BYTES} bytes together, got {size}"
        yield FieldError("labels", text)
