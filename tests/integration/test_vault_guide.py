"""The commands of the guide on Vault, run by Vault's own program against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import hvac
import pytest
from kit.guides import blocks_of, run_block
from kit.servers.vault import AppRole, DevVault

ROOT = Path(__file__).parents[2]
PAGE = "docs/guides/vault.md"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DevVault]:
    """A server of its own, as new as the guide takes it for."""
    made = DevVault(tmp_path)
    made.root.sys.disable_secrets_engine("secret")
    yield made
    made.stop()


@pytest.fixture
def run(server: DevVault) -> Callable[..., str]:
    """Run a block as an administrator of the server."""
    env = {"VAULT_ADDR": server.address, "VAULT_TOKEN": server.root.token}

    def run(sign: str, **places: str) -> str:
        [block] = [each.text for each in blocks_of(ROOT, PAGE) if sign in each.text]
        for place, value in places.items():
            block = block.replace(f"<{place}>", value)
        client = f'vault() {{ "{server.program}" "$@"; echo; }}\n'  # what it prints has no end
        return run_block(client + block, ROOT, **env)

    return run


@pytest.mark.runs("docs/guides/vault.md", "vault ")
def test_the_commands_of_the_guide_do_what_it_says(
    server: DevVault, run: Callable[..., str]
) -> None:
    for sign in ("secrets enable", "policy write", "auth enable", "sys/quotas/config"):
        run(f"vault {sign}" if "/" not in sign else sign)
    role = AppRole(
        "slipway-web", *run("-field=role_id auth/approle/role/slipway-web/role-id\n   v").split()
    )
    assert server.log_in(role).is_authenticated()
    wrapped = run("-wrap-ttl=10m").strip()
    unwrapped = server.root.sys.unwrap(wrapped)["data"]["secret_id"]
    plain = hvac.Client(server.address, token=run("token create").strip())
    assert plain.lookup_token()["data"]["policies"] == ["slipway-web"]

    plain.secrets.kv.v2.create_or_update_secret("ssh-credentials/17", {"privateKey": "x"})
    run("kv metadata delete", id="17")
    with pytest.raises(hvac.exceptions.InvalidPath):
        server.root.secrets.kv.v2.read_secret_metadata("ssh-credentials/17")

    client = server.log_in(role)
    run("lease revoke")
    with pytest.raises(hvac.exceptions.Forbidden):
        client.lookup_token()
    accessor = accessor_of(server, role.secret_id)
    assert accessor in run("secret-id-accessor/destroy", accessor=accessor)
    with pytest.raises(hvac.exceptions.VaultError):
        server.log_in(role)
    run("sys/locked-users")
    assert server.log_in(AppRole(role.name, role.role_id, unwrapped)).is_authenticated()


def accessor_of(server: DevVault, secret_id: str) -> str:
    """By which a secret id is destroyed without being told."""
    path = "auth/approle/role/slipway-web/secret-id/lookup"
    found = server.root.write_data(path, data={"secret_id": secret_id})
    return str(found["data"]["secret_id_accessor"])
