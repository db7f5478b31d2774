"""SSH keys on the page: tried, and replaced, by what a conductor carries out."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from access_kit import new_key
from kit.patience import await_that, held, join
from service_kit import Service, open_service, signed_in, users
from signing_kit import Guest, faults, said

from app.domain import AuditFilter, Operation
from app.errors import QuotaExceeded
from app.resources import _operations
from app.services.key_requests import ROTATE, TEST
from app.services.operations import MOST_OPEN
from app.store.operations import Operations, Room

ROOMS = dict.fromkeys((TEST, ROTATE, "other"), Room(99, 99, {}, 60.0, repeatable=True))
KEY = "0badc0de-0000-4000-8000-000000000000"
BASE = {"type": "slurm", "host": "login.example", "host_keys": ["SHA256:" + "A" * 43]}
ADA = {"user_map": [{"user": "ada", "account": "alovelace"}]}
CLUSTERS = {
    "hpc": ADA,
    "spare": {**ADA, "host": "spare.example"},
    "shared": {"user": "gateway", "key": KEY},  # to which nobody's own keys log in
}
EVIL = '<img src=x onerror="alert(1)">'


def opened(folder: Any, clusters: dict[str, Any] = CLUSTERS) -> Service:
    orchestrators = [
        {"name": name, "type": "engine", "launcher": {**BASE, **more}}
        for name, more in clusters.items()
    ]
    return open_service(
        folder, api__auth={**users(), "type": ["basic", "api_key"]},
        orchestrators=[{"name": "local", "type": "engine"}, *orchestrators],
    )  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = opened(tmp_path_factory.mktemp("service"))
    yield made
    made.close()


@pytest.fixture
def ada(service: Service) -> Iterator[Guest]:
    yield Guest(service).sign_in("ada")
    done(service)
    for key in service.services.ssh_keys.of(signed_in("ada")):
        service.services.ssh_keys.revoke(key.id, signed_in("ada"))


def make(service: Service, owner: str = "ada", **metadata: str) -> str:
    """Make a key pair; return what of its id is shown."""
    return service.services.ssh_keys.create(metadata, signed_in(owner))[0][:8]


def done(service: Service, result: Any = None, **outcome: Any) -> list[Operation]:
    """Carry out what was asked for, and return it."""
    operations = Operations(service.web.database)
    found = operations.claim("one", ROOMS, 15.0)
    for each in found:
        assert operations.finish(each, "one", result=result, **outcome)
    return found


def login(**more: Any) -> dict[str, Any]:
    """What a trial tells."""
    return {
        "orchestrator": "hpc", "account": "alovelace", "host": "login.example", "logs_in": True,
        "reason": None, "message": "The key logs in.", **more,
    }  # fmt: skip


REFUSED = login(logs_in=False, reason="login_refused", message="Is it in authorized_keys?")


def place(answer: Any) -> str:
    """Return where a form has led."""
    assert answer.status_code == 303, answer.text
    found = str(answer.headers["Location"])
    assert re.fullmatch(r"/ui/operations/op-\w{32}", found)
    return found


def offered(page: str, verb: str) -> list[str]:
    return re.findall(rf'href="/ui/keys/(\w{{8}})/{verb}"', page)


def chosen(page: str) -> list[str]:
    return re.findall(r'value="(\w+)" required checked', page)


class TestList:
    def test_keys_that_log_in_somewhere_can_be_tried_and_replaced(
        self, service: Service, ada: Guest
    ) -> None:
        key = make(service)
        page = ada.get("/ui/keys").text
        assert (offered(page, "test"), offered(page, "rotate")) == ([key], [key])

    def test_those_of_who_has_no_account_cannot(self, service: Service) -> None:
        key = make(service, "bob")
        bob = Guest(service).sign_in("bob")
        page = bob.get("/ui/keys").text
        assert f"/ui/keys/{key}/revoke" in page
        assert (offered(page, "test"), offered(page, "rotate")) == ([], [])
        for verb in ("test", "rotate"):
            page = bob.get(f"/ui/keys/{key}/{verb}").text
            assert "There is no cluster to which this key logs in for you" in page
            assert '<button class="primary">' not in page
            answer = bob.send(f"/ui/keys/{key}/{verb}", orchestrator="hpc")
            assert answer.status_code == 422
            assert "has no account on cluster" in said(answer.text, "alert")

    def test_who_may_only_read_keys_is_offered_nothing(self, service: Service, ada: Guest) -> None:
        key = make(service)
        api_key, _ = new_key(service, "ada", scopes=["keys:read"])
        headers = {"X-API-Key": api_key}
        page = service.client.get("/ui/keys", headers=headers).text
        assert key in page
        assert "/ui/keys/" not in page
        for verb in ("test", "rotate"):
            answer = service.client.get(f"/ui/keys/{key}/{verb}", headers=headers)
            assert answer.status_code == 403

    def test_without_clusters_nothing_is_offered(self, tmp_path: Any) -> None:
        plain = opened(tmp_path, {})
        make(plain)
        page = Guest(plain).sign_in("ada").get("/ui/keys").text
        assert "Revoke key" in page
        assert offered(page, "test") == []
        plain.close()

    def test_of_a_pair_and_the_one_that_is_to_replace_it_each_leads_to_the_same(
        self, service: Service, ada: Guest
    ) -> None:
        key = make(service, name="laptop")
        place(ada.send(f"/ui/keys/{key}/rotate", step="make", orchestrator="hpc"))
        page = ada.get("/ui/keys").text
        assert offered(page, "rotate") == [key, key]
        assert offered(page, "test") == [key]
        new = next(each for each in offered(page, "revoke") if each != key)
        assert ada.get(f"/ui/keys/{new}/rotate").headers["Location"] == f"/ui/keys/{key}/rotate"

    def test_a_key_that_was_just_made_leads_on(self, service: Service, ada: Guest) -> None:
        answer = ada.send("/ui/keys", once="e" * 32)
        assert "/test" in answer.text


class TestForm:
    def test_clusters_that_take_the_key_are_there_and_that_of_its_metadata_is_chosen(
        self, service: Service, ada: Guest
    ) -> None:
        for cluster, before in (("spare", ["spare"]), ("shared", []), ("nowhere", [])):
            key = make(service, cluster=cluster)
            for verb in ("test", "rotate"):
                page = ada.get(f"/ui/keys/{key}/{verb}").text
                assert re.findall(r'type="radio" name="orchestrator" value="(\w+)"', page) == [
                    "hpc", "spare",
                ]  # fmt: skip
                assert chosen(page) == before
                assert "alovelace" in page
        assert chosen(ada.get(f"/ui/keys/{key}/test?orchestrator=hpc").text) == ["hpc"]

    def test_a_single_one_is_named(self, tmp_path: Any) -> None:
        single = opened(tmp_path, {"hpc": ADA})
        key = make(single)
        guest = Guest(single).sign_in("ada")
        page = guest.get(f"/ui/keys/{key}/test").text
        assert '<input type="hidden" name="orchestrator" value="hpc">' in page
        assert 'type="radio"' not in page
        single.close()

    @pytest.mark.parametrize("verb", ["test", "rotate"])
    @pytest.mark.parametrize(
        ("fields", "fault"),
        [({"orchestrator": "nowhere"}, "must be an orchestrator"), ({}, "is missing"),
         ({"orchestrator": "local"}, "must be an orchestrator"),
         ({"orchestrator": EVIL}, "must be an orchestrator"),
         ({"orchestrator": "x" * 5000}, "must be an orchestrator")],
    )  # fmt: skip
    def test_a_cluster_that_is_none_is_told_beside_the_field(
        self, service: Service, ada: Guest, verb: str, fields: dict[str, str], fault: str
    ) -> None:
        key = make(service)
        answer = ada.send(f"/ui/keys/{key}/{verb}", **fields)
        assert answer.status_code == 422
        assert fault in faults(answer.text)
        assert len(answer.text) < 20_000
        assert "<img" not in answer.text
        assert done(service) == []
        assert len(offered(ada.get("/ui/keys").text, "revoke")) == 1

    def test_an_account_that_another_key_opens_is_told(self, service: Service, ada: Guest) -> None:
        answer = ada.send(f"/ui/keys/{make(service)}/test", orchestrator="shared")
        assert answer.status_code == 422
        assert "another key logs in" in said(answer.text, "alert")

    @pytest.mark.parametrize("verb", ["test", "rotate"])
    def test_keys_of_others_and_revoked_ones_are_none(
        self, service: Service, ada: Guest, verb: str
    ) -> None:
        gone = make(service)
        ada.send(f"/ui/keys/{gone}/revoke")
        for key in (make(service, "bob"), gone):
            assert ada.get(f"/ui/keys/{key}/{verb}").status_code == 404
            answer = ada.send(f"/ui/keys/{key}/{verb}", orchestrator="hpc")
            assert answer.status_code == 404
        assert done(service) == []

    @pytest.mark.parametrize("verb", ["test", "rotate"])
    def test_who_has_too_many_under_way_is_told_when_to_come_back(
        self, service: Service, ada: Guest, verb: str
    ) -> None:
        for number in range(MOST_OPEN):
            service.services.operations.file("other", str(number), {}, signed_in("ada"))
        answer = ada.send(f"/ui/keys/{make(service)}/{verb}", orchestrator="hpc")
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 20
        assert "the most for one user" in said(answer.text, "alert")

    @pytest.mark.parametrize("verb", ["test", "rotate"])
    def test_nothing_is_done_without_the_token_of_the_session(
        self, service: Service, ada: Guest, verb: str
    ) -> None:
        answer = ada.post(f"/ui/keys/{make(service)}/{verb}", orchestrator="hpc")
        assert answer.status_code == 403
        assert done(service) == []


class TestTrial:
    @pytest.fixture
    def key(self, service: Service) -> str:
        return make(service, name="laptop", cluster="hpc")

    def test_it_is_filed_once_and_followed_at_an_address_of_its_own(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        first, second = (place(ada.send(f"/ui/keys/{key}/test")) for _ in range(2))
        assert first == second
        page = ada.get(first).text
        assert "Testing the key laptop" in page
        assert "Waits for a conductor" in page
        assert f'<a href="{first}">Look again</a>' in page
        [filed] = done(service, login())
        assert (filed.kind, filed.arguments["cluster"]) == (TEST, "hpc")
        page = ada.get(first).text
        assert "The key laptop logs in" in page
        assert said(page, "status") == "The key logs in."
        assert "slip-refresh" not in page
        assert done(service) == [], "looking files nothing"

    def test_the_form_waits_as_long_as_the_api(
        self, service: Service, ada: Guest, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_operations, "WAIT_SECONDS", 20.0)
        token, answers = ada.token(), []
        send = threading.Thread(
            target=lambda: answers.append(ada.post(f"/ui/keys/{key}/test", csrf_token=token))
        )
        send.start()
        await_that(lambda: held(service.web.changes))
        done(service, login())
        join(send)
        assert "The key laptop logs in" in ada.get(place(answers[0])).text

    def test_who_cannot_wait_is_led_on_at_once(
        self, service: Service, ada: Guest, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any) -> Any:
            raise QuotaExceeded("Too many wait.", ("polls",), retry_after_seconds=1.0)

        monkeypatch.setattr(service.services.operations, "wait", full)
        assert "Testing the key laptop" in ada.get(place(ada.send(f"/ui/keys/{key}/test"))).text

    def test_a_refusal_says_what_to_do_and_shows_the_line(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        address = place(ada.send(f"/ui/keys/{key}/test"))
        done(service, REFUSED)
        page = ada.get(address).text
        assert "The key laptop does not log in" in page
        assert said(page, "alert") == "Is it in authorized_keys?"
        assert re.search(rf"<code>restrict ssh-ed25519 \S+ slipway-{key}</code>", page)
        assert f"/ui/keys/{key}/test?orchestrator=hpc" in page

    @pytest.mark.parametrize("reason", ["host_key_refused", "unreachable", "paused"])
    def test_what_was_not_tried_is_no_fault_of_the_key(
        self, service: Service, ada: Guest, key: str, reason: str
    ) -> None:
        address = place(ada.send(f"/ui/keys/{key}/test"))
        done(service, login(logs_in=False, reason=reason, message="Not now."))
        page = ada.get(address).text
        assert "The key laptop could not be tried" in page
        assert said(page, "alert") == "Not now."
        assert "restrict" not in page

    def test_what_could_not_be_carried_out_says_why(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        address = place(ada.send(f"/ui/keys/{key}/test"))
        done(service, error="Vault is sealed.", error_code="upstream_unreachable")
        page = ada.get(address).text
        assert "could not be tried" in page
        assert said(page, "alert") == "Vault is sealed."

    def test_only_its_owner_sees_it(self, service: Service, ada: Guest, key: str) -> None:
        address = place(ada.send(f"/ui/keys/{key}/test"))
        for name in ("bob", "root"):
            assert Guest(service).sign_in(name).get(address).status_code == 404
        assert ada.get("/ui/operations/op-" + "0" * 32).status_code == 404

    def test_of_a_key_that_was_revoked_since_it_can_be_read(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        address = place(ada.send(f"/ui/keys/{key}/test"))
        done(service, REFUSED)
        ada.send(f"/ui/keys/{key}/revoke")
        page = ada.get(address).text
        assert f"The key {key} does not log in" in page
        assert "Test again" not in page

    def test_what_a_server_says_is_text(self, service: Service, ada: Guest) -> None:
        key = make(service, name=EVIL, cluster="hpc")
        assert "<img" not in ada.get(f"/ui/keys/{key}/test").text
        address = place(ada.send(f"/ui/keys/{key}/test"))
        done(service, login(message=EVIL, server=EVIL, host_key=EVIL, seconds=0.2))
        assert "<img" not in ada.get(address).text

    def test_it_is_audited_as_the_api_does(self, service: Service, ada: Guest, key: str) -> None:
        ada.send(f"/ui/keys/{key}/test")
        target = f"/ssh_keys/{key}/test"
        [found], _ = service.services.audit.find(AuditFilter(target=target), None, 9)
        assert (found.event.action, found.event.result) == ("ssh_keys:test", "success")


class TestRotation:
    @pytest.fixture
    def key(self, service: Service) -> str:
        return make(service, name="laptop", cluster="hpc")

    def prepared(self, service: Service, ada: Guest, key: str) -> tuple[str, str]:
        """Have the new pair made; return where that is told, and its id."""
        address = place(ada.send(f"/ui/keys/{key}/rotate", step="make"))
        [filed] = done(service, self.result(service, key))
        assert filed.arguments["is_new"]
        return address, str(filed.arguments["new"])[:8]

    def result(self, service: Service, key: str, state: str = "PREPARED", **more: Any) -> Any:
        new = service.services.ssh_keys.waiting(key, signed_in("ada"))
        assert new is not None
        line = new.authorized_keys
        return {"key": key, "new_key": new.id, "authorized_keys": line, "state": state,
                "login": None, **more}  # fmt: skip

    def test_its_first_page_says_what_will_happen_and_does_nothing(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        page = ada.get(f"/ui/keys/{key}/rotate").text
        assert "Replace the key laptop?" in page
        assert "the old one is deleted for good" in page
        assert len(offered(ada.get("/ui/keys").text, "revoke")) == 1

    def test_the_line_is_shown_and_the_next_form_tries_it(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        address, new = self.prepared(service, ada, key)
        for page in (ada.get(address).text, ada.get(f"/ui/keys/{key}/rotate").text):
            assert "The new key for laptop is made" in page
            assert re.search(rf"<code>restrict ssh-ed25519 \S+ slipway-{new}</code>", page)
            assert f'download="slipway-{new}.pub"' in page
            assert 'name="step" value="try"' in page
            assert chosen(page) == ["hpc"]

    def test_making_it_again_makes_no_other_one_and_tries_none(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        _, new = self.prepared(service, ada, key)
        assert self.prepared(service, ada, key)[1] == new
        assert len(offered(ada.get("/ui/keys").text, "revoke")) == 2

    def test_one_that_does_not_log_in_may_be_tried_again(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        self.prepared(service, ada, key)
        address = place(ada.send(f"/ui/keys/{key}/rotate", step="try", orchestrator="spare"))
        [filed] = done(service, self.result(service, key, login=REFUSED))
        assert (filed.arguments["is_new"], filed.arguments["cluster"]) == (False, "spare")
        page = ada.get(address).text
        assert "The new key does not log in yet" in page
        assert "The old key stays in use." in said(page, "alert")
        assert chosen(page) == ["spare"]

    def test_what_was_replaced_is_told(self, service: Service, ada: Guest, key: str) -> None:
        old_address, new = self.prepared(service, ada, key)
        address = place(ada.send(f"/ui/keys/{key}/rotate", step="try"))
        keys = service.services.ssh_keys
        result = self.result(service, key, "ROTATED", login=login())
        ids = [keys.find(each, signed_in("ada")).id for each in (key, new)]
        assert keys._keys.succeed(*ids)
        done(service, result)
        page = ada.get(address).text
        assert "The key laptop is replaced" in page
        assert new in said(page, "status") or new in page
        assert "waits no more" in ada.get(old_address).text
        assert ada.send(f"/ui/keys/{key}/rotate", step="try").status_code == 404

    def test_without_a_new_one_none_is_tried_and_none_made(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        answer = ada.send(f"/ui/keys/{key}/rotate", step="try")
        assert answer.status_code == 409
        assert "was revoked" in said(answer.text, "alert")
        assert len(offered(ada.get("/ui/keys").text, "revoke")) == 1
        assert done(service) == []

    def test_one_that_is_to_replace_another_is_not_replaced(
        self, service: Service, ada: Guest, key: str
    ) -> None:
        _, new = self.prepared(service, ada, key)
        answer = ada.send(f"/ui/keys/{new}/rotate", step="make")
        assert answer.status_code == 409

    def test_what_failed_says_why(self, service: Service, ada: Guest, key: str) -> None:
        address = place(ada.send(f"/ui/keys/{key}/rotate", step="make"))
        assert "Replacing the key laptop" in ada.get(address).text
        done(service, error="The old key is gone.", error_code="invalid_request")
        page = ada.get(address).text
        assert "The key laptop could not be replaced" in page


def test_other_operations_are_told_plainly(service: Service, ada: Guest) -> None:
    filed = service.services.operations.file("other", EVIL, {}, signed_in("ada"))
    address = f"/ui/operations/{filed.id}"
    assert "Look again" in ada.get(address).text
    done(service, {"text": EVIL})
    page = ada.get(address).text
    assert "Done" in page
    assert "<img" not in page
