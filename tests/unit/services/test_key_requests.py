"""Where keys can be tried, and how they are replaced, as it is filed for a conductor."""

from __future__ import annotations

from typing import Any

import pytest
from service_kit import Service, settings_in

from app.domain import Identity, SshKey
from app.errors import Conflict, InvalidRequest
from app.services.clusters import KnownCluster, clusters_of
from app.services.key_requests import KeyRequests, Login, asked_of
from app.store.keys import SshKeys

ADA, BOB = Identity("ada", frozenset()), Identity("bob", frozenset())
BASE = {"type": "slurm", "host": "login.example", "host_keys": ["SHA256:" + "A" * 43]}


def clusters(folder: Any, **found: dict[str, Any]) -> dict[str, KnownCluster]:
    orchestrators = [
        {"name": name, "type": "engine", "launcher": {**BASE, **more}}
        for name, more in found.items()
    ]
    local = {"name": "local", "type": "engine"}
    return clusters_of(settings_in(folder, orchestrators=[local, *orchestrators]))


def requests_of(service: Service, folder: Any, **found: dict[str, Any]) -> KeyRequests:
    services = service.services
    return KeyRequests(services.ssh_keys, services.operations, clusters(folder, **found))


def test_the_account_of_a_key_that_is_configured_goes_before_ones_own(tmp_path: Any) -> None:
    mapped = [
        {"user": "ada", "account": "own"}, {"user": "eve", "account": "first", "key": "k1"},
        {"user": "mallory", "account": "second", "key": "k2"},
    ]  # fmt: skip
    cluster = clusters(tmp_path, hpc={"user_map": mapped})["hpc"]
    pairs = [{"k2"}, {"k1", "k2"}, {"other"}]
    assert cluster.accounts_for(pairs, "ada") == ["second", "first", "own"]
    assert cluster.accounts_for(pairs, "bob") == ["second", "first", None]
    assert cluster.accounts_for(pairs, "eve") == ["second", "first", None]
    assert cluster.account_for({"other"}, "ada") == "own"
    for owner, text in (("bob", "has no account"), ("eve", "another key logs in")):
        with pytest.raises(InvalidRequest, match=text):
            cluster.account_for({"other"}, owner)


def test_keys_can_be_tried_where_they_log_in(service: Service, tmp_path: Any) -> None:
    own = {"user_map": [{"user": "ada", "account": "alovelace"}]}
    ids = [service.services.ssh_keys.create({}, each)[0] for each in (ADA, BOB, BOB)]
    shared = {"user": "gateway", "key": ids[2], "host": "shared.example"}
    requests = requests_of(service, tmp_path, zeta=own, alpha=own, shared=shared)
    assert requests.triable(ADA) == {ids[0][:8]}
    assert requests.triable(BOB) == {ids[2][:8]}
    assert requests.logins(ids[0], ADA) == [
        Login("alpha", "alovelace", "login.example"), Login("zeta", "alovelace", "login.example"),
    ]  # fmt: skip
    assert requests.logins(ids[1], BOB) == []
    assert requests.logins(ids[2], BOB) == [Login("shared", "gateway", "shared.example")]
    assert requests_of(service, tmp_path).triable(ADA) == frozenset()


def test_settings_may_name_a_key_by_the_one_that_it_replaced(
    service: Service, tmp_path: Any
) -> None:
    keys, records = service.services.ssh_keys, SshKeys(service.web.database)
    first = keys.find(keys.create({}, ADA)[0], ADA)
    requests = requests_of(service, tmp_path, shared={"user": "gateway", "key": first.id})

    def replace(old: SshKey) -> SshKey:
        new, is_new = keys.successor_of(old, ADA)
        assert is_new
        assert records.succeed(old.id, new.id)
        return new

    last = replace(replace(first))
    other, _ = keys.create({}, ADA)
    assert records.names_of("ada")[last.id] == records.names(last.id)
    assert len(records.names(last.id)) == 3
    assert requests.triable(ADA) == {last.id[:8]}
    assert requests.logins(other, ADA) == []


def test_steps_of_a_rotation(service: Service, tmp_path: Any) -> None:
    requests = requests_of(service, tmp_path, hpc={"user": "all"})
    keys = service.services.ssh_keys
    old, _ = keys.create({"cluster": "hpc"}, ADA)
    with pytest.raises(Conflict, match="no new key"):
        requests.rotate(old, None, ADA, "try")
    assert keys.waiting(old, ADA) is None, "none was made"
    made = requests.rotate(old, None, ADA, "make")
    again = requests.rotate(old, None, ADA, "make")
    assert (again.id, again.arguments["is_new"]) == (made.id, True)
    tried = requests.rotate(old, None, ADA, "try")
    assert (tried.arguments["new"], tried.arguments["is_new"]) == (made.arguments["new"], False)
    assert requests.rotate(old, None, ADA).id == tried.id, "whichever is next"
    assert asked_of(tried) == (old[:8], "hpc")
    waiting = keys.waiting(old, ADA)
    assert waiting is not None
    assert (waiting.id, waiting.replaces) == (str(made.arguments["new"])[:8], old[:8])
