"""The settings of who may call, as the manuals of other gateways print them, on a real service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from kit.certificates import Authority
from kit.patience import PATIENCE_SECONDS
from kit.service import Service, run_slipway
from kit.tokens import claims, sign

SECRET = "0123456789abcdef0123456789abcdef"
BLOCK = """\
api:
  enabled: {enabled}
  port: 8080
  tls:
    enabled: {tls}
    cert: {cert}
    key: {key}
  auth:
    type: {type}  # or api_key
    secret: ${{API_SECRET}}
  rate_limit:
    requests_per_minute: 60
"""


def block(
    folder: Path, type_: str, *, authority: Authority | None = None, enabled: bool = True
) -> Path:
    """Write the block; without TLS its files need not be there."""
    cert, key = Path("/path/to/cert.pem"), Path("/path/to/key.pem")
    if authority is not None:
        pair = authority.issue("localhost")
        cert, key = pair.cert, pair.key
    file = folder / "slipway.yaml"
    texts = {"enabled": str(enabled).lower(), "tls": str(authority is not None).lower()}
    file.write_text(BLOCK.format(type=type_, cert=cert, key=key, **texts), encoding="utf-8")
    return file


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("type_", ["jwt", "api_key"])
def test_the_block_starts_the_service(
    new_service: Callable[..., Service], tmp_path: Path, type_: str, tls: bool
) -> None:
    authority = Authority(tmp_path / "ca")
    file = block(tmp_path, type_, authority=authority if tls else None)
    env = {"API_SECRET": SECRET, "SLIPWAY_DATA_DIR": str(tmp_path / "data")}
    service = new_service(env=env, arguments=["--config", file]).start()
    assert service.url.startswith("https://" if tls else "http://")
    trusted = str(authority.cert) if tls else True

    def ask(bearer: str | None) -> requests.Response:
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return requests.get(
            f"{service.url}/workflows", headers=headers, verify=trusted, timeout=PATIENCE_SECONDS
        )

    answer = ask(sign(claims(), SECRET) if type_ == "jwt" else SECRET)
    assert answer.status_code == 200
    assert answer.headers["RateLimit-Policy"] == '"default";q=60;w=60'
    refused = [None, "wrong", sign(claims(), "x" * 32), SECRET if type_ == "jwt" else "a.b.c"]
    assert {ask(bearer).status_code for bearer in refused} == {401}
    # Whoever has the shared key cannot sign with it.
    assert ask(sign(claims(), SECRET)).status_code == (200 if type_ == "jwt" else 401)
    assert SECRET not in service.log


@pytest.mark.parametrize("type_", ["jwt", "api_key"])
@pytest.mark.parametrize("secret", [None, "", "short"])
def test_nothing_starts_without_the_secret(tmp_path: Path, type_: str, secret: str | None) -> None:
    env = {"SLIPWAY_DATA_DIR": str(tmp_path / "data")}
    if secret is not None:
        env["API_SECRET"] = secret
    done = run_slipway("serve", "--config", block(tmp_path, type_), "--port", "0", env=env)
    assert done.returncode == 2
    assert "api.auth.secret" in done.stderr
    assert not secret or secret not in done.stderr.replace("shorter", "")


def test_without_the_api_nothing_listens(
    new_service: Callable[..., Service], tmp_path: Path
) -> None:
    file = block(tmp_path, "jwt", enabled=False)
    env = {"API_SECRET": SECRET, "SLIPWAY_DATA_DIR": str(tmp_path / "data")}
    service = new_service(env=env, arguments=["--config", file]).start()
    assert service.url == "nowhere"
    assert not service.children("web")
