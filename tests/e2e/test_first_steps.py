"""What newcomers type first, run as the pages have it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.client import Client
from kit.guides import Block, blocks_of, run_block
from kit.patience import PATIENCE_SECONDS
from kit.service import Service, clean_environment

ROOT = Path(__file__).parents[2]
README = "README.md"
GUIDES = "docs/guides/"


def below(heading: str, page: str = README) -> list[Block]:
    """The blocks that stand below a heading."""
    found = [block for block in blocks_of(ROOT, page) if heading in block.headings]
    return [block for block in found if not block.excuse and block.language in ("sh", "python")]


@pytest.fixture
def toured(new_service: Callable[..., Service], tmp_path: Path) -> Service:
    """The service that the first block of the README starts."""
    start = below("## Five minutes")[0].text
    make, init, serve = start.splitlines()
    assert make == "make setup"
    run_block(init.removeprefix(".venv/bin/"), tmp_path)
    option, config = serve.partition("slipway serve ")[2].split()
    return new_service(arguments=[option, tmp_path / config]).start()


def variables(service: Service, folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {"SLIPWAY_URL": service.url, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}


@pytest.mark.runs("README.md", "## Five minutes")
def test_five_minutes(toured: Service, tmp_path: Path) -> None:
    _, tour, fault, program = below("## Five minutes")
    env = variables(toured, tmp_path)
    printed = run_block(tour.text, tmp_path, **env)
    assert "Diamond" in printed
    assert "\n216816\n" in printed, "the primes up to 3,000,000"
    assert "night 4" not in printed.partition("216816")[0]
    assert "ssh-ed25519 " in printed
    [called] = toured.client().get("/executions", name="night 4")["executions"]
    assert called["state"] in ("CANCELLING", "CANCELLED")
    with pytest.raises(AssertionError, match="a whole number is needed"):
        run_block(fault.text, tmp_path, **env)
    ran = subprocess.run(
        [sys.executable, "-c", program.text.replace("http://127.0.0.1:8080", toured.url)],
        env=clean_environment(), capture_output=True, text=True, check=True,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert ran.stdout.splitlines()[-1] == "216816"


@pytest.mark.runs("README.md", "## The same with curl")
def test_the_same_with_curl(toured: Service, tmp_path: Path) -> None:
    tour, fault = below("## The same with curl")
    address, rest = tour.text.split("\n", 1)
    assert address == "URL=http://127.0.0.1:8080"
    printed = run_block(rest, tmp_path, URL=toured.url)
    assert "join: 114155 + 102661 = 216816 primes" in printed
    assert "event: end" in printed
    assert "202" in printed.split(), "what was cancelled"
    told = run_block(f"set +e; {fault.text}".replace("curl -s", "curl --fail-with-body -s"),
                     tmp_path, URL=toured.url)  # fmt: skip
    assert "inputs.n" in told
    assert "inputs.m" in told


@pytest.mark.runs("docs/guides/executions.md")
def test_executions_are_found_again(toured: Service, tmp_path: Path) -> None:
    launch, lists = [block.text for block in blocks_of(ROOT, GUIDES + "executions.md")]
    launched = json.loads(run_block(launch, tmp_path, URL=toured.url))
    assert launched["name"] == "night 4"
    lists = lists.replace("id=e5b2", f"id={launched['id'][:8]}").replace("&state=FAILED", "")
    printed = run_block(lists, tmp_path, URL=toured.url)
    pages = [json.loads(line)["executions"] for line in printed.splitlines() if line]
    assert [[each["id"] for each in page] for page in pages] == [[launched["id"]]] * 3


@pytest.mark.runs("docs/guides/why-did-it-fail.md")
def test_what_failed_is_told_compared_and_packed(
    shared_service: Service, client: Client, tmp_path: Path
) -> None:
    one, other = client.launch("hello"), client.launch("hello", {"name": "somebody else"})
    for execution in (one, other):
        client.wait(execution)
    env = {"URL": shared_service.url, "ID": one, "ONE": one, "OTHER": other}
    digest, diff, bundle = below("# Why did it fail?", GUIDES + "why-did-it-fail.md")
    assert one in run_block(digest.text, tmp_path, **env)
    assert "somebody else" in run_block(diff.text, tmp_path, **env)
    run_block(bundle.text, tmp_path, **env)
    assert zipfile.is_zipfile(tmp_path / "bundle.zip")


@pytest.mark.runs("docs/guides/workflows.md")
def test_a_definition_is_checked_uploaded_and_read(shared_service: Service, tmp_path: Path) -> None:
    upload, read = below("# Writing workflows", GUIDES + "workflows.md")
    (tmp_path / "my.yaml").write_text(
        "id: my\nsteps: [{id: a, type: script, config: {script: echo x}}]\n"
    )
    *most, remove = upload.text.splitlines()
    env = variables(shared_service, tmp_path) | {"URL": shared_service.url}
    run_block("\n".join(most), tmp_path, **env)
    again = "echo '# another one' >> my.yaml\n" + most[-1]
    printed = run_block(f"{again}\n{read.text}\n{remove}", tmp_path, **env)
    assert printed.count("# another one") == 3
