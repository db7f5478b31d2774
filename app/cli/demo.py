"""``slipway demo``: the main job from end to end, as an end user does it, through HTTP only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import requests

from app.cli.init import write_examples

_START_SECONDS = 60
"""For the service of the demo to be ready."""
_STOP_SECONDS = 10
"""For it to stop."""
_REQUEST_SECONDS = 60
"""For an answer, long polls among them."""
_COLOURS = {"DEBUG": "bright_black", "INFO": "green", "WARN": "yellow", "ERROR": "red"}


class _DemoFailed(Exception):
    """Something did not happen as it should."""


@click.command("demo")
@click.option("--n", default=20_000, show_default=True, help="Input of the workflow.")
def command(n: int) -> None:
    """Show the main job from end to end, on a service of its own in a temporary folder."""
    try:
        with tempfile.TemporaryDirectory(prefix="slipway-demo-") as folder:
            _run(Path(folder), n)
    except (_DemoFailed, requests.RequestException) as exc:
        click.secho(f"\nThe demo failed: {exc}", fg="red", err=True)
        sys.exit(1)
    click.secho("\nThat was all of it, and it worked.", fg="green", bold=True)
    click.echo("Now run a service of your own in one terminal, and launch in another one:\n")
    click.echo(f"  {_command()} serve")
    click.echo(f"  {_command()} run diamond -i n=3000000 -f")


def _command() -> str:
    """Return how ``slipway`` is typed here: by its path where the shell does not find it."""
    if shutil.which("slipway") is not None:
        return "slipway"
    beside = Path(sys.executable).with_name("slipway")
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)


def _run(folder: Path, n: int) -> None:
    write_examples(folder)
    _say("Starting the service", f"slipway serve --data-dir {folder / 'data'} --port 0")
    with _service(folder) as url:
        user = _User(url)
        user.list_workflows()
        user.describe("diamond")
        user.create_ssh_key()
        user.follow(user.launch("diamond", {"n": n}))
        user.cancel(user.launch("countdown", {"seconds": 60}))
        _say("Stopping the service", "SIGTERM")


@contextmanager
def _service(folder: Path) -> Iterator[str]:
    """Run the service on a free port."""
    log_file = folder / "service.log"
    with log_file.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.cli", "serve", "--port", "0",
             "--data-dir", str(folder / "data")],
            stdout=subprocess.PIPE, stderr=stream, text=True, env=_clean_environment(),
        )  # fmt: skip
    try:
        yield _await_url(process, log_file)
    finally:
        process.terminate()
        code = process.wait(_STOP_SECONDS)
    if code != 0:
        raise _DemoFailed(f"the service ended with exit status {code}")


def _clean_environment() -> dict[str, str]:
    """Leave out the settings of a service that somebody really runs."""
    return {k: v for k, v in os.environ.items() if not k.startswith("SLIPWAY_")}


def _await_url(process: subprocess.Popen[str], log_file: Path) -> str:
    assert process.stdout is not None  # noqa: S101  (it was asked for above)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        found = re.search(r"ready at (http://\S+)", line)
        if found:
            click.echo(line.rstrip())
            return found[1]
        if not line:
            break
    raise _DemoFailed(f"the service did not start:\n{log_file.read_text(encoding='utf-8')}")


class _User:
    """An end user, who knows HTTP only."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def list_workflows(self) -> None:
        _say("Which workflows are there?", "GET /workflows")
        for workflow in self._get("/workflows")["workflows"]:
            click.echo(f"  {workflow['id']:<12} {workflow['description']}")

    def describe(self, name: str) -> None:
        _say(f"What does '{name}' take?", f"GET /workflows/{name}")
        described = self._get(f"/workflows/{name}")
        for parameter in described["inputs"]:
            text = f"default {parameter['default']}: {parameter['description']}"
            click.echo(f"  input  {parameter['name']} ({parameter['type']}), {text}")
        for output in described["outputs"]:
            click.echo(f"  output {output['name']:<6} {output['description']}")
        for step in described["steps"]:
            needs = " after " + ", ".join(step["needs"]) if step["needs"] else ""
            click.echo(f"  step   {step['name']}{needs}")

    def create_ssh_key(self) -> None:
        _say("Make me an SSH key", "POST /ssh_keys")
        key = self._call("POST", "/ssh_keys", json={"metadata": {"for": "the demo"}}).json()
        click.echo(f"  id         {key['id']}\n  public key {key['public_key']}")

    def launch(self, name: str, inputs: dict[str, Any]) -> str:
        _say(f"Launch '{name}'", f"POST /workflows/{name} {inputs}")
        location = self._call("POST", f"/workflows/{name}", json={"inputs": inputs}).headers[
            "Location"
        ]
        click.echo(f"  Location: {location}")
        return location

    def follow(self, location: str) -> None:
        """Follow the log live, then show the outputs."""
        _say("Follow its log", f"GET {location}/logs?from=0&timeout=30s")
        for entry in self._entries(location):
            _show(entry)
        execution = self._get(location)
        _expect(execution["status"], "SUCCESS", location)
        _say("What came out?", f"GET {location}")
        for name, value in execution["outputs"].items():
            click.echo(f"  {name} = {value}")
        if not execution["outputs"]:
            raise _DemoFailed("the execution has no outputs")

    def cancel(self, location: str) -> None:
        """Cancel an execution once it has written something."""
        for number, entry in enumerate(self._entries(location)):
            _show(entry)
            if number == 3:
                break
        _say("Cancel it", f"DELETE {location}")
        self._call("DELETE", location)
        deadline = time.monotonic() + _REQUEST_SECONDS
        status = self._get(location)["status"]
        while status == "CANCELLING" and time.monotonic() < deadline:
            status = self._get(f"{location}?wait=10s")["status"]
        _expect(status, "CANCELLED", location)
        click.echo(f"  status: {status}")

    def _entries(self, location: str) -> Iterator[dict[str, Any]]:
        start = 0
        while True:
            page = self._get(f"{location}/logs?from={start}&timeout=30s&levels=15")
            yield from page["logs"]
            start += len(page["logs"])
            if page["complete"] and start >= page["total_results"]:
                return

    def _get(self, path: str) -> Any:
        return self._call("GET", path).json()

    def _call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        response = self._session.request(
            method, self._url + path, timeout=_REQUEST_SECONDS, **kwargs
        )
        if not response.ok:
            raise _DemoFailed(f"{method} {path}: {response.status_code} {response.text}")
        return response


def _say(question: str, request: str) -> None:
    click.echo()
    click.secho(question, bold=True, nl=False)
    click.secho(f"   {request}", fg="cyan")


def _show(entry: dict[str, Any]) -> None:
    level = click.style(f"{entry['level']:<5}", fg=_COLOURS[entry["level"]])
    stamp = click.style(entry["timestamp"][11:23], dim=True)
    click.echo(f"  {stamp} {level} {entry['task']:<8} {entry['content']}")


def _expect(status: str, wanted: str, location: str) -> None:
    if status != wanted:
        raise _DemoFailed(f"{location} has status {status}, not {wanted}")
