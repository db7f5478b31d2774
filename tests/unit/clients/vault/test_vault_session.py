"""The session: when it logs in, renews, waits, and what it makes of silence."""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import responses
from kit.clock import Clock
from kit.patience import await_that
from scripted_vault import (
    ADDRESS,
    WRAPPING_TOKEN,
    Answer,
    Open,
    ScriptedVault,
    error,
    failure,
    make_settings,
    put,
)
from structlog.testing import capture_logs
from urllib3.exceptions import NewConnectionError

from app.clients.vault import VaultKeyStore
from app.errors import (
    ConfigError,
    SlipwayError,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)


def test_a_token_of_the_environment_is_not_used(
    vault: ScriptedVault, store: VaultKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "of-somebody-else")

    put(store)

    assert "X-Vault-Token" not in vault.requests[0].headers


@pytest.mark.parametrize(("jitter", "due_seconds"), [(0.0, 2400.0), (1.0, 2160.0)])
def test_a_token_is_renewed_at_two_thirds_of_its_life(
    vault: ScriptedVault,
    open_store: Open,
    clock: Clock,
    jitter: float,
    due_seconds: float,
) -> None:
    store = open_store(jitter=jitter)
    put(store)
    assert store._tokens.renew_when_due() == pytest.approx(due_seconds)

    clock.now += due_seconds - 1
    assert store._tokens.renew_when_due() == pytest.approx(1)
    assert vault.count("POST auth/token/renew-self") == 0

    clock.now += 1
    assert store._tokens.renew_when_due() == pytest.approx(due_seconds)
    assert vault.count("POST auth/token/renew-self") == 1
    assert store.token_ttl_seconds == 3600


@pytest.mark.parametrize(
    ("grant", "renewals"),
    [
        ({"renewed_ttl": 1700}, 1),  # near its maximum
        ({"renewable": False}, 0),
    ],
)
def test_a_token_that_cannot_live_on_is_replaced_ahead_of_its_end(
    vault: ScriptedVault,
    store: VaultKeyStore,
    clock: Clock,
    grant: dict[str, Any],
    renewals: int,
) -> None:
    for name, value in grant.items():
        setattr(vault, name, value)
    put(store)

    clock.now += 2400
    assert store._tokens.renew_when_due() == pytest.approx(2400)

    assert vault.count("POST auth/token/renew-self") == renewals
    assert vault.count("POST auth/approle/login") == 2
    assert store.token_ttl_seconds == 3600


def test_a_token_that_vault_forgot_is_replaced_at_its_renewal(
    vault: ScriptedVault, store: VaultKeyStore, clock: Clock
) -> None:
    put(store)
    vault.alive.clear()

    clock.now += 2400
    store._tokens.renew_when_due()

    assert vault.count("POST auth/approle/login") == 2
    assert len(vault.alive) == 1


def test_a_token_without_an_end_is_left_alone(
    vault: ScriptedVault, store: VaultKeyStore, clock: Clock
) -> None:
    vault.ttl = 0
    put(store)

    clock.now += 1e9
    assert store._tokens.renew_when_due() == 3600  # the longest sleep

    assert vault.calls[-1] == "POST secret/data/ssh-credentials/id"
    assert store.token_ttl_seconds == float("inf")


def test_a_renewal_that_fails_is_logged_and_tried_again(
    vault: ScriptedVault, store: VaultKeyStore, clock: Clock
) -> None:
    put(store)
    vault.alive.clear()
    vault.login_error = error(503, "Vault is sealed")

    clock.now += 2400
    with capture_logs() as logs:
        assert store._tokens.renew_when_due() == pytest.approx(15)
    assert [entry["event"] for entry in logs] == ["vault token not renewed"]
    assert "sealed" in logs[0]["error"]

    vault.login_error = None
    clock.now += 15
    assert store._tokens.renew_when_due() == pytest.approx(2400)


def test_the_thread_renews_by_itself_and_ends(mock: responses.RequestsMock) -> None:
    vault = ScriptedVault(mock)
    vault.ttl = vault.renewed_ttl = 1  # the shortest pause is a second
    store = VaultKeyStore(make_settings())
    put(store)
    threads = [thread for thread in threading.enumerate() if thread.name == "vault-token"]
    assert len(threads) == 1

    await_that(lambda: vault.count("POST auth/token/renew-self"), "it is renewed")
    store.stop()

    assert not threads[0].is_alive()


def test_50_threads_log_in_once(vault: ScriptedVault, store: VaultKeyStore) -> None:
    with ThreadPoolExecutor(50) as threads:
        list(threads.map(lambda _: put(store), range(50)))

    assert vault.count("POST auth/approle/login") == 1
    assert vault.count("POST secret/data/ssh-credentials/id") == 50


def test_50_threads_with_a_dead_token_log_in_once(
    vault: ScriptedVault, store: VaultKeyStore
) -> None:
    put(store)
    vault.alive.clear()

    with ThreadPoolExecutor(50) as threads:
        list(threads.map(lambda _: put(store), range(50)))

    assert vault.count("POST auth/approle/login") == 2


def test_who_waits_for_a_login_shares_its_failure(vault: ScriptedVault) -> None:
    store = VaultKeyStore(make_settings())  # with a clock that goes on
    vault.login_error = error(503, "Vault is sealed")
    together = threading.Barrier(50)

    def attempt(_: int) -> SlipwayError:
        together.wait()
        return failure(lambda: put(store))

    with ThreadPoolExecutor(50) as threads:
        errors = list(threads.map(attempt, range(50)))

    assert all(isinstance(exc, UpstreamUnreachable) for exc in errors)
    assert vault.count("POST auth/approle/login") < 10


def test_a_refused_login_is_not_tried_again_soon(
    vault: ScriptedVault, store: VaultKeyStore, clock: Clock
) -> None:
    vault.login_error = error(400, "invalid role or secret ID")
    for _ in range(3):
        assert isinstance(failure(lambda: put(store)), UpstreamRefused)
        clock.now += 19
    assert vault.count("POST auth/approle/login") == 1

    vault.login_error = None
    clock.now += 3
    put(store)


def test_a_failure_that_is_remembered_keeps_no_private_key(
    vault: ScriptedVault, store: VaultKeyStore
) -> None:
    vault.login_error = error(400, "invalid role or secret ID")
    failures = [failure(lambda: put(store)) for _ in range(3)]

    kept = store._tokens.failure

    assert kept is not None
    assert kept.__traceback__ is None
    assert not any(kept is exc for exc in failures)
    assert {(type(exc), exc.message) for exc in failures} == {(type(kept), kept.message)}


@pytest.mark.parametrize("status", [429, 500, 403, 400])
def test_no_failure_tells_the_whole_id_of_a_key(
    vault: ScriptedVault, store: VaultKeyStore, status: int
) -> None:
    key_id = "0c181d50-abc5-4852-bb59-c8d88efa701f"
    put(store)
    vault.broken = error(status, f'path "secret/metadata/ssh-credentials/{key_id}": no')

    exc = failure(lambda: store.delete(key_id))

    assert key_id not in "".join([*traceback.format_exception(exc), str(exc.detail)])


@pytest.mark.parametrize("token", ["MALFORMED-SECRET\n", "MALFORMED-SECRET-\u20ac"])
def test_a_malformed_token_is_refused_and_not_quoted(open_store: Open, token: str) -> None:
    store = open_store(auth="token", token=token, address="http://127.0.0.1:1")

    exc = failure(lambda: put(store))

    assert "token" in exc.message
    assert "MALFORMED-SECRET" not in "".join([*traceback.format_exception(exc), str(exc.detail)])


def test_a_denial_is_no_reason_to_log_in(vault: ScriptedVault, store: VaultKeyStore) -> None:
    vault.denied = True

    for _ in range(3):
        exc = failure(lambda: put(store))
        assert isinstance(exc, UpstreamRefused)
        assert "policy" in exc.message

    assert vault.count("POST auth/approle/login") == 1
    assert vault.count("GET auth/token/lookup-self") == 3


def test_a_dead_token_is_replaced_and_the_call_repeated_once(
    vault: ScriptedVault, store: VaultKeyStore
) -> None:
    put(store)
    vault.alive.clear()
    del vault.calls[:]

    put(store)

    assert vault.calls == [
        "POST secret/data/ssh-credentials/id",
        "GET auth/token/lookup-self",
        "POST auth/approle/login",
        "POST secret/data/ssh-credentials/id",
    ]


def test_a_denial_after_the_new_login_is_final(vault: ScriptedVault, store: VaultKeyStore) -> None:
    put(store)
    vault.alive.clear()
    vault.denied = True

    assert isinstance(failure(lambda: put(store)), UpstreamRefused)

    assert vault.count("POST auth/approle/login") == 2


def test_a_plain_token_that_died_is_reported(vault: ScriptedVault, open_store: Open) -> None:
    vault.alive.add("plain")
    store = open_store(auth="token", token="plain")
    put(store)
    vault.alive.clear()

    exc = failure(lambda: put(store))

    assert isinstance(exc, UpstreamRefused)
    assert "token" in exc.message
    assert vault.count("POST auth/approle/login") == 0


def test_a_wrapped_secret_id_is_unwrapped_once(vault: ScriptedVault, open_store: Open) -> None:
    store = open_store(secret_id=WRAPPING_TOKEN, is_secret_wrapped=True)
    put(store)
    vault.alive.clear()
    put(store)

    assert vault.count("POST sys/wrapping/unwrap") == 1
    assert vault.count("POST auth/approle/login") == 2


def test_a_used_wrapping_token_is_reported(vault: ScriptedVault, open_store: Open) -> None:
    vault.wrapped.clear()
    store = open_store(secret_id=WRAPPING_TOKEN, is_secret_wrapped=True)

    exc = failure(store.check)

    assert isinstance(exc, ConfigError)
    assert "used before" in exc.message
    assert vault.count("POST auth/approle/login") == 0


@pytest.mark.parametrize(
    ("answer", "message", "pause"),
    [
        (error(503, "Vault is sealed"), "sealed", 15),
        (error(501, "not initialized"), "not initialised", 15),
        (error(500, "internal error"), "failed", 15),
        (error(502, "bad gateway"), "failed", 15),
        (error(599, "unheard of"), "failed", 15),
        (error(429, "rate limit quota exceeded"), "busy", 1),
        (error(429, "rate limit quota exceeded", **{"Retry-After": "7"}), "busy", 7),
        (error(429, "rate limit quota exceeded", **{"Retry-After": "9" * 400}), "busy", 300),
        ((307, {"Location": "https://other.test/"}, ""), "standby", 15),
    ],
)
def test_an_outage_is_told_as_one(
    vault: ScriptedVault, store: VaultKeyStore, answer: Answer, message: str, pause: float
) -> None:
    vault.broken = answer

    for call in (lambda: put(store), lambda: store.delete("id")):
        exc = failure(call)
        assert isinstance(exc, UpstreamUnreachable)
        assert message in exc.message
        assert exc.retry_after_seconds == pause
    assert vault.count("POST auth/approle/login") == 1


def test_nothing_is_sent_during_the_pause_that_vault_asked_for(
    vault: ScriptedVault, store: VaultKeyStore, clock: Clock
) -> None:
    vault.broken = error(429, "rate limit quota exceeded", **{"Retry-After": "7"})
    failure(lambda: put(store))
    vault.broken = None
    sent = len(vault.calls)

    clock.now += 5
    assert failure(lambda: put(store)).retry_after_seconds == 2
    assert len(vault.calls) == sent

    clock.now += 2
    put(store)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (requests.ConnectTimeout(), UpstreamUnreachable),
        (
            requests.ConnectionError(NewConnectionError(None, "refused")),  # type: ignore[arg-type]
            UpstreamUnreachable,
        ),
        (requests.ReadTimeout(), UpstreamTimeout),
        (requests.ConnectionError("reset by peer"), UpstreamTimeout),
    ],
)
def test_silence_is_told_as_such_and_keeps_no_secret(
    mock: responses.RequestsMock,
    store: VaultKeyStore,
    raised: requests.RequestException,
    expected: type[UpstreamError],
) -> None:
    store.check()
    mock.reset()
    mock.post(f"{ADDRESS}/v1/secret/data/ssh-credentials/id", body=raised)

    exc = failure(lambda: put(store))

    assert type(exc) is expected
    assert exc.retry_after_seconds
    assert mock.calls[0].request.body, "the request did carry the key"
    assert exc.__cause__ is None, "requests' own exception holds the request"
    assert exc.__context__ is None
