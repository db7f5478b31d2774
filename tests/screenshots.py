"""Takes the pictures of ``docs/guides/page.md``: ``python tests/screenshots.py FOLDER``.

It starts a service with a little of everything, and needs Debian's package ``chromium``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml
from kit.client import Client
from kit.fixtures import SETTINGS
from kit.page_contents import Contents, mesh
from kit.pages import DESK, PHONE, Visitor, launched_browser
from kit.service import Service

_USER: Final = ("ada", "ada has a long password")
_ENV: Final = {
    "SLIPWAY_API__AUTH__TYPE": "[basic, api_key]",
    "SLIPWAY_API__AUTH__USERS": f'[{{username: {_USER[0]}, password: "{_USER[1]}", '
    "roles: [admin]}]",
}
_LOW: Final = {"width": 1280, "height": 520}
_TEXT: Final = "Wing at 12 degrees, night run."


class _Blocks(yaml.SafeDumper):
    """Writes texts of many lines as people do."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text.lstrip("\n"), style=style)


_Blocks.add_representer(str, _block)


def contents(client: Client) -> Contents:
    """Put into a service what the pictures show: runs that succeeded, failed, and go on."""
    definition: dict[str, Any] = {**mesh(), "inputs": {**mesh()["inputs"]}}
    definition["inputs"]["note"] = {
        **definition["inputs"]["note"],
        "description": "For the report.",
    }
    for number, each in enumerate(definition["steps"], 1):
        del each["description"]
        each["config"] = {"script": f"sleep 0.{2 * number}\n{each['config']['script'].lstrip()}"}
    text = yaml.dump(definition, Dumper=_Blocks, sort_keys=False, allow_unicode=True)
    answer = client.send(
        "PUT", "/workflows/mesh-and-solve", data=text, headers={"Content-Type": "application/yaml"}
    )
    assert answer.status_code == 201, answer.text
    good = client.launch("mesh-and-solve", {"note": _TEXT})
    client.wait(good)
    client.wait(client.launch("diamond"))
    bad = client.launch("mesh-and-solve", {"cells": 2_000_000, "solver": "piso", "note": _TEXT})
    client.wait(bad)
    running = client.launch("countdown", {"seconds": 600})
    client.wait(running, "RUNNING")
    key = client.send("POST", "/ssh_keys", json={"metadata": {"name": "a4c", "cluster": "a4c"}})
    assert key.status_code == 201, key.text
    return Contents(good, bad, running)


def pictures(contents: Contents) -> dict[str, tuple[str, dict[str, int]]]:
    """Return what each picture shows, by its name: an address, and a window."""
    bad = f"/ui/executions/{contents.bad}"
    return {
        "workflows": ("/ui/workflows", _LOW),
        "launch": ("/ui/workflows/mesh-and-solve", DESK),
        "executions": ("/ui/executions", _LOW),
        "failed": (bad, DESK),
        "failed-phone": (bad, PHONE),
        "graph": (f"{bad}/graph", _LOW),
        "timeline": (f"{bad}/timeline", _LOW),
        "log": (f"{bad}/log", {"width": 1280, "height": 640}),
        "log-phone": (f"{bad}/log", PHONE),
        "compare": (f"{bad}/compare/{contents.good}", DESK),
        "keys": ("/ui/keys", _LOW),
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
        service = Service(Path(kept), env={**SETTINGS, **_ENV})
        service.user = _USER
        shutil.copytree(Path("app/cli/examples/workflows"), service.workflows_dir)
        service.start()
        try:
            shown = contents(service.client())
            page = Visitor(browser, service.url).sign_in(*_USER)
            for name, (path, viewport) in pictures(shown).items():
                page.set_viewport_size(viewport)  # type: ignore[arg-type]
                page.emulate_media(color_scheme="dark" if viewport is PHONE else "light")
                page.goto(path)
                page.wait_for_timeout(1000)
                page.screenshot(path=folder / f"page-{name}.png", animations="disabled")
            service.client().cancel(shown.running)
        finally:
            service.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
