"""What style sheets promise to those who try the pages."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

STYLE_SHEETS = sorted(Path(str(files("app.ui"))).rglob("*.css"))
DARK = re.compile(r"@media[^{]*prefers-color-scheme[^{]*\{((?:[^{}]*\{[^{}]*\})*[^{}]*)\}")
COLOURS = re.compile(r"\s*:root\s*\{(\s*--[\w-]+:\s*#[0-9a-f]{6};)+\s*\}\s*")


def test_in_the_dark_only_colours_are_others() -> None:
    """So pages need be tried in one scheme alone, but for their colours: ``kit.pages.axe``."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in STYLE_SHEETS}
    blocks = [block for text in texts.values() for block in DARK.findall(text)]
    assert len(blocks) == sum(text.count("prefers-color-scheme") for text in texts.values()) >= 3
    assert [block for block in blocks if not COLOURS.fullmatch(block)] == []
