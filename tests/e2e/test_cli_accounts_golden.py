"""What the commands about accounts and keys print, word for word, in every format.

``WRITE_GOLDEN=1`` writes the file anew; what changed is then seen in the difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from kit.people import Person
from kit.service import Service

GOLDEN = Path(__file__).parents[1] / "golden" / "accounts.txt"
FORMATS = ("table", "wide", "name", "json", "yaml")
SHOWN = ("whoami", "profiles", "keys", "api-keys")


def hidden(text: str, url: str) -> str:
    """Put words in the place of what is another with each run, and two spaces between columns."""
    text = text.replace(url, "http://SERVICE")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "KEY-ID", text)
    text = re.sub(r"slw_\w{4}\b", "slw_WXYZ", text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "API-KEY-ID------", text)
    text = re.sub(r"\b(?=\w*\d)[0-9a-f]{8}\b|(?<=id: )[a-f]{8}|^[a-f]{8}\b", "KEY-ID--", text,
                  flags=re.MULTILINE)  # fmt: skip
    text = re.sub(r"\bAAAA[\w+/=]+", "PUBLIC-KEY", text)
    text = re.sub(r"SHA256:[\w+/]+", "SHA256:FINGERPRINT", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "YYYY-MM-DD hh:mm", text)
    text = re.sub(r"\d+ s ago|\d+ min ago|just now", "AGO", text)
    text = re.sub(r"'((?:API-)?KEY-ID-+)'", r"\1", text)  # YAML quotes those of digits alone
    return re.sub(r"(?<=\S) {2,}", "  ", text)


def test_every_format_of_every_command(ada: Person, accounts: Service) -> None:
    ada.types("keys", "revoke", *ada.types("keys", "-o", "name").out.split())
    ada.types("api-keys", "revoke", *ada.types("api-keys", "-o", "name").out.split())
    assert ada.types("keys", "create", "--meta", "machine=n01").code == 0
    made = ("nightly", "--scope", "executions:read", "--expires-in", "720h")
    assert ada.types("api-keys", "create", *made).code == 0
    told = ""
    for word in SHOWN:
        for format_ in FORMATS:
            done = ada.types(word, "-o", format_)
            assert (done.code, done.err) == (0, "")
            told += f"$ slipway {word} -o {format_}\n{hidden(done.out, accounts.url)}\n"
    if os.environ.get("WRITE_GOLDEN") == "1":
        GOLDEN.write_text(told, encoding="utf-8")
    assert told == GOLDEN.read_text(encoding="utf-8")
    assert ada.types("keys", "revoke", *ada.types("keys", "-o", "name").out.split()).code == 0
    assert (
        ada.types("api-keys", "revoke", *ada.types("api-keys", "-o", "name").out.split()).code == 0
    )
