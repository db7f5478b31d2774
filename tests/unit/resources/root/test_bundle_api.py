"""``GET /executions/<id>/bundle``: what is in the archive, what is not, and within which bounds."""

from __future__ import annotations

import io
import json
import zipfile
from functools import partial

import pytest
from access_kit import AUTH, new_key
from service_kit import PASSWORDS, ROLES, basic, signed_in, users
from sqlalchemy import update

from app.domain import (
    ExecutionMetrics,
    ExecutionStatus,
    Level,
    LogStream,
    NewLogEntry,
    Observation,
    Task,
    TaskStatus,
)
from app.errors import StoreUnavailable
from app.resources.root import bundle
from app.services import support
from app.services.digest import Digest
from app.store.execution_rows import now
from app.store.journal import BLOCK
from app.store.schema import executions

DEFINITION = """id: flow
# how it is done
steps:
  - id: first
    type: script
    env: {API_TOKEN: token-of-the-author}
    config: {script: "true"}
"""
ALWAYS = {
    "README.txt", "digest.txt", "digest.json", "execution.json", "history.jsonl", "tasks.jsonl",
    "versions.json", "settings.json",
}  # fmt: skip
LOG = {"log.txt", "log.jsonl"}
SHARED = "a-key-that-all-of-the-service-share"
KEY = ["-----BEGIN OPENSSH PRIVATE KEY-----", "c2VjcmV0LWtleQ", "-----END OPENSSH PRIVATE KEY-----"]


def line(text, task="first", level=Level.INFO):
    return NewLogEntry(level, int(now().timestamp() * 1000), text, task, stream=LogStream.STDOUT)


def ended(service, *says, owner="anonymous", status=ExecutionStatus.FAILED, **more):
    execution = service.add_execution(owner, **more)
    task = Task("first", TaskStatus.FAILED, now(), now(), 137, 2, "n1", "exit code 137 after 1s")
    entries = [line(each) if isinstance(each, str) else each for each in says]
    seen = Observation(
        status, None, (task,), entries=tuple(entries), started_at=now(),
        finished_at=now() if status.final else None, log_complete=status.final,
    )  # fmt: skip
    service.record(execution, seen)
    return service.store.get(execution.id)


def fetch(client, execution, **more):
    response = client.get(f"/executions/{execution.id}/bundle", **more)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/zip"
    return response


def unpacked(response):
    """The files of an archive, without the folder that all of them are in."""
    with zipfile.ZipFile(io.BytesIO(response.data)) as read:
        assert read.testzip() is None
        folders = {name.partition("/")[0] for name in read.namelist()}
        assert len(folders) == 1
        (folder,) = folders
        files = {name: read.read(name).decode() for name in read.namelist()}
    return {name.removeprefix(f"{folder}/"): text for name, text in files.items()}


def json_lines(text):
    return [json.loads(each) for each in text.splitlines()]


class TestContents:
    def test_it_holds_what_the_other_addresses_tell(self, service, client):
        execution = ended(service, "one", "two", inputs={"n": 3})
        files = unpacked(fetch(client, execution))
        assert set(files) == ALWAYS | LOG
        path = f"/executions/{execution.id}"
        whole = client.get(path).json
        tasks = whole.pop("tasks")
        assert json.loads(files["execution.json"]) == whole
        assert json_lines(files["tasks.jsonl"]) == tasks
        assert json.loads(files["digest.json"]) == client.get(f"{path}/digest").json
        text = {"Accept": "text/plain"}
        assert files["digest.txt"] == client.get(f"{path}/digest", headers=text).text
        assert files["log.txt"] == client.get(f"{path}/logs?levels=15", headers=text).text
        logs = client.get(f"{path}/logs?levels=15").json["logs"]
        assert json_lines(files["log.jsonl"]) == [{"type": "log", **each} for each in logs]

    def test_the_history_is_in_order_and_says_who_asked_for_what(self, service, client):
        execution = service.add_execution("anonymous")
        service.services.steering.pause(execution.id, signed_in("ops"))
        service.services.steering.cancel(execution.id, signed_in("ops"))
        seen = Observation(
            ExecutionStatus.CANCELLED, None, started_at=now(), finished_at=now(), log_complete=True
        )
        service.record(execution, seen)
        history = json_lines(unpacked(fetch(client, execution))["history.jsonl"])
        assert [each["at"] for each in history] == sorted(each["at"] for each in history)
        happened = [each["what"] for each in history]
        assert happened[0] == "launched by anonymous"
        assert {"said: Pause requested by 'ops'.", "said: Cancel requested by 'ops'.", "began",
                "ended: CANCELLED"} <= {*happened}  # fmt: skip

    def test_the_readme_names_each_file(self, service, client):
        execution = ended(service, "x")
        files = unpacked(fetch(client, execution))
        assert all(name in files["README.txt"] for name in {*files} - {"README.txt"})
        assert execution.id in files["README.txt"]
        assert "(no definition)" in files["README.txt"]
        assert "has not ended" not in files["README.txt"]

    def test_versions_and_numbers_of_the_settings_are_told_and_no_text(self, make_service):
        service = make_service(engine__kill_grace="7s", engine__pass_env=["SOMEBODY"])
        files = unpacked(fetch(service.client, ended(service)))
        settings = json.loads(files["settings.json"])
        assert settings["engine"]["kill_grace"] == 7.0
        assert settings["retention"]["executions"] is None
        assert "SOMEBODY" not in files["settings.json"]
        assert "run_as" not in settings["engine"]
        values = [each for section in settings.values() for each in section.values()]
        assert all(each is None or isinstance(each, bool | int | float) for each in values)
        versions = json.loads(files["versions.json"])
        assert versions["store"] == "sqlite"
        assert versions["orchestrator"]["type"] == "engine"
        assert versions["orchestrator"]["version"] == versions["slipway"]

    def test_one_that_goes_on_is_told_as_it_stands(self, service, client):
        execution = ended(service, "x", status=ExecutionStatus.RUNNING)
        files = unpacked(fetch(client, execution))
        assert "It has not ended" in files["README.txt"]
        assert json.loads(files["execution.json"])["state"] == "RUNNING"
        assert "first: x\n" in files["log.txt"]

    def test_one_of_another_orchestrator(self, make_service):
        service = make_service(fake="Obedient")
        files = unpacked(fetch(service.client, ended(service, "x")))
        assert set(files) == ALWAYS | LOG
        orchestrator = json.loads(files["versions.json"])["orchestrator"]
        assert (orchestrator["name"], orchestrator["version"]) == ("remote", None)

    def test_one_whose_orchestrator_is_gone(self, service, client):
        files = unpacked(fetch(client, ended(service, "x", orchestrator="gone")))
        assert json.loads(files["versions.json"])["orchestrator"]["type"] is None

    def test_one_of_virtual_users_has_their_figures(self, service, client, monkeypatch):
        metrics = ExecutionMetrics(vus=5, iterations=7, final=True)
        monkeypatch.setattr(type(service.services.load_metrics), "of", lambda *_: metrics)
        files = unpacked(fetch(client, ended(service, "x", orchestrator="load")))
        assert set(files) == ALWAYS | LOG | {"metrics.json"}
        assert "7" in files["metrics.json"]
        assert "metrics.json" in files["README.txt"]

    def test_one_without_its_log_says_so(self, service, client):
        execution = ended(service, "x")
        gone = update(executions).where(executions.c.id == execution.id)
        service.web.database.write(
            lambda store: store.execute(gone.values(log_purged_at=now(), changed=10**6))
        )
        service.services.executions._reads._executions._kept.clear()
        files = unpacked(fetch(client, execution))
        assert set(files) == ALWAYS
        assert "(no log)" in files["README.txt"]
        assert "its log was purged" in files["history.jsonl"]


class TestBounds:
    def test_of_a_long_log_its_beginning_and_its_end_are_given(self, service, client, monkeypatch):
        monkeypatch.setattr(support, "LOG_BYTES", 40_000)
        execution = ended(service, *(f"line {n:05}" for n in range(10 * BLOCK)))
        files = unpacked(fetch(client, execution))
        text, lines = files["log.txt"], json_lines(files["log.jsonl"])
        assert 25_000 < len(text) < 70_000
        assert "line 00000\n" in text
        assert text.endswith(f"line {10 * BLOCK - 1:05}\n")
        (place,) = [n for n, each in enumerate(lines) if each["type"] == "left_out"]
        left_out = lines[place]["count"]
        before, behind = lines[place - 1]["index"], lines[place + 1]["index"]
        assert behind - before - 1 == left_out > 0
        assert f"--- {left_out} entries are left out here: " in text
        assert f"{left_out:,} entries" in files["README.txt"]
        kept = [each["index"] for each in lines if each["type"] == "log"]
        assert kept == [*range(before + 1), *range(behind, 10 * BLOCK)]

    def test_a_log_that_fits_is_given_as_a_whole(self, service, client, monkeypatch):
        execution = ended(service, *(f"line {n}" for n in range(3 * BLOCK)))
        monkeypatch.setattr(support, "LOG_BYTES", sum(execution.log_bytes))
        files = unpacked(fetch(client, execution))
        assert len(json_lines(files["log.jsonl"])) == 3 * BLOCK
        assert "left out" not in files["log.txt"] + files["README.txt"]

    def test_where_the_log_cannot_be_read_the_rest_is_given(self, service, client, monkeypatch):
        def fail(*_, **__):
            raise StoreUnavailable("The store does not answer at the moment.")

        execution = ended(service, "x")
        monkeypatch.setattr(type(service.services.logs._stretches), "all", fail)
        monkeypatch.setattr(service.services.support, "_digests", _NoDigests())
        monkeypatch.setattr(type(service.services.support), "_own_entries", lambda *_: [])
        files = unpacked(fetch(client, execution))
        assert files["log.txt"] == (
            "--- entries are left out here: The store does not answer at the moment. ---\n"
        )
        assert json_lines(files["log.jsonl"])[0]["count"] is None

    def test_a_reader_holds_a_place_and_gives_it_back_when_gone(self, service, client):
        execution = ended(service, "x")
        response = client.get(f"/executions/{execution.id}/bundle")
        places = service.services.places
        chunks = iter(response.response)
        next(chunks)
        assert places._open.total() == 1
        response.response.close()
        response.close()
        assert places._open.total() == 0


class _NoDigests:
    def of(self, execution, _):
        return Digest(execution, "Not known.", {})


class TestSecrets:
    def test_no_secret_that_is_known_is_in_it(self, make_service):
        service = make_service(api__auth={**AUTH, "secret": SHARED})
        (service.settings.workflows_dir / "flow.yaml").write_text(DEFINITION, encoding="utf-8")
        api_key, _ = new_key(service, "dev")
        service.services.ssh_keys.create({}, signed_in("dev"))
        inputs = {
            "password": "password-of-the-user", "n": 3, "login": {"secret": "secret-of-the-user"},
            "at": "https://ada:password-in-an-address@example.org/",
        }  # fmt: skip
        says = [
            "it is password-of-the-user", "and secret-of-the-user", f"key {api_key}", *KEY,
            "from https://ada:password-in-an-address@example.org/", "token hvs." + "x" * 30,
        ]  # fmt: skip
        execution = ended(service, *says, owner="dev", inputs=inputs)
        headers = basic("dev", PASSWORDS["dev"])
        files = unpacked(fetch(service.client, execution, headers=headers))
        secrets = [
            "password-of-the-user", "secret-of-the-user", "password-in-an-address", api_key, KEY[1],
            "hvs.", SHARED, service.settings.master_key_file.read_text(encoding="utf-8").strip(),
            *(each.password_hash for each in service.settings.api.auth.users),
        ]  # fmt: skip
        for name, text in files.items():
            assert [secret for secret in secrets if secret in text] == [], name
        assert "it is ***\n" in files["log.txt"]
        assert str(service.settings.data_dir) not in "".join(files.values())

    def test_nor_is_half_of_one_where_a_long_line_is_cut(self, service, client):
        long = "x" * 1980 + " https://ada:longpassword@example.org/"
        files = unpacked(fetch(client, ended(service, long, line(long, task=""))))
        assert files["digest.txt"].count("https://***@") == 1
        assert files["history.jsonl"].count("https://***@") == 1
        assert not [name for name, text in files.items() if "https://ada" in text]

    def test_a_definition_is_given_as_it_was_uploaded_without_its_secrets(self, make_service):
        service = make_service(api__auth=users())
        dev = signed_in("dev")
        service.services.workflows.upload(DEFINITION, dev)
        execution = service.services.launching.launch("flow", {}, dev)
        headers = basic("dev", PASSWORDS["dev"])
        files = unpacked(fetch(service.client, execution, headers=headers))
        assert files["definition.yaml"] == DEFINITION.replace("token-of-the-author", "***")
        assert "version 1 of the definition" in files["README.txt"]

    def test_nobody_gets_a_definition_that_they_may_not_read(self, make_service):
        service = make_service(api__auth=AUTH)
        service.services.workflows.upload(DEFINITION, signed_in("dev"))
        execution = service.services.launching.launch("flow", {}, signed_in("dev"))
        key, _ = new_key(service, "dev", scopes=("executions:read",), roles=ROLES["dev"])
        files = unpacked(fetch(service.client, execution, headers={"X-API-Key": key}))
        assert "definition.yaml" not in files
        assert "workflows:read is needed" in files["README.txt"]


class TestHead:
    def test_it_is_a_file_with_a_safe_name(self, service, client):
        execution = ended(service)
        disposition = fetch(client, execution).headers["Content-Disposition"]
        assert disposition == f'attachment; filename="slipway-{execution.id}.zip"'
        odd = ended(service, execution_id='../a"b\u00e9/c')
        names = zipfile.ZipFile(io.BytesIO(_bundle_of(service, odd))).namelist()
        assert all(name.startswith("slipway-.._a_b__c/") for name in names)

    def test_the_same_execution_is_the_same_archive(self, service, client):
        execution = ended(service, "x")
        first, second = fetch(client, execution), fetch(client, execution)
        assert first.data == second.data
        assert first.headers["ETag"] == second.headers["ETag"]

    def test_one_that_nothing_changed_is_not_sent_again(self, service, client, monkeypatch):
        execution = ended(service, status=ExecutionStatus.RUNNING)
        path = f"/executions/{execution.id}/bundle"
        tag = client.get(path).headers["ETag"]
        with monkeypatch.context() as patch:
            patch.setattr(
                type(service.services.support), "gather", lambda *_: pytest.fail("made again")
            )
            unchanged = client.get(path, headers={"If-None-Match": tag})
            assert unchanged.status_code == 304
            assert unchanged.headers["Cache-Control"] == "private, no-cache"
        service.record(execution, Observation(ExecutionStatus.RUNNING, None, entries=(line("y"),)))
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 200

    def test_no_body_answers_head_and_no_place_is_held(self, service, client):
        execution = ended(service)
        response = client.head(f"/executions/{execution.id}/bundle")
        assert (response.status_code, response.data) == (200, b"")
        assert response.headers["Content-Type"] == "application/zip"
        response.close()
        assert service.services.places._open.total() == 0

    def test_what_is_of_others_there_is_not(self, make_service, as_user):
        service = make_service(api__auth=users())
        path = f"/executions/{ended(service, owner='ada').id}/bundle"
        assert service.client.get(path, headers=as_user("bob")).status_code == 404
        assert service.client.get(path, headers=as_user("ops")).status_code == 200


def _bundle_of(service, execution):
    """An archive of an execution whose id no address can hold."""
    with service.web.app.test_request_context():
        case = service.services.support.gather(execution, signed_in("ada"))
        folder = bundle.safe_name(execution.id)
        turn = partial(service.services.turns.turn, "ada")
        members = bundle._members(case, f"{folder}/", turn, stale=False)
        return b"".join(bundle.archive(members, execution.created_at, turn))
