"""What the guide on the command line shows of logins, keys, output and the words of ``waas``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.accounts import ADA
from kit.guides import below, blocks, run_block
from kit.people import Person
from kit.service import Service

ROOT = Path(__file__).parents[2]
GUIDE = "docs/guides/cli.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands are typed; the password is in a file there."""
    (tmp_path / "password.txt").write_text(f"{ADA}\n")
    return tmp_path


def typed(block: str, folder: Path, person: Person, service: Service) -> str:
    return run_block(block, folder, URL=service.url, HOME=str(person.home))


@pytest.mark.runs("docs/guides/cli.md", 'slipway login "$URL" -u ada')
def test_signing_in(folder: Path, person: Person, accounts: Service) -> None:
    [block] = below(ROOT, GUIDE, "## Signing in")
    told = typed(block, folder, person, accounts)
    assert "Signed in as ada" in told
    assert "Signed out of" in told


@pytest.mark.runs("docs/guides/cli.md", "slipway profiles use test")
def test_profiles(folder: Path, person: Person, accounts: Service) -> None:
    [block] = below(ROOT, GUIDE, "### Profiles")
    told = typed(block, folder, person, accounts)
    assert "kept as profile test" in told
    assert "*  test" in told


@pytest.mark.runs(
    "docs/guides/cli.md", "slipway keys create --out n01.pub", "slipway api-keys create nightly"
)
def test_keys(folder: Path, ada: Person, accounts: Service) -> None:
    ssh, api = below(ROOT, GUIDE, "## Keys")
    assert "ssh-ed25519" in typed(ssh, folder, ada, accounts)
    assert (folder / "n01.pub").read_text().startswith("restrict ssh-ed25519")
    assert "restricted" in typed(api, folder, ada, accounts)
    assert ada.types("keys", "revoke", *ada.types("keys", "-o", "name").out.split()).code == 0


@pytest.mark.runs("docs/guides/cli.md", "slipway whoami --query 'roles[0]'")
def test_output(folder: Path, ada: Person, accounts: Service) -> None:
    [block] = below(ROOT, GUIDE, "## Output")
    *document, role, url = typed(block, folder, ada, accounts).splitlines()
    assert json.loads("\n".join(document))["username"] == "ada"
    assert (role, url) == ("developer", accounts.url)


@pytest.mark.runs("docs/guides/cli.md", "slipway doctor\n")
def test_when_something_does_not_work(folder: Path, ada: Person, accounts: Service) -> None:
    [block] = below(ROOT, GUIDE, "## When something does not work")
    told = typed(block, folder, ada, accounts)
    assert "ok   stream" in told
    assert "service " in told


@pytest.mark.runs("docs/guides/cli.md", "slipway wf trigger diamond")
def test_coming_from_waas(folder: Path, person: Person, shared_service: Service) -> None:
    [block] = below(ROOT, GUIDE, "## Coming from waas")
    (person.home / ".waas").write_text(f"api_url: {shared_service.url}\n")
    told = typed(block, folder, person, shared_service).splitlines()
    assert json.loads(told[-1])["status"] == "SUCCESS"


@pytest.mark.runs("docs/guides/migrating-from-hpcwaas.md", "slipway --api_url")
def test_the_address_as_waas_takes_it(
    folder: Path, person: Person, shared_service: Service
) -> None:
    text = (ROOT / "docs/guides/migrating-from-hpcwaas.md").read_text(encoding="utf-8")
    [block] = [each for each in blocks(text) if "slipway --api_url" in each]
    assert "diamond" in typed(block, folder, person, shared_service).lower()
