"""The key store against a real Vault, with the policy files that operators install."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import hvac
import pytest
from kit.patience import PATIENCE_SECONDS
from kit.servers.vault import AppRole, DevVault, SealableVault, VaultServer

from app.clients.key_store import KeyPair
from app.clients.vault import VaultKeyStore
from app.clients.vault_keys import VaultPrivateKeys
from app.errors import ConfigError, UpstreamError, UpstreamRefused, UpstreamUnreachable
from app.settings import VaultSettings
from app.settings.schema import load_section

POLICIES = Path(__file__).parents[2] / "docker" / "vault"
WEB_POLICY = (POLICIES / "web-policy.hcl").read_text()
RUNNER_POLICY = (POLICIES / "runner-policy.hcl").read_text()
CONDUCTOR_POLICY = (POLICIES / "conductor-policy.hcl").read_text()
PAIR = KeyPair(private_key="-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", public_key="ssh-ed25519 x")

Open = Callable[..., VaultKeyStore]


@pytest.fixture
def open_store() -> Iterator[Open]:
    """Make key stores that are stopped at the end of the test."""
    stores: list[VaultKeyStore] = []

    def make(server: VaultServer, role: AppRole, **options: Any) -> VaultKeyStore:
        source = {"address": server.address, "role_id": role.role_id, "secret_id": role.secret_id}
        settings, faults = load_section(VaultSettings, {**source, **options}, "")
        assert settings, faults
        stores.append(VaultKeyStore(settings))
        return stores[-1]

    yield make
    for store in stores:
        store.stop()


@pytest.fixture
def web(vault_server: DevVault) -> AppRole:
    return vault_server.add_role(f"web-{uuid4()}", WEB_POLICY)


@pytest.fixture
def store(open_store: Open, vault_server: DevVault, web: AppRole) -> VaultKeyStore:
    return open_store(vault_server, web)


def key_id() -> str:
    return str(uuid4())


def read(client: hvac.Client, key: str) -> dict[str, Any]:
    answer = client.secrets.kv.v2.read_secret_version(
        f"ssh-credentials/{key}", raise_on_deleted_version=True
    )
    data: dict[str, Any] = answer["data"]["data"]
    return data


def revoke_logins(server: VaultServer) -> None:
    server.root.sys.revoke_prefix("auth/approle/login")


def test_a_stored_key_is_read_by_the_runner_and_not_by_the_web_role(
    vault_server: DevVault, store: VaultKeyStore, web: AppRole
) -> None:
    runner = vault_server.add_role(f"runner-{uuid4()}", RUNNER_POLICY)
    key = key_id()

    store.put(key, PAIR, {"site": "hpc", "n": 3, "tags": ["a"], "privateKey": "forged"})

    assert read(vault_server.log_in(runner), key) == {
        "privateKey": PAIR.private_key,
        "publicKey": PAIR.public_key,
        "site": "hpc",
        "n": 3,
        "tags": ["a"],
    }
    with pytest.raises(hvac.exceptions.Forbidden):
        read(vault_server.log_in(web), key)


def test_the_runner_cannot_write(vault_server: DevVault, open_store: Open) -> None:
    runner = vault_server.add_role(f"runner-{uuid4()}", RUNNER_POLICY)
    store = open_store(vault_server, runner)

    with pytest.raises(UpstreamRefused, match="policy"):
        store.put(key_id(), PAIR, {})
    with pytest.raises(UpstreamRefused, match="policy"):
        store.delete(key_id())


@pytest.fixture
def open_reader() -> Iterator[Callable[..., VaultPrivateKeys]]:
    """Make readers of keys that are stopped at the end of the test."""
    readers: list[VaultPrivateKeys] = []

    def make(server: VaultServer, role: AppRole) -> VaultPrivateKeys:
        login = {"role_id": role.role_id, "secret_id": role.secret_id}
        of_web = {"address": server.address, "role_id": "of-the-web", "secret_id": "s"}
        settings, faults = load_section(VaultSettings, {**of_web, "reader": login}, "")
        assert settings, faults
        assert settings.reader
        readers.append(VaultPrivateKeys(settings, settings.reader))
        return readers[-1]

    yield make
    for reader in readers:
        reader.close()


def test_a_conductor_reads_what_the_web_wrote_and_writes_nothing(
    vault_server: DevVault,
    store: VaultKeyStore,
    open_store: Open,
    open_reader: Callable[..., VaultPrivateKeys],
) -> None:
    role = vault_server.add_role(f"conductor-{uuid4()}", CONDUCTOR_POLICY)
    reader, key, other = open_reader(vault_server, role), key_id(), key_id()
    store.put(key, PAIR, {"certificate": "ssh-ed25519-cert-v01@openssh.com AAAA"})
    store.put(other, PAIR, {})

    assert reader.get(key).private_key == PAIR.private_key
    assert reader.get(key).certificate == "ssh-ed25519-cert-v01@openssh.com AAAA"
    assert reader.get(other).certificate is None
    revoke_logins(vault_server)
    assert reader.get(key).private_key == PAIR.private_key, "it logs in again"

    reader.remove(key)
    reader.remove(key)
    with pytest.raises(UpstreamRefused, match="no private half"):
        reader.get(key)
    with pytest.raises(UpstreamRefused, match="policy"):
        open_store(vault_server, role).put(key_id(), PAIR, {})


def test_the_role_of_the_web_reads_nothing_for_a_conductor_either(
    vault_server: DevVault,
    store: VaultKeyStore,
    web: AppRole,
    open_reader: Callable[..., VaultPrivateKeys],
) -> None:
    key = key_id()
    store.put(key, PAIR, {})
    with pytest.raises(UpstreamRefused, match="policy") as caught:
        open_reader(vault_server, web).get(key)
    assert key not in str(caught.value.detail), "the id is as good as the key to some"


def test_delete_removes_all_versions_and_may_be_repeated(
    vault_server: DevVault, store: VaultKeyStore
) -> None:
    key = key_id()
    store.put(key, PAIR, {})
    kv = vault_server.root.secrets.kv.v2
    kv.create_or_update_secret(f"ssh-credentials/{key}", {"privateKey": "second"})

    store.delete(key)
    store.delete(key)

    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_metadata(f"ssh-credentials/{key}")
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_version(f"ssh-credentials/{key}", version=1, raise_on_deleted_version=True)


def test_nothing_is_overwritten(vault_server: DevVault, store: VaultKeyStore) -> None:
    key = key_id()
    store.put(key, PAIR, {})

    with pytest.raises(UpstreamRefused):
        store.put(key, KeyPair("another", "another"), {})

    assert read(vault_server.root, key)["privateKey"] == PAIR.private_key


def test_the_shipped_policy_is_enough(store: VaultKeyStore) -> None:
    store.check()
    store.health()


@pytest.mark.parametrize(
    ("cut", "named"),
    [
        ('"create", "update"', "'create' on 'secret/data/ssh-credentials/\\*'"),
        ('"delete"', "'delete' on 'secret/metadata/ssh-credentials/\\*'"),
        ("auth/token/renew-self", "'update' on 'auth/token/renew-self'"),
    ],
)
def test_a_missing_capability_is_named_at_the_start(
    vault_server: DevVault, open_store: Open, cut: str, named: str
) -> None:
    policy = WEB_POLICY.replace(cut, '"list"' if cut.startswith('"') else "auth/token/nothing")
    role = vault_server.add_role(f"web-{uuid4()}", policy)

    with pytest.raises(ConfigError, match=named):
        open_store(vault_server, role).check()


def test_a_policy_without_any_of_it_is_reported_at_the_start(
    vault_server: DevVault, open_store: Open
) -> None:
    role = vault_server.add_role(f"web-{uuid4()}", 'path "other/*" { capabilities = ["read"] }')

    with pytest.raises(ConfigError, match="'update' on 'sys/capabilities-self'"):
        open_store(vault_server, role).check()


def test_a_bad_login_is_reported_at_the_start(
    vault_server: DevVault, open_store: Open, web: AppRole
) -> None:
    with pytest.raises(ConfigError, match="secret id is wrong, expired"):
        open_store(vault_server, web, secret_id="wrong").check()
    with pytest.raises(ConfigError, match="token"):
        open_store(vault_server, web, auth="token", token="wrong").check()


def test_an_engine_of_version_1_is_reported_and_never_trusted(
    vault_server: DevVault, open_store: Open
) -> None:
    mount = f"kv-{uuid4()}"
    vault_server.root.sys.enable_secrets_engine("kv", path=mount, options={"version": "1"})
    role = vault_server.add_role(f"web-{uuid4()}", WEB_POLICY.replace('"secret/', f'"{mount}/'))
    store = open_store(vault_server, role, mount=mount)

    with pytest.raises(ConfigError, match="version 2"):
        store.check()
    with pytest.raises(UpstreamError):
        store.put(key_id(), PAIR, {})


def test_a_plain_token_does(vault_server: DevVault, open_store: Open, web: AppRole) -> None:
    made = vault_server.root.auth.token.create(policies=[web.name], ttl="1h", no_parent=True)
    store = open_store(vault_server, web, auth="token", token=made["auth"]["client_token"])

    store.check()
    store.put(key_id(), PAIR, {})

    assert store.token_ttl_seconds == pytest.approx(3600, abs=30)


def test_a_revoked_token_is_replaced_in_mid_run(
    vault_server: DevVault, store: VaultKeyStore
) -> None:
    store.put(key_id(), PAIR, {})
    revoke_logins(vault_server)
    keys = [key_id() for _ in range(20)]

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda key: store.put(key, PAIR, {}), keys))

    for key in keys:
        assert read(vault_server.root, key)["privateKey"] == PAIR.private_key


def test_a_token_at_its_maximum_is_replaced_ahead_of_its_end(
    vault_server: DevVault, open_store: Open
) -> None:
    role = vault_server.add_role(f"web-{uuid4()}", WEB_POLICY, token_ttl="3s", token_max_ttl="5s")
    store = open_store(vault_server, role)
    store.check()
    left = []

    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        store.put(key_id(), PAIR, {})
        left.append(store.token_ttl_seconds or 0)
        time.sleep(0.2)

    assert min(left) > 0
    assert max(left) <= 3


def test_a_sealed_vault_is_an_outage_and_passes(
    sealable_vault: SealableVault, open_store: Open
) -> None:
    store = open_store(sealable_vault, sealable_vault.add_role("web", WEB_POLICY))
    before, during, after = key_id(), key_id(), key_id()
    store.put(before, PAIR, {})

    sealable_vault.seal()
    calls: list[Callable[[], None]] = [
        lambda: store.put(during, PAIR, {}),
        lambda: store.delete(before),
        store.check,
        store.health,
    ]
    for call in calls:
        with pytest.raises(UpstreamUnreachable, match="sealed") as caught:
            call()
        assert caught.value.retry_after_seconds

    sealable_vault.unseal()
    store.health()
    store.put(after, PAIR, {})
    assert read(sealable_vault.root, before) == read(sealable_vault.root, after)


def test_a_restart_of_the_server_is_survived(
    sealable_vault: SealableVault, open_store: Open
) -> None:
    store = open_store(sealable_vault, sealable_vault.add_role("web", WEB_POLICY))
    store.put(key_id(), PAIR, {})

    sealable_vault.stop()
    calls: list[Callable[[], None]] = [lambda: store.put(key_id(), PAIR, {}), store.health]
    for call in calls:
        with pytest.raises(UpstreamUnreachable, match="cannot be reached") as caught:
            call()
        assert caught.value.retry_after_seconds

    sealable_vault.start()
    sealable_vault.unseal()
    store.put(key_id(), PAIR, {})
    store.health()


def test_a_vault_that_nobody_initialised_says_so(tmp_path: Path, open_store: Open) -> None:
    server = SealableVault(tmp_path)
    try:
        with pytest.raises(UpstreamUnreachable, match="not initialised"):
            open_store(server, AppRole("none", "none", "none")).health()
    finally:
        server.stop()


def test_a_wrapped_secret_id_is_unwrapped_once_and_kept(
    vault_server: DevVault, open_store: Open, web: AppRole
) -> None:
    wrapped = vault_server.root.auth.approle.generate_secret_id(web.name, wrap_ttl="60s")
    options = {"secret_id": wrapped["wrap_info"]["token"], "is_secret_wrapped": True}
    store = open_store(vault_server, web, **options)
    store.put(key_id(), PAIR, {})
    revoke_logins(vault_server)

    store.put(key_id(), PAIR, {})

    with pytest.raises(ConfigError, match="used before"):
        open_store(vault_server, web, **options).check()


@pytest.mark.parametrize("named", [True, False])
def test_a_rate_limit_is_obeyed(vault_server: DevVault, store: VaultKeyStore, named: bool) -> None:
    def put_often() -> None:
        for _ in range(5):
            store.put(key_id(), PAIR, {})

    vault = vault_server.root
    vault.adapter.post("/v1/sys/quotas/config", json={"enable_rate_limit_response_headers": named})
    vault.sys.create_or_update_quota("slow", rate=2, path="secret/", interval="2s")
    try:
        with pytest.raises(UpstreamUnreachable, match="busy") as caught:
            put_often()
        pause = caught.value.retry_after_seconds
        assert pause is not None
        assert 0 < pause <= 2
        time.sleep(2)
        store.put(key_id(), PAIR, {})
    finally:
        vault.sys.delete_quota("slow")


def test_certificates_are_checked(tmp_path: Path, open_store: Open) -> None:
    server = DevVault(tmp_path, tls=True)
    try:
        role = server.add_role("web", WEB_POLICY)
        open_store(server, role, ca_file=server.ca_file).check()
        with pytest.raises(UpstreamUnreachable, match="cannot be reached"):
            open_store(server, role).check()
    finally:
        server.stop()


GEVENT_PROGRAM = """
from gevent import monkey; monkey.patch_all()
import sys, gevent
from app.clients.key_store import KeyPair
from app.clients.vault import VaultKeyStore
from app.settings import VaultSettings
from app.settings.schema import load_section
address, role_id, secret_id = sys.argv[1:]
source = {"address": address, "role_id": role_id, "secret_id": secret_id}
store = VaultKeyStore(load_section(VaultSettings, source, "")[0])
jobs = [gevent.spawn(store.put, f"gevent-{i}", KeyPair("k", "k"), {}) for i in range(50)]
gevent.joinall(jobs, raise_error=True)
gevent.sleep(4)  # longer than the token lives
ttl = store.token_ttl_seconds
store.stop()
print(0 < ttl <= 3)
"""


def test_it_works_in_a_process_that_gevent_patched(vault_server: DevVault) -> None:
    role = vault_server.add_role(f"web-{uuid4()}", WEB_POLICY, token_ttl="3s")

    done = subprocess.run(
        [sys.executable, "-c", GEVENT_PROGRAM, vault_server.address, role.role_id, role.secret_id],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("True\n", "")
