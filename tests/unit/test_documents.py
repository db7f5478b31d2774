"""What the documentation shows must work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.engine.definition import parse

ROOT = Path(__file__).parents[2]
LARGEST_PICTURE = 120 * 1024


@pytest.mark.runs("README.md", "id: sum")
@pytest.mark.parametrize("page", ["README.md", "docs/guides/workflows.md"])
def test_the_definitions_in_the_documentation_are_valid(page: str) -> None:
    blocks = re.findall(r"```yaml\n(id: .*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        assert parse(block).steps


def test_the_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_each_picture_is_shown_somewhere_small_and_in_words_too() -> None:
    shown = set()
    for page in ROOT.glob("docs/**/*.md"):
        for words, link in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text()):
            assert words, f"{page}: {link}"
            shown.add((page.parent / link).resolve())
    taken = set((ROOT / "docs/images").glob("*"))
    assert shown == taken
    assert all(each.stat().st_size <= LARGEST_PICTURE for each in taken)
