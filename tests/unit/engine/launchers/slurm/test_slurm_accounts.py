from __future__ import annotations

from typing import Any

import pytest

from app.engine.launchers.slurm.accounts import ClusterAccount, ClusterAccounts
from app.engine.launchers.slurm.options import SlurmOptions
from app.errors import ConfigError, InvalidRequest
from app.settings.schema import Choice

PIN = "SHA256:" + "A" * 43
KEY = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"


def options(**given: Any) -> SlurmOptions:
    field = Choice(lambda _: SlurmOptions, (), load_default="slurm")
    defaults = {"type": "slurm", "host": "login.example.org", "host_keys": [PIN], "key": KEY}
    chosen = {name: value for name, value in {**defaults, **given}.items() if value is not None}
    found: SlurmOptions = field.deserialize(chosen).options
    return found


def faults(**given: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        ClusterAccounts(options(**given), "hpc")
    return {fault.path: fault.message for fault in caught.value.fields}


def test_one_account_serves_all() -> None:
    accounts = ClusterAccounts(options(user="gateway"), "hpc")
    assert accounts.of("alice") == accounts.of("bob") == ClusterAccount("gateway", KEY)


def test_mapped_users_have_their_own_accounts_and_keys() -> None:
    mapped = [
        {"user": "alice", "account": "hpcalice", "key": "k-alice"},
        {"user": "bob", "account": "hpcbob", "key": "own"},
        {"user": "carol", "account": "hpccarol"},
    ]
    accounts = ClusterAccounts(options(user_map=mapped), "hpc")
    assert accounts.of("alice") == ClusterAccount("hpcalice", "k-alice")
    assert accounts.of("bob") == ClusterAccount("hpcbob", None, "bob")
    assert accounts.of("carol") == ClusterAccount("hpccarol", KEY)
    with pytest.raises(InvalidRequest, match="'dave' has no account on cluster 'hpc'"):
        accounts.of("dave")


def test_the_admin_is_apart() -> None:
    assert ClusterAccounts(options(user="u"), "hpc").admin is None
    admin = ClusterAccounts(options(user="u", admin={"user": "root2"}), "hpc").admin
    assert admin == ClusterAccount("root2", KEY)


def test_the_way_there_has_its_hops_and_pins() -> None:
    hops = [{"host": "gate", "port": 2222, "user": "me", "host_keys": [PIN]}]
    accounts = ClusterAccounts(options(user="u", port=22022, jump=hops), "hpc")
    target = accounts.target("u", "k")
    assert [str(hop) for hop in target.hops] == ["me@[gate]:2222", "u@[login.example.org]:22022"]
    assert {hop.identity for hop in target.hops} == {"k"}
    assert [accounts.host_keys().expected(hop).pins for hop in target.hops] == [
        (("", PIN.removesuffix("=")),)
    ] * 2


@pytest.mark.parametrize(
    ("given", "path", "told"),
    [
        ({}, "user", "nobody has an account"),
        ({"user": "-x"}, "user", "no name of an account"),
        ({"user": "a b"}, "user", "no name of an account"),
        ({"user": "u", "admin": {"user": "a,b"}}, "admin.user", "no name of an account"),
        ({"user": "u", "key": "own", "admin": {"user": "a"}}, "admin.key", "id of a key pair"),
        ({"user": "u", "host_keys": None}, "known_hosts", "host_keys"),
        ({"user": "u", "jump": [{"host": "gate"}]}, "known_hosts", "host_keys"),
        ({"user": "u", "python": "python3; rm"}, "python", "name or the path"),
        ({"user": "u", "workdir": "a\nb"}, "workdir", "path of a folder"),
        (
            {"user_map": [{"user": "a", "account": "x"}, {"user": "a", "account": "y"}]},
            "user_map[1].user",
            "a second time",
        ),
        ({"user_map": [{"user": "a", "account": "x y"}]}, "user_map[0].account", "no name"),
    ],
)
def test_what_makes_no_cluster(given: dict[str, Any], path: str, told: str) -> None:
    assert told in faults(**given)[path]
