"""The key store: what it sends, and what it says of a failure."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
import responses
from kit.clock import Clock
from scripted_vault import (
    ADDRESS,
    PAIR,
    SECRET_ID,
    WRAPPING_TOKEN,
    Answer,
    Open,
    ScriptedVault,
    body,
    error,
    failure,
    put,
)
from structlog.testing import capture_logs

from app.clients.vault import VaultKeyStore
from app.errors import (
    ConfigError,
    SlipwayError,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamUnreachable,
)


def test_nothing_is_sent_before_the_first_call(vault: ScriptedVault, store: VaultKeyStore) -> None:
    assert vault.calls == []
    assert store.token_ttl_seconds is None


def test_put_creates_one_secret_with_the_metadata_beside_the_keys(
    vault: ScriptedVault, store: VaultKeyStore
) -> None:
    metadata = {"site": "hpc", "n": 1, "flag": True, "privateKey": "no", "publicKey": "no"}

    store.put("id", PAIR, metadata)

    assert vault.calls == ["POST auth/approle/login", "POST secret/data/ssh-credentials/id"]
    assert body(vault.requests[-1]) == {
        "options": {"cas": 0},
        "data": {
            "site": "hpc",
            "n": 1,
            "flag": True,
            "privateKey": PAIR.private_key,
            "publicKey": PAIR.public_key,
        },
    }


def test_delete_takes_the_metadata_and_so_all_versions(
    vault: ScriptedVault, open_store: Open
) -> None:
    open_store(mount="/kv/team/", path="/keys/").delete("id")

    assert vault.calls[-1] == "DELETE kv/team/metadata/keys/id"


def test_the_namespace_goes_with_every_request_but_health(
    mock: responses.RequestsMock,
    vault: ScriptedVault,
    open_store: Open,
) -> None:
    store = open_store(namespace="hpc")
    put(store)
    assert {request.headers["X-Vault-Namespace"] for request in vault.requests} == {"hpc"}

    mock.reset()
    mock.get(f"{ADDRESS}/v1/sys/health", json={"initialized": True, "sealed": True})
    failure(store.health)
    assert "X-Vault-Namespace" not in mock.calls[0].request.headers


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, {}, "<html>welcome</html>"), UpstreamGarbled),
        ((200, {}, '{"data": null}'), UpstreamGarbled),
        ((204, {}, ""), UpstreamGarbled),  # an engine of version 1
        (error(400, "check-and-set parameter did not match"), UpstreamRefused),
        (error(404, "no handler for route"), UpstreamRefused),
        ((404, {}, "<html>nowhere</html>"), UpstreamRefused),
    ],
)
def test_what_is_not_a_success_never_passes_for_one(
    vault: ScriptedVault, store: VaultKeyStore, answer: Answer, expected: type[UpstreamError]
) -> None:
    vault.broken = answer

    assert isinstance(failure(lambda: put(store)), expected)


@pytest.mark.parametrize("answer", [(200, {}, "{}"), (200, {}, "[]"), (200, {}, "<html>")])
def test_a_login_that_makes_no_sense(
    vault: ScriptedVault, store: VaultKeyStore, answer: Answer
) -> None:
    vault.login_error = answer

    assert isinstance(failure(lambda: put(store)), UpstreamGarbled)


def test_no_error_and_no_log_holds_a_secret(
    vault: ScriptedVault, open_store: Open, clock: Clock
) -> None:
    echo = f"{PAIR.private_key} {SECRET_ID} {WRAPPING_TOKEN}"
    faults: list[SlipwayError] = []
    with capture_logs() as logs:
        store = open_store(secret_id=WRAPPING_TOKEN, is_secret_wrapped=True)
        for status in (200, 400, 403, 404, 429, 500, 503):
            vault.broken = (status, {}, echo)
            faults.append(failure(lambda: put(store)))
            clock.now += 10
        vault.alive.clear()
        vault.login_error = (400, {}, echo)
        faults.append(failure(lambda: put(store)))
        clock.now += 3600
        store._tokens.renew_when_due()

    assert logs
    shown = [repr(logs), repr(store._tokens.current())]
    for exc in faults:
        shown += [str(exc.detail), repr(exc), *traceback.format_exception(exc)]
    for secret in (PAIR.private_key, SECRET_ID, WRAPPING_TOKEN, "TOKEN-OF-THE-TEST"):
        assert secret not in "".join(shown)


@pytest.mark.parametrize(
    ("health", "leader", "message"),
    [
        ({"initialized": False, "sealed": True, "standby": True}, "", "not initialised"),
        ({"initialized": True, "sealed": True, "standby": True}, "", "sealed"),
        ({"initialized": True, "sealed": False, "standby": True}, "", "standby"),
        (
            {
                "initialized": True,
                "sealed": False,
                "standby": False,
                "replication_dr_mode": "secondary",
            },
            "",
            "disaster recovery",
        ),
        ({"initialized": True, "sealed": False, "standby": True}, "https://active", None),
        ({"initialized": True, "sealed": False, "standby": False}, "", None),
    ],
)
def test_health_says_why_keys_cannot_be_stored(
    mock: responses.RequestsMock,
    open_store: Open,
    health: dict[str, Any],
    leader: str,
    message: str | None,
) -> None:
    mock.get(f"{ADDRESS}/v1/sys/health", json=health)
    mock.get(f"{ADDRESS}/v1/sys/leader", json={"leader_address": leader})

    if message is None:
        open_store().health()
    else:
        exc = failure(open_store().health)
        assert isinstance(exc, UpstreamUnreachable)
        assert message in exc.message


def test_health_tells_of_a_policy_that_denied_a_key_until_it_is_mended(
    vault: ScriptedVault, store: VaultKeyStore
) -> None:
    vault.denied = True
    failure(lambda: put(store))
    vault.capabilities = {"secret/data/ssh-credentials/any": ["deny"]}
    assert "policy lacks 'create'" in failure(store.health).message

    vault.denied, vault.capabilities = False, {}
    store.health()
    assert not store._was_denied


def test_health_tells_of_a_login_that_fails_and_heals_it(
    vault: ScriptedVault, store: VaultKeyStore, clock: Clock
) -> None:
    store.health()
    vault.login_error = error(400, "invalid role or secret ID")
    failure(lambda: put(store))
    assert "login" in failure(store.health).message

    vault.login_error = None
    clock.now += 60
    store.health()
    assert len(vault.alive) == 1


def test_check_names_every_capability_that_is_missing(
    vault: ScriptedVault, store: VaultKeyStore
) -> None:
    store.check()
    vault.capabilities = {
        "secret/data/ssh-credentials/any": ["create"],
        "secret/metadata/ssh-credentials/any": ["deny"],
    }

    exc = failure(store.check)

    assert isinstance(exc, ConfigError)
    assert [fault.message for fault in exc.fields] == [
        "the policy lacks 'update' on 'secret/data/ssh-credentials/*'",
        "the policy lacks 'delete' on 'secret/metadata/ssh-credentials/*'",
    ]


def test_check_leaves_an_outage_an_outage(vault: ScriptedVault, store: VaultKeyStore) -> None:
    vault.login_error = error(503, "Vault is sealed")

    assert isinstance(failure(store.check), UpstreamUnreachable)
