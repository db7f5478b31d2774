"""What pages show as YAML is what the service takes: settings, definitions, and pieces of both."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest
from kit.guides import Block, blocks_of

from app.assembly import read_settings
from app.engine.definition import parse
from app.errors import ConfigError
from app.load.parsing import parse as parse_load

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")))
SECRET = "of-32-bytes-at-least-as-all-secrets-of-tokens"
OWN_MODULES = {
    "my_package.tokens:StaticTokens": "toy_authenticator:StaticTokens",
    "my_package.toy:ToyLauncher": "kit.toy_launcher:ToyLauncher",
}
"""What stands for the modules that readers would write."""


def documented() -> Iterator[Any]:
    for page in PAGES:
        for number, block in enumerate(blocks_of(ROOT, page)):
            if block.language == "yaml" and not block.excuse:
                yield pytest.param(block, id=f"{page}-{number}")


@pytest.mark.parametrize("block", [*documented()])
def test_it_is_what_the_service_takes(block: Block, tmp_path: Path) -> None:
    text = textwrap.dedent(block.text)
    if text.startswith("- id: "):
        text = f"id: shown\nsteps:\n{block.text}"
    if not text.startswith("id: "):
        take_as_settings(text, tmp_path)
    elif block.page.endswith("load-definitions.md"):
        assert parse_load(text).steps
    else:
        assert parse(text).steps


def take_as_settings(text: str, folder: Path) -> None:
    """Read a text as the settings of a service, whose variables and files are there."""
    for theirs, toy in OWN_MODULES.items():
        text = text.replace(theirs, toy)
    text = re.sub(r"/etc/\S+\.pem", certifi.where(), text)
    environ = dict.fromkeys(re.findall(r"\$\{([A-Z0-9_]+)\}", text), SECRET)
    file = folder / "slipway.yaml"
    file.write_text(re.sub(r"\$\{file:[^}]+\}", SECRET, text), encoding="utf-8")
    try:
        read_settings(file, {"data_dir": str(folder)}, environ)
    except ConfigError as exc:
        pytest.fail(f"{exc.fields}")
