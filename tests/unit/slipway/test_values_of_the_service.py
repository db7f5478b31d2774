"""What the service tells, as values; an old client understands a newer service."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest
from client_kit import ID, client_of, entry, execution, page
from kit.raw_server import RawServer, answer

import slipway
from slipway import Level, LogEntry, NotOurs, Status, TaskStatus, models
from slipway.models import ExecutionState, Input, LogPage, Model, Task, WorkflowDescription

DOCUMENT = Path(slipway.__file__).parents[1] / "openapi" / "root.json"
SCHEMAS = json.loads(DOCUMENT.read_text(encoding="utf-8"))["components"]["schemas"]
OF_SCHEMAS = {
    "ApiKey": models.ApiKey, "CreatedApiKey": models.CreatedApiKey,
    "CreatedSshKey": models.CreatedSshKey, "DefinitionVersion": models.DefinitionVersion,
    "Execution": ExecutionState, "ExecutionSummary": ExecutionState, "Identity": models.Identity,
    "LogPage": LogPage, "Metrics": models.Metrics, "Node": models.Node, "Output": models.Output,
    "Parameter": Input, "Ready": models.Ready, "SshKey": models.SshKey, "Step": models.Step,
    "Task": Task, "UploadedWorkflow": models.WorkflowInfo, "Version": models.Version,
    "Waiting": models.Waiting, "WorkflowDescription": WorkflowDescription,
    "WorkflowInfo": models.WorkflowInfo,
}  # fmt: skip
"""What the client makes of which schema of the published document."""


def example(schema, *, newer=False, full=True):
    """A value of a schema; of a newer service with more fields, and with words of its own."""
    if "$ref" in schema:
        return example(SCHEMAS[schema["$ref"].rpartition("/")[2]], newer=newer, full=full)
    if "anyOf" in schema:
        return example(schema["anyOf"][0], newer=newer, full=full)
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return _object(schema, newer, full)
    if kind == "array":
        return [example(schema["items"], newer=newer, full=full)]
    return _scalar(schema, newer)


def _scalar(schema, newer):
    if "enum" in schema:
        return "BRAND_NEW" if newer else schema["enum"][0]
    if schema.get("format") == "date-time":
        return "2026-01-31T12:00:00.123456Z"
    samples = {"string": "text", "integer": 3, "number": 0.5, "boolean": True}
    return samples.get(schema.get("type"))


def _object(schema, newer, full):
    needed = schema.get("required", [])
    found = {name: example(each, newer=newer, full=full)
             for name, each in schema.get("properties", {}).items()
             if full or name in needed}  # fmt: skip
    return found | {"brand_new": {"deep": [1]}} if newer and "properties" in schema else found


@pytest.mark.parametrize("name", OF_SCHEMAS)
def test_all_that_the_document_promises_is_understood(name):
    kind, told = OF_SCHEMAS[name], example(SCHEMAS[name])
    value = kind.read(told)
    assert value.extra.keys() <= told.keys()
    assert value == kind.read(copy.deepcopy(told))
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.raw = {}
    assert pickle.loads(pickle.dumps(value)) == value
    if name != "LogPage":  # what it is about are its entries, and each may have more to it
        assert len({value, kind.read(copy.deepcopy(told))}) == 1


def test_values_are_equal_that_say_the_same():
    one = models.Version.read({"version": "1", "name": "slipway"})
    assert one == models.Version(version="1", name="slipway") != models.Version(version="1")
    assert one != {"version": "1"}
    assert repr(one) == "Version(version='1', name='slipway')"
    for wrong in ({}, {"version": "1", "colour": "blue"}):
        with pytest.raises(TypeError, match=r"version|colour"):
            models.Version(**wrong)


@pytest.mark.parametrize("name", OF_SCHEMAS)
def test_what_may_be_left_out_may_be_missing(name):
    OF_SCHEMAS[name].read(example(SCHEMAS[name], full=False))


@pytest.mark.parametrize("name", OF_SCHEMAS)
def test_what_a_newer_service_adds_is_carried_along(name):
    told = example(SCHEMAS[name], newer=True)
    value = OF_SCHEMAS[name].read(told)
    assert value.extra["brand_new"] == {"deep": [1]}
    assert value.raw == told


def test_the_client_knows_all_that_the_service_says_of_an_execution():
    for name in ("Execution", "Task", "WorkflowDescription", "LogEntry"):
        told = set(SCHEMAS[name]["properties"])
        known = OF_SCHEMAS.get(name, LogEntry)
        if issubclass(known, Model):
            passed_over = set(known.read(example(SCHEMAS[name])).extra)
        else:
            passed_over = told - set(LogEntry._fields)
        assert passed_over <= {"application_id", "environment_id", "environment_name"}, name


def test_a_value_without_what_it_is_about_is_none():
    for told in (None, [], "text", {}, {"id": 7}, {"id": ID}):
        with pytest.raises(NotOurs):
            ExecutionState.read(told)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_value_of_another_kind_is_said_by_its_name(value):
    with pytest.raises(NotOurs, match="'required'"):
        Input.read({"name": "n", "type": "string", "required": value})


@pytest.mark.parametrize(
    ("told", "expected"),
    [({"state": "\x1b[2J"}, "'state' where a word"), ({"state": 7}, "'state' where text"),
     ({"created_at": "now"}, "'created_at' where a time with its zone"),
     ({"finished_at": "2026-01-31T12:00:00"}, "'finished_at' where a time with its zone"),
     ({"progress": "7"}, "'progress' where a number"),
     ({"progress": 10**400}, "'progress' where a number")],
    ids=range(6),
)  # fmt: skip
def test_what_was_expected_is_said(told, expected):
    with pytest.raises(NotOurs, match=rf"^The service says {expected} was expected\.$"):
        ExecutionState.read(execution() | told)


@pytest.mark.parametrize(("default", "has_one"), [(None, False), (0, True), ("", True)])
def test_an_input_has_a_default_only_where_the_service_tells_of_one(default, has_one):
    """The service always names a default: null where there is none."""
    told = {"name": "n", "type": "integer", "required": default is None, "default": default}
    assert Input.read(told).has_default is has_one


def test_words_are_found_in_either_case_and_new_ones_are_taken():
    assert Status("running") is Status.RUNNING
    assert TaskStatus("skipped").is_final
    new = Status("dreaming")
    assert new == "DREAMING" == Status("DREAMING")
    assert (str(new), new.is_known, new.is_final) == ("DREAMING", False, False)
    assert {new: 1}[Status("dreaming")] == 1
    assert [word for word in Status if word.is_final] == ["SUCCESS", "FAILED", "CANCELLED"]
    with pytest.raises(ValueError, match="7"):
        Status(7)


@pytest.mark.parametrize("kind", [Status, TaskStatus, Level])
def test_a_word_that_would_steer_a_terminal_is_none(kind):
    with pytest.raises(ValueError, match="is not a valid"):
        kind("\x1b[2Jgone")


def test_each_exact_word_counts_as_one_of_five():
    told = {str(word): str(word.told) for word in (*Status, Status("new"))}
    running = {"PENDING", "RUNNING", "PAUSED", "UNKNOWN"}
    assert {word for word in told if told[word] == "RUNNING"} == running
    assert all(told[word] == word for word in told.keys() - running)


def test_levels_are_in_order_and_take_their_words():
    assert sorted([Level.ERROR, Level.DEBUG, Level.WARN, Level.INFO]) == [*Level]
    assert Level("warning") is Level.WARN
    assert Level.INFO < "warn" <= Level.WARN
    assert Level.ERROR >= Level.ERROR > Level("notice")
    assert [level.and_above for level in Level] == [15, 14, 12, 8]


def test_times_know_their_zone():
    assert ExecutionState.read(execution(created_at="2026-01-31T12:00:00Z")).created_at == datetime(
        2026, 1, 31, 12, tzinfo=UTC
    )


def test_an_entry_is_a_line_of_the_log():
    read = LogPage.read(page(entry(3), entry(4) | {"host": "n1"}, complete=True))
    assert [str(each) for each in read.entries] == ["line 3", "line 4"]
    assert [dict(each.extra) for each in read.entries] == [{}, {"host": "n1"}]
    assert read.entries[0][:2] == (3, datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC))


def test_secrets_and_inputs_are_not_shown():
    key = models.CreatedApiKey.read(example(SCHEMAS["CreatedApiKey"]) | {"key": "very-secret-key"})
    assert key.key == "very-secret-key"
    assert "secret" not in repr(key)
    with RawServer(lambda *_: answer(200, execution(inputs={"password": "s3cret"}))) as server:
        found = client_of(server.url).execution(ID)
        assert found.inputs == {"password": "s3cret"}
        assert repr(found) == f"<Execution {ID} of 'w': RUNNING>"
        assert "s3cret" not in found._repr_html_()


def test_importing_the_package_costs_nothing():
    assert set(slipway.__all__) <= set(dir(slipway))
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = slipway.nothing_of_the_kind
