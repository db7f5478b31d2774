"""What was cut off may go on as JSON; what never was any may not."""

from __future__ import annotations

import json

import pytest

from slipway.half_json import begins_json

WHOLE = json.dumps(
    {"text": 'a "b" \\ \n \u00e9 \U0001f642', "numbers": [0, -1.5e-7, 12, 3.25],
     "more": {"x": [{}, []]}, "words": [True, False, None], "": ""},
)  # fmt: skip


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_that_is_cut_anywhere_begins_some(escaped, indent):
    whole = json.dumps(json.loads(WHOLE), ensure_ascii=escaped, indent=indent).encode()
    assert [at for at in range(len(whole) + 1) if not begins_json(whole[:at])] == []


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Log in</body></html>", b"rubbish", b'{"a": nope}', b'{"a" 1}', b"{'a': 1}",
        b'{"a": 1}}', b"\xff\xfe\0", b'{"a": "\xff', b'{"a": "x\ny', b"[1 x", b"True",
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_nothing_makes_json_of_what_is_wrong_before_its_end(body):
    assert not begins_json(body)
