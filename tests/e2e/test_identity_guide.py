"""The lines of the guide to identities about API keys and certificates, run as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.certificates import Authority
from kit.patience import PATIENCE_SECONDS
from kit.service import Service, clean_environment, run_slipway

from app.identity.scopes import SCOPES

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "identities.md"
PASSWORD = "a long password"
SHELL = """
set -euo pipefail
slipway() { "$PYTHON" -P -m app.cli "$@"; }
curl() {  # curl asks at the terminal for the password of -u ada
    local words=() word
    for word in "$@"; do
        [ "$word" = ada ] && word="ada:$PASSWORD"
        words+=("$word")
    done
    command curl --noproxy '*' -fsS "${words[@]}"
    echo
}
"""


def part(title: str) -> str:
    text = GUIDE.read_text(encoding="utf-8")
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def blocks(title: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", part(title), re.DOTALL)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    if shutil.which("curl") is None or shutil.which("openssl") is None:
        pytest.skip("no curl or no openssl on this machine; see .ci/install-servers")

    def run(block: str, **more: str) -> str:
        env = clean_environment({"PYTHON": sys.executable, "PASSWORD": PASSWORD, **more})
        done = subprocess.run(
            ["bash", "-c", SHELL + block], cwd=tmp_path, env=env, capture_output=True, text=True,
            check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def configured(folder: Path, types: list[str], **more: object) -> Path:
    config = folder / "slipway.yaml"
    api = {"auth": {"type": types}, **more}
    config.write_text(json.dumps({"data_dir": str(folder / "data"), "api": api}))
    arguments = ["user", "add", "ada", "--role", "user", "--config", config]
    done = run_slipway(*arguments, typed=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    return config


def test_keys_are_made_used_and_revoked(
    tmp_path: Path, new_service: Callable[..., Service], run: Callable[..., str]
) -> None:
    config = configured(tmp_path, ["basic", "api_key"])
    service = new_service(arguments=["--config", config]).start()
    by_command, by_http, *_ = blocks("API keys")
    create, rest = by_command.split("slipway api-key list", 1)
    run(create)
    key = (tmp_path / "ada.key").read_text().strip()
    told = run(f"slipway api-key list{rest}".replace("slw_7RQb", key[:8]))
    assert key[:8] in told
    make, rest = by_http.split("curl -u ada $URL/api_keys\n", 1)
    made = json.loads(run(make, URL=service.url))
    remove, use = rest.split("\n", 1)
    unrestricted = make.replace(', "scopes": ["executions:read"]', "")
    assert unrestricted != make
    key = json.loads(run(unrestricted, URL=service.url))["key"]
    run(use, URL=service.url, KEY=key)
    run(remove.replace("<id>", made["id"]), URL=service.url)
    listed = run("curl -u ada $URL/api_keys", URL=service.url)
    assert json.loads(listed)


def test_a_certificate_is_whom_it_names(
    tmp_path: Path, new_service: Callable[..., Service], run: Callable[..., str]
) -> None:
    make, use = blocks("Certificates of clients")
    run(make)
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("localhost")
    shutil.copyfile(authority.cert, tmp_path / "fullchain.pem")
    tls = {
        "enabled": True, "cert": str(pair.cert), "key": str(pair.key), "client_ca": "clients.pem",
    }  # fmt: skip
    config = configured(tmp_path, ["certificate", "basic"], tls=tls)
    service = new_service(arguments=["--config", config]).start()
    assert json.loads(run(use, URL=service.url))["executions"] == []


def test_the_guide_names_each_scope() -> None:
    table = "\n".join(line for line in part("Scopes").splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([a-z:]+)`", table)) == set(SCOPES)
