"""No dialect's words stand below the dialects: what one calls a header, another may not have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import app

ROOT = Path(app.__file__).parent
BELOW = sorted(
    [
        *(ROOT / "services").glob("*.py"), *(ROOT / "store").glob("*.py"),
        *ROOT.glob("*.py"),
        ROOT / "clients" / "orchestrator.py", ROOT / "clients" / "registry.py",
        ROOT / "clients" / "key_store.py",
        ROOT / "engine" / "orchestrator.py", ROOT / "engine" / "catalogue.py",
    ]
)  # fmt: skip
ABOVE = {"factory.py"}
WORDS = re.compile(
    r"\bhttps?\b(?!:)|\b(request|response) (body|header)|\bthe body\b|\bheaders?\b"
    r"|\bidempotency-key\b|\bcontent-type\b|\blast-event-id\b|\bretry-after\b|\b[45]\d\d\b"
    r"|\bapplication/|\btext/(plain|html|event-stream)|\bquery (string|parameter)|\bcookies?\b"
    r"|\?\w+=|\bin the (address|URL)\b",
    re.IGNORECASE,
)
METHODS = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE)\b(?! FROM)")


def texts(file: Path) -> Iterator[str]:
    """Give the texts of a module that callers may see: its strings, without what documents it."""
    tree = ast.parse(file.read_text())
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in documents and " " in node.value:
            yield node.value


@pytest.mark.parametrize("file", BELOW, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_text_below_the_dialects_has_a_word_of_http(file):
    if file.name in ABOVE:
        return
    found = [text for text in texts(file) if WORDS.search(text) or METHODS.search(text)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "This Idempotency-Key was used.", "use the id, or ?orchestrator=", "PUT replaces it",
        "The body holds too much.", "as in the address", "answer 404", "send application/json",
    ],
)  # fmt: skip
def test_such_a_word_would_be_found(tmp_path, text):
    file = tmp_path / "x.py"
    file.write_text(f'"""The body of HTTP."""\n\nraise ValueError(f"{{1}} {text}")\n')
    [found] = texts(file)
    assert WORDS.search(found) or METHODS.search(found)
