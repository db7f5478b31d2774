"""Conductors, snapshots of definitions, and keys."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from store_kit import let_through, together

from app.domain import SshKey
from app.errors import Conflict, MadeAlready, NotFound, StoreUnavailable
from app.store.conductors import Conductors, Node, OwnProcess
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots
from app.store.driving import DrivenExecutions
from app.store.ends import EndsTold
from app.store.execution_rows import now
from app.store.keys import Sealed, SealedKeys, SshKeys
from app.store.schema import conductors as table
from app.store.schema import definitions

NODE = Node("host/mark", "kernel")


def test_a_conductor_is_alive_while_it_gives_signs_of_life(kit):
    conductors = Conductors(kit.database)
    assert not conductors.alive(60)
    conductors.register("c1", NODE, OwnProcess(42, "7"))
    assert conductors.alive(60)
    old = update(table).values(beat_at=now() - timedelta(hours=1))
    kit.database.write(lambda c: c.execute(old))
    assert not conductors.alive(60)
    conductors.beat("c1", NODE, OwnProcess(42, "7"))
    assert conductors.alive(60)
    [conductor] = conductors.all()
    assert (conductor.id, conductor.node, conductor.pid) == ("c1", NODE.name, 42)
    assert conductor.beat_at >= conductor.started_at
    conductors.remove("c1")
    assert conductors.all() == []


def test_a_conductor_that_the_store_has_forgotten_enters_itself_again(kit):
    conductors = Conductors(kit.database)
    conductors.register("c1", NODE, OwnProcess(42, "7"))
    conductors.remove("c1")
    for _ in range(2):
        conductors.beat("c1", NODE, OwnProcess(42, "7"))
    assert conductors.alive(60)
    assert [(c.id, c.pid) for c in conductors.all()] == [("c1", 42)]


def test_a_definition_is_kept_once_whatever_the_order_of_its_names(kit):
    snapshots = DefinitionSnapshots(kit.database)
    digest = snapshots.keep({"id": "a", "steps": [{"id": "x"}]})
    assert snapshots.keep({"steps": [{"id": "x"}], "id": "a"}) == digest
    assert snapshots.get(digest) == {"id": "a", "steps": [{"id": "x"}]}
    assert snapshots.keep({"id": "b"}) != digest
    with kit.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(definitions)).scalar_one() == 2


def test_a_definition_that_is_gone_is_not_found(kit):
    with pytest.raises(NotFound):
        DefinitionSnapshots(kit.database).get("0" * 64)


def test_the_same_definition_kept_by_many_at_once_is_no_fault(kit):
    stores = [Database(kit.database.url) for _ in range(4)]
    digests = together(4, lambda n: DefinitionSnapshots(stores[n]).keep({"id": "a"}))
    for store in stores:
        store.dispose()
    assert len(digests) == 4
    assert len(set(digests)) == 1


def key(id_, owner="ada", **more):
    values = {"algorithm": "ed25519", "fingerprint": "SHA256:x", "metadata": {"a": [1, None]}}
    return SshKey(**{"id": id_, "owner": owner, "created_at": now(), **values, **more})


def test_keys_are_listed_to_their_owner_newest_first(kit):
    keys = SshKeys(kit.database)
    old, new = key("1", created_at=now() - timedelta(days=1)), key("2")
    for each in (old, new, key("3", owner="bob")):
        keys.add(each, 2)
    assert keys.of("ada") == [new, old]
    with pytest.raises(Conflict):
        keys.add(key("4"), 2)
    with pytest.raises(Conflict):
        keys.require_room("ada", 2)
    keys.require_room("bob", 2)
    assert keys.of("ada") == [new, old]
    assert [k.id for k in keys.of("bob")] == ["3"]
    keys.remove("1")
    keys.remove("1")
    assert keys.of("ada") == [new]


def test_a_key_takes_the_place_of_another_one_and_its_id(kit):
    keys = SshKeys(kit.database)
    for each in (key("1"), key("2", replaces="1"), key("3")):
        keys.add(each, 9)
    with pytest.raises(MadeAlready):
        keys.add(key("4", replaces="1"), 9)
    assert [keys.current(id_) for id_ in ("1", "2", "nobody")] == ["1", "2", None]
    assert not keys.succeed("1", "3"), "it does not replace that one"
    assert keys.succeed("1", "2")
    assert not keys.succeed("1", "2")
    assert {each.id: each.replaces for each in keys.of("ada")} == {"2": None, "3": None}
    keys.add(key("5", replaces="2"), 9)
    assert keys.succeed("2", "5")
    assert [keys.current(id_) for id_ in ("1", "2", "5")] == ["5"] * 3
    assert keys.names("5") == {"1", "2", "5"}
    assert sorted(keys.left_over(9)) == ["1", "2"]
    keys.removed("1")
    assert keys.left_over(9) == ["2"]
    keys.remove("5")
    assert keys.current("1") is None


def test_one_that_was_to_replace_a_key_that_is_gone_is_like_any_other(kit):
    keys = SshKeys(kit.database)
    keys.add(key("1"), 9)
    keys.add(key("2", replaces="1"), 9)
    keys.remove("1")
    assert [each.replaces for each in keys.of("ada")] == [None]


def test_only_one_key_is_made_to_replace_another_when_many_are_at_the_same_moment(kit):
    keys = SshKeys(kit.database)
    keys.add(key("old"), 9)
    made = let_through(6, lambda n: keys.add(key(str(n), replaces="old"), 9), MadeAlready)
    assert len(made) == 1


def test_uses_of_keys_are_noted_once_a_minute(kit):
    keys, moment = SshKeys(kit.database), now()
    keys.add(key("1", public_key="ssh-ed25519 AAAA x"), 9)
    keys.used("1", moment, succeeded=False)
    keys.used("1", moment + timedelta(seconds=59), succeeded=False)
    keys.used("1", moment + timedelta(seconds=59), succeeded=True)
    keys.used("nobody", moment, succeeded=True)
    [found] = keys.of("ada")
    assert found.last_used_at == moment
    assert found.last_succeeded_at == moment + timedelta(seconds=59)
    keys.used("1", moment + timedelta(seconds=60), succeeded=False)
    assert keys.of("ada")[0].last_used_at == moment + timedelta(seconds=60)
    assert found.authorized_keys == "restrict ssh-ed25519 AAAA x"


def test_no_more_keys_are_kept_than_a_user_may_have_when_many_come_at_the_same_moment(kit):
    keys = SshKeys(kit.database)

    assert len(let_through(8, lambda n: keys.add(key(str(n)), 3), Conflict)) == 3
    assert len(keys.of("ada")) == 3


def test_sealed_keys_come_back_byte_for_byte_until_they_are_deleted(kit):
    sealed = SealedKeys(kit.database)
    secret = Sealed(bytes(range(12)), bytes(range(256)) * 10)
    sealed.put("1", secret)
    assert sealed.get("1") == secret
    assert sealed.get("2") is None
    sealed.delete("1")
    sealed.delete("1")
    assert sealed.get("1") is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite:///{folder}", "its file cannot be opened"),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:1/x", "nothing answers at its address"),
    ],
)
def test_a_store_that_cannot_be_reached_says_so_and_no_more(url, why, tmp_path):
    folder = tmp_path / "database"
    store = DrivenExecutions(Database(url.format(folder=folder)))
    folder.unlink(missing_ok=True)
    folder.mkdir()  # in the place of a file that was there at the start
    for attempt in (
        lambda: store.get("x"),
        lambda: store.renew("x", 1.0),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            attempt()
        assert caught.value.message == f"The store does not answer at the moment: {why}."
        assert caught.value.retry_after_seconds


def test_a_transaction_that_fails_leaves_nothing(kit):
    def work(connection):
        connection.execute(
            table.insert().values(id="c", node="n", pid=1, started_at=now(), beat_at=now())
        )
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        kit.database.write(work)
    assert Conductors(kit.database).all() == []


def test_who_was_told_of_an_end_is_known_to_every_process_until_the_note_is_old(kit):
    ends, elsewhere = EndsTold(kit.database), EndsTold(Database(kit.database.url))
    later, past = now() + timedelta(hours=1), now() - timedelta(seconds=1)
    assert not ends.note(1, "ada", later)
    assert elsewhere.note(1, "ada", later)
    assert not elsewhere.note(2, "ada", later)
    assert not elsewhere.note(1, "bob", past)
    assert not ends.note(1, "bob", later)
    assert ends.note(1, "bob", past)
    assert not ends.note(1, "bob", past)
    elsewhere._database.dispose()
