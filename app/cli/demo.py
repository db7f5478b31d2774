"""``slipway demo``: the main job from end to end, by the commands that an end user types."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from app.cli._process import environment_without_settings
from app.cli.init import write_examples

_START_SECONDS = 60
"""For the service of the demo to be ready."""
_STOP_SECONDS = 10
"""For it to stop."""
_CANCELLED = 3
"""The exit code of ``slipway wait`` for what was cancelled."""


class _DemoFailed(Exception):
    """Something did not happen as it should."""


@click.command("demo")
@click.option("--n", default=20_000, show_default=True, help="Input of the workflow.")
def command(n: int) -> None:
    """Show the main job from end to end, on a service of its own in a temporary folder."""
    try:
        with tempfile.TemporaryDirectory(prefix="slipway-demo-") as folder:
            _run(Path(folder), n)
    except (_DemoFailed, subprocess.TimeoutExpired) as exc:
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
        user = _User(url, folder)
        user.types("Which workflows are there?", "workflows")
        user.types("What does 'diamond' take?", "show", "diamond")
        user.types("Launch it, and follow its log", "run", "diamond", "-i", f"n={n}", "-f")
        user.types("What came out?", "outputs")
        user.types("Make me an SSH key", "keys", "create", "--meta", "for=the demo")
        user.types("Launch something that takes long", "run", "countdown", "-i", "seconds=60")
        user.types("Cancel it", "cancel", "@latest", "--yes")
        user.types("Is it over?", "wait", "@latest", code=_CANCELLED)
        user.types("What has run?", "ps")
        _say("Stopping the service", "SIGTERM")


@contextmanager
def _service(folder: Path) -> Iterator[str]:
    """Run the service on a free port."""
    log_file = folder / "service.log"
    with log_file.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.cli", "serve", "--port", "0",
             "--data-dir", str(folder / "data")],
            stdout=subprocess.PIPE, stderr=stream, text=True, env=environment_without_settings(),
        )  # fmt: skip
    try:
        yield _await_url(process, log_file)
    finally:
        process.terminate()
        code = process.wait(_STOP_SECONDS)
    if code != 0:
        raise _DemoFailed(f"the service ended with exit status {code}")


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
    """An end user at a terminal, with the command line for people, and without any login."""

    def __init__(self, url: str, home: Path) -> None:
        self._env = environment_without_settings() | {
            "SLIPWAY_URL": url, "XDG_CONFIG_HOME": str(home),
        }  # fmt: skip

    def types(self, why: str, *words: str, code: int = 0) -> None:
        """Run a command, which has to end with a code."""
        typed = shlex.join(["slipway", *words])
        _say(why, typed)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "slipway.cli", *words], env=self._env, check=False
        )
        if done.returncode != code:
            raise _DemoFailed(f"{typed} ended with {done.returncode}, not {code}")


def _say(why: str, typed: str) -> None:
    click.echo()
    click.secho(why, bold=True, nl=False)
    click.secho(f"   {typed}", fg="cyan")
    sys.stdout.flush()  # what the command writes comes behind it
