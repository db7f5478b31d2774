"""Takes the pictures of ``docs/guides/page.md``: ``python tests/screenshots.py FOLDER``.

It starts a service with a little of everything, and needs Debian's package ``chromium``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from kit.page_contents import Contents, fill
from kit.pages import DESK, PHONE, Visitor, launched_browser
from kit.service import Service

_TEXT: Final = "Wing at 12 degrees, night run."


def pictures(contents: Contents) -> dict[str, tuple[str, dict[str, int]]]:
    """Return what each picture shows, by its name: an address, and a window."""
    bad = f"/ui/executions/{contents.bad}"
    return {
        "workflows": ("/ui/workflows", DESK),
        "launch": ("/ui/workflows/mesh-and-solve", DESK),
        "executions": ("/ui/executions", DESK),
        "failed": (bad, DESK),
        "failed-phone": (bad, PHONE),
        "graph": (f"{bad}/graph", DESK),
        "timeline": (f"{bad}/timeline", DESK),
        "log": (f"{bad}/log", DESK),
        "log-phone": (f"{bad}/log", PHONE),
        "compare": (f"/ui/executions/{contents.good}/compare/{contents.bad}", DESK),
        "keys": ("/ui/keys", DESK),
        "definition": ("/ui/definitions/mesh-and-solve", DESK),
        "system": ("/ui/system", DESK),
    }


def main(folder: Path) -> None:
    """Take all of them."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("there is no chromium on this machine: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as kept, launched_browser(program) as browser:
        service = Service(Path(kept))
        shutil.copytree(Path("app/cli/examples/workflows"), service.workflows_dir)
        service.start()
        try:
            contents = fill(service.client(), _TEXT)
            for name, (path, viewport) in pictures(contents).items():
                visitor = Visitor(browser, service.url, viewport=viewport, color_scheme="light")
                page = visitor.open(path)
                page.wait_for_timeout(1000)
                page.screenshot(path=folder / f"page-{name}.png", animations="disabled")
                visitor.close()
            service.client().cancel(contents.running)
        finally:
            service.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
