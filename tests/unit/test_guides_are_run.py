"""Each block of code that people may copy from a page is run by a test, or says why not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.guides import blocks_of

ROOT = Path(__file__).parents[2]
PAGES = [
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md")))
]


def said_to_be_run() -> Iterator[tuple[str, tuple[str, ...]]]:
    """What tests say that they run: pages, with what tells which of their blocks."""
    for file in (ROOT / "tests").rglob("test_*.py"):
        source = file.read_text(encoding="utf-8")
        if "mark.runs(" not in source:
            continue
        for call in ast.walk(ast.parse(source)):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.runs":
                page, *signs = map(ast.literal_eval, call.args)
                yield page, tuple(signs)


RUN = sorted(said_to_be_run())


@pytest.mark.parametrize("page", PAGES)
def test_each_block_of_a_page_is_run_or_says_why_not(page: str) -> None:
    left = [
        block.text
        for block in blocks_of(ROOT, page)
        if block.language not in ("yaml", "text")
        and not block.excuse
        and not any(block.is_meant_by(*said) for said in RUN)
    ]
    assert left == []


@pytest.mark.parametrize(("page", "signs"), RUN)
def test_what_is_said_to_be_run_is_there(page: str, signs: tuple[str, ...]) -> None:
    found = [*blocks_of(ROOT, page)]
    for sign in signs or ("",):
        meant = [block for block in found if block.is_meant_by(page, (sign,) if sign else ())]
        assert meant, sign
        assert not all(block.excuse for block in meant), f"{sign}: it is run, and says that not"
