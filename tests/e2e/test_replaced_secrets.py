"""The lines of ``docs/security.md`` that replace secrets, run as they stand there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import requests
from kit.guides import blocks, run_block
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service, manage

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
OLD, NEW = "the old password", "the new password"


def lines() -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return blocks(text.partition("### Replacing secrets\n")[2].partition("\n### ")[0])


def test_they_do_what_it_says(tmp_path: Path, new_service: Callable[..., Service]) -> None:
    config, secret = tmp_path / "slipway.yaml", tmp_path / "api-secret"
    secret.write_text("s" * 40)
    secret.chmod(0o600)
    settings = {
        "data_dir": str(tmp_path / "data"),
        "api": {"auth": {"type": ["basic", "api_key"], "secret": f"${{file:{secret}}}"}},
    }
    config.write_text(json.dumps(settings))
    for arguments in (
        ["user", "add", "ada", "--role", "user"],
        ["api-key", "create", "--owner", "ada", "--name", "nightly", "--expires-in", "720h"],
    ):
        printed = manage(*arguments, "--config", config, typed=f"{OLD}\n")
    (tmp_path / "old.key").write_text(printed)
    (tmp_path / "new-password.txt").write_text(f"{NEW}\n")
    service = new_service(arguments=["--config", config], cwd=tmp_path).start()

    def status(*, password: str = "", bearer: str = "") -> int:
        answer = requests.get(
            f"{service.url}/workflows", timeout=PATIENCE_SECONDS,
            auth=("ada", password) if password else None,
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
        )  # fmt: skip
        return answer.status_code

    def run(block: str) -> None:
        run_block(block, tmp_path, PID=str(service.pid))

    another_password, another_key, another_signer, another_secret = lines()
    old_key = (tmp_path / "old.key").read_text().strip()
    token = requests.post(
        f"{service.url}/auth/token", auth=("ada", OLD), timeout=PATIENCE_SECONDS
    ).json()["access_token"]
    assert (status(password=OLD), status(bearer=old_key), status(bearer=token)) == (200, 200, 200)
    run(another_signer)
    await_that(lambda: status(bearer=token) == 401, "the token is worth nothing")
    run(another_password)
    await_that(lambda: status(password=OLD) in {401, 429}, "the old password is worth nothing")
    assert status(password=NEW) in {200, 429}
    run(another_key)
    await_that(lambda: status(bearer=old_key) == 401, "the old key is worth nothing")
    assert status(bearer=(tmp_path / "new.key").read_text().strip()) == 200
    assert status(bearer="s" * 40) == 200
    run(another_secret)
    await_that(lambda: status(bearer=secret.read_text().strip()) == 200, "the new secret counts")
    assert status(bearer="s" * 40) == 401
