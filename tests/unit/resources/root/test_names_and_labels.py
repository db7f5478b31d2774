"""What people call their executions, and the lists that find them by it and by other things."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from service_kit import users
from sqlalchemy import update

from app.domain import ExecutionFilter, ExecutionStatus, Observation
from app.store.schema import executions as table

QUIET = """
id: quiet
name: Quiet
inputs:
  name: {type: string, default: nobody}
  n: {type: integer, default: 1}
steps:
  - {id: only, type: script, config: {script: "true"}}
"""


@pytest.fixture(autouse=True)
def workflow(write_workflow):
    write_workflow(QUIET, "quiet.yaml")


def launch(client, path="/workflows/quiet", headers=None, **body):
    return client.post(path, json={"inputs": {}, **body}, headers=headers)


def listed(client, query="", **headers):
    answer = client.get(f"/executions?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json["total"] == len(answer.json["executions"])
    return [each["name"] for each in answer.json["executions"]]


def at(service, execution, **columns):
    mine = update(table).where(table.c.id == execution.id)
    service.web.database.write(lambda c: c.execute(mine.values(**columns)))


class TestLaunch:
    @pytest.mark.parametrize("path", ["/workflows/quiet", "/workflows/quiet/run"])
    def test_they_are_told_wherever_the_execution_is(self, client, path):
        labels = {"grid": "fine", "team/site.x_y-z": "Zürich \N{SNOWMAN} = 1", "empty": ""}
        answer = launch(client, path, name="night 4", labels=labels)
        assert answer.status_code == 201
        address = answer.headers["Location"]
        for told in (
            client.get(address).json,
            client.get("/executions").json["executions"][0],
            client.get(client.get(address).json["execution_id"].join(("/executions/", ""))).json,
        ):
            assert (told["name"], told["labels"]) == ("night 4", labels)

    def test_without_any_there_is_none(self, client):
        told = client.get(launch(client).headers["Location"]).json
        assert (told["name"], told["labels"]) == (None, {})
        told = client.get(launch(client, name=None, labels=None).headers["Location"]).json
        assert (told["name"], told["labels"]) == (None, {})

    def test_who_prefers_the_execution_sees_them_at_once(self, client):
        prefers = {"Prefer": "return=representation"}
        told = launch(client, headers=prefers, name="n", labels={"a": "b"}).json
        assert (told["name"], told["labels"]) == ("n", {"a": "b"})

    @pytest.mark.parametrize(
        ("body", "faults"),
        [
            ({"name": ""}, {"name": "must be text of 1 to 200"}),
            ({"name": " a"}, {"name": "must not begin with a space"}),
            ({"name": 4}, {"name": "must be text"}),
            ({"name": ["a"]}, {"name": "must be text"}),
            ({"name": "x" * 201}, {"name": "1 to 200 characters"}),
            ({"name": "a\nb"}, {"name": "without control characters"}),
            ({"name": "a\x1b[2Jb"}, {"name": "without control characters"}),
            ({"name": "a\u202eb"}, {"name": "without control characters"}),
            ({"name": "a\u2028b"}, {"name": "line breaks"}),
            ({"labels": []}, {"labels": "must be an object; got an array"}),
            ({"labels": "a=b"}, {"labels": "must be an object; got"}),
            ({"labels": {"a": 1, "b": None}}, {"labels.a": "must be text", "labels.b": "text"}),
            ({"labels": {"a": "x" * 201}}, {"labels.a": "at most 200"}),
            ({"labels": {"a": "\x00"}}, {"labels.a": "without control characters"}),
            ({"labels": {"": "x", "-a": "y"}}, {"labels.": "letters", "labels.-a": "both ends"}),
            ({"labels": {"a" * 64: "x"}}, {f"labels.{'a' * 64}": "1 to 63"}),
            ({"labels": {"a=b": "x"}}, {"labels.a=b": "the key must have"}),
            ({"labels": {"ä": "x"}}, {"labels.ä": "the key must have"}),
            ({"labels": {str(n): "" for n in range(33)}}, {"labels": "at most 32, got 33"}),
            (
                {"labels": {str(n): "x" * 200 for n in range(32)}},
                {"labels": "at most 4096 bytes together"},
            ),
            ({"name": "", "labels": {"?": ""}}, {"name": "must be", "labels.?": "the key"}),
            ({"label": {"a": "b"}}, {"label": "did you mean 'labels'"}),
        ],
    )
    def test_every_fault_is_named(self, service, client, assert_problem, body, faults):
        answer = launch(client, **body)
        told = assert_problem(answer, 422, "invalid_request", *faults)
        for path, text in faults.items():
            assert text in told[path]
        assert service.store.find(ExecutionFilter())[1] == 0

    def test_as_much_as_there_may_be(self, client):
        name = "\N{SNOWMAN}" * 200
        labels = {f"k{n:02}" + "." * 59 + "z": "x" * 64 for n in range(32)}
        assert sum(len(k) + len(v) for k, v in labels.items()) == 32 * 127
        told = client.get(launch(client, name=name, labels=labels).headers["Location"]).json
        assert (told["name"], told["labels"]) == (name, labels)

    @pytest.mark.parametrize("field", ["name", "n"])
    def test_an_input_that_went_astray_is_still_no_name(self, client, assert_problem, field):
        answer = client.post("/workflows/quiet", json={field: "bob"})
        assert_problem(answer, 422, "invalid_request", field)
        assert "inputs" in answer.json["fields"][0]["message"]
        assert launch(client, name="bob").status_code == 201

    def test_a_workflow_without_such_an_input_needs_no_inputs_beside(self, client, write_workflow):
        write_workflow(QUIET.replace("name: {", "who: {").replace("quiet", "other"), "other.yaml")
        answer = client.post("/workflows/other", json={"name": "bob", "labels": {"a": "b"}})
        assert answer.status_code == 201
        assert client.get(answer.headers["Location"]).json["name"] == "bob"


class TestIdempotencyKey:
    def test_they_tell_one_request_from_another(self, client, assert_problem):
        key = {"Idempotency-Key": "k"}
        first = launch(client, headers=key, name="a", labels={"x": "1", "y": "2"})
        again = launch(client, headers=key, labels={"y": "2", "x": "1"}, name="a")
        assert first.headers["Location"] == again.headers["Location"]
        for other in (
            {}, {"name": "a"}, {"name": "b", "labels": {"x": "1", "y": "2"}},
            {"name": "a", "labels": {"x": "1"}},
        ):  # fmt: skip
            assert_problem(launch(client, headers=key, **other), 409, "conflict")

    def test_none_is_as_good_as_an_empty_one(self, service, client):
        bodies = {}, {"name": None}, {"labels": {}}, {"name": None, "labels": None}
        for body in bodies:
            assert launch(client, headers={"Idempotency-Key": "k"}, **body).status_code == 201
        assert service.store.find(ExecutionFilter())[1] == 1


class TestList:
    def test_by_name_and_labels(self, client):
        for name, labels in (
            ("a", {"grid": "fine", "n": "1"}), ("b", {"grid": "fine=er"}), ("c", {"n": ""}),
        ):  # fmt: skip
            launch(client, name=name, labels=labels)
        assert listed(client, "label=grid") == ["b", "a"]
        assert listed(client, "label=grid%3Dfine") == listed(client, "label=grid=fine") == ["a"]
        assert listed(client, "label=grid=fine=er") == ["b"]
        assert listed(client, "label=grid&label=n") == ["a"]
        assert listed(client, "label=n=") == ["c"]
        assert listed(client, "name=b") == ["b"]
        assert listed(client, "name=b&label=n") == listed(client, "label=nothing") == []

    def test_by_the_beginning_of_an_id_or_a_name(self, service, client):
        first = service.add_execution(execution_id="e5b2077c-0000-4000-8000-000000000000", name="1")
        service.add_execution(execution_id="e5b3077c-0000-4000-8000-000000000000", name="2")
        assert listed(client, "id=e5b") == ["2", "1"]
        assert listed(client, "id=e5b2") == listed(client, f"id={first.id}") == ["1"]
        assert listed(client, "id=flow-") == ["2", "1"]
        assert listed(client, f"id={first.awf_name}")[-1] == "1"
        assert listed(client, "id=f") == ["2", "1"]
        assert listed(client, "id=zzz") == []

    def test_by_when(self, service, client):
        now = datetime.now(UTC)
        for hours in (1, 30, 100):
            moment = now - timedelta(hours=hours)
            at(service, service.add_execution(name=f"{hours}"), created_at=moment)
        assert listed(client, "since=2h") == listed(client, "since=1h5m") == ["1"]
        assert listed(client, "since=3d") == listed(client, "since=31h") == ["30", "1"]
        moment = (now - timedelta(hours=30)).strftime("%Y-%m-%dT%H:%M:%S")
        for offset in ("Z", "z", "%2B00:00", "+00:00", "-00:00"):
            assert listed(client, f"since={moment}{offset}") == ["30", "1"]
        assert listed(client, f"since={moment}.000-12:00") == ["1"]
        assert listed(client, "since=0") == []
        assert listed(client, "since=0001-01-01T00:00:00%2B23:59")[0] == "100"
        assert listed(client, "since=9999-12-31T23:59:59-23:59") == []

    def test_those_that_have_not_ended_and_those_of_the_last_day(self, service, client):
        now = datetime.now(UTC)
        for name, status, ended in (
            ("runs", ExecutionStatus.RUNNING, None),
            ("over", ExecutionStatus.FAILED, now - timedelta(hours=30)),
            ("lately", ExecutionStatus.SUCCESS, now - timedelta(hours=3)),
        ):
            execution = service.add_execution(name=name)
            service.record(execution, Observation(status, None))
            at(service, execution, created_at=now - timedelta(days=9), finished_at=ended)
        assert listed(client, "active_since=1d") == ["lately", "runs"]
        assert listed(client, "active_since=1h") == ["runs"]
        assert listed(client, "active_since=40h") == ["lately", "over", "runs"]
        assert listed(client, "active_since=1d&status=SUCCESS") == ["lately"]

    def test_pages_keep_to_the_filter_and_to_its_moment(self, service, client):
        now = datetime.now(UTC)
        for number in range(5):
            execution = service.add_execution(name=str(number), labels={"a": "b"})
            at(service, execution, created_at=now - timedelta(minutes=10 - number))
        service.add_execution(name="other")
        query = "label=a&since=1h&page_size=2&active_since=2d&owner=@me"
        answer, names = client.get(f"/executions?{query}").json, []
        while True:
            assert answer["total"] == 5
            names += [each["name"] for each in answer["executions"]]
            if answer["next"] is None:
                break
            assert "1h" not in answer["next"]
            answer = client.get(answer["next"]).json
        assert names == ["4", "3", "2", "1", "0"]

    def test_the_tag_is_that_of_what_is_shown_and_not_of_the_moment(self, service, client):
        for _ in range(3):
            service.add_execution(labels={"a": "b"})
        path = "/executions?label=a=b&since=1h&page_size=2"
        tag = client.get(path).headers["ETag"]
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
        later = client.get(path.replace("1h", "59m")).headers["ETag"]
        assert later != tag  # its next page is another one
        service.add_execution(labels={"a": "b"})
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 200

    @pytest.mark.parametrize("name", ["since", "active_since"])
    def test_the_document_tells_what_may_be_said_of_a_moment(self, client, name):
        told = client.get("/openapi.json").json["paths"]["/executions"]["get"]["parameters"]
        pattern = next(each["schema"]["pattern"] for each in told if each.get("name") == name)
        fitting = ["2h", "1h30m", "3d", "0.5d", "0", "2026-01-31T12:00:00Z"]
        fitting += ["2026-01-31t12:00:00.25z", "2026-01-31T12:00:00-05:30"]
        for text in fitting:
            assert re.search(pattern, text), text
            assert client.get("/executions", query_string={name: text}).status_code == 200
        for text in ("forever", "yesterday", "2026-01-31", "3dd", ""):
            assert not re.search(pattern, text), text

    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("since=yesterday", "since"), ("since=-1h", "since"), ("since=2026-01-31", "since"),
            ("since=2026-01-31T12:00:00", "since"), ("since=2026-02-30T12:00:00Z", "since"),
            ("since=", "since"), ("since=forever", "since"), ("since=999999999999d", "since"),
            ("since=0000-01-01T00:00:00Z", "since"), ("since=1h&since=2h", "since"),
            ("active_since=x", "active_since"), ("since=292000000h", "since"),
            ("since=999999d", "since"), ("active_since=999999d", "active_since"),
            ("id=", "id"), ("id=%25", "id"), ("id=a%20b", "id"), ("id=ä", "id"),
            ("id=" + "a" * 161, "id"), ("label=", "label"), ("label=%3Dx", "label"),
            ("label=a%00", "label"), ("label=a=%00", "label"), ("label=-a=b", "label"),
            ("&".join(["label=a"] * 33), "label"), ("name=%00", "name"), ("labels=a", "labels"),
        ],
    )  # fmt: skip
    def test_rubbish_is_named(self, client, assert_problem, query, path):
        assert_problem(client.get(f"/executions?{query}"), 422, "invalid_request", path)


class TestOthers:
    def test_nobody_finds_what_they_may_not_see(self, make_service, as_user):
        service = make_service(api__auth=users())
        for owner in ("ada", "bob"):
            service.add_execution(owner, name=f"{owner}'s", labels={"grid": "fine"})
        everything = ("label=grid=fine", "label=grid", "since=1h", "active_since=1h", "id=flow-")
        for query in everything:
            assert listed(service.client, query, **as_user("ada")) == ["ada's"]
            assert listed(service.client, query, **as_user("ops")) == ["bob's", "ada's"]
            assert listed(service.client, f"{query}&owner=@me", **as_user("bob")) == ["bob's"]
            assert listed(service.client, f"{query}&owner=@me", **as_user("ops")) == []
            assert listed(service.client, f"{query}&owner=bob", **as_user("ada")) == []
        assert listed(service.client, "name=bob%27s", **as_user("ada")) == []
        assert listed(service.client, "owner=@me&owner=bob", **as_user("ops")) == ["bob's"]

    def test_what_goes_on_from_an_execution_is_called_like_it(self, make_service):
        service = make_service()
        path = service.settings.workflows_dir / "quiet.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(QUIET, encoding="utf-8")
        answer = launch(service.client, name="night 4", labels={"grid": "fine"})
        execution = service.store.get(answer.headers["Location"].rpartition("/")[2])
        service.record(execution, Observation(ExecutionStatus.FAILED, {}, log_complete=True))
        again = service.client.post(f"/executions/{execution.id}/retry")
        assert again.status_code == 201, again.text
        told = service.client.get(again.headers["Location"]).json
        assert (told["name"], told["labels"]) == ("night 4", {"grid": "fine"})

    def test_events_of_all_executions_tell_them(self, service, client):
        service.add_execution(name="night 4", labels={"grid": "fine"})
        answer = client.get("/executions/events", headers={"Accept": "application/x-ndjson"})
        told = json.loads(next(iter(answer.response)).splitlines()[0])
        assert (told["name"], told["labels"]) == ("night 4", {"grid": "fine"})
        answer.close()
