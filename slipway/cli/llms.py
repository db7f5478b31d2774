"""``python -m slipway.cli.llms DOCS``: the file ``llms.txt`` (llmstxt.org) of the table.

It is what a language model reads first: what there is, and where it is explained.
"""

from __future__ import annotations

import sys
from pathlib import Path

from slipway.cli.codes import MEANINGS
from slipway.cli.table import GROUPS, INSTALL, TABLE

_GUIDE = "docs/guides/cli.md"
_OPTIONAL = ("docs/decisions", "docs/performance.md")
"""What most readers can leave out."""
_HEAD = f"""\
# Slipway

> One REST service from which people launch workflows on high-performance computers, with a command
> line, `slipway`, and a Python client, `from slipway import Client`.

`pip install slipway-hpc` brings the command line and the client; `{INSTALL}`
brings the service, too. An execution is named by its id, any unique beginning of it, `@latest` or
`@latest:WORKFLOW`. `-o json` prints JSON, and `--query` takes a JMESPath of it.
Exit codes: {"; ".join(f"{code:d} {meaning}" for code, meaning in MEANINGS.items())}.
"""


def llms(docs: Path) -> str:
    """Return the text.

    Args:
        docs: Folder of the documentation; each page is a link.
    """
    lines = [_HEAD]
    for group in GROUPS:
        lines += [f"## {group}", ""]
        lines += [
            f"- [slipway {entry.name}]({_GUIDE}): {entry.summary} `{entry.examples[0]}`"
            for entry in TABLE
            if entry.group == group and entry.shown
        ]
        lines.append("")
    links = [_link(page, docs) for page in sorted(docs.rglob("*.md"))]
    lines += ["## Documentation", ""]
    lines += [link for link in links if not any(name in link for name in _OPTIONAL)]
    lines += ["", "## Optional", "", "- [Decisions, with their reasons](docs/decisions)"]
    lines += [link for link in links if _OPTIONAL[-1] in link]
    return "\n".join(lines) + "\n"


def _link(page: Path, docs: Path) -> str:
    title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return f"- [{title}]({page.relative_to(docs.parent)})"


if __name__ == "__main__":
    sys.stdout.write(llms(Path(sys.argv[1])))
