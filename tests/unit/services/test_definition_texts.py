"""What executions were launched from, and how it differs, as far as it is kept."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from service_kit import signed_in, users

from app.domain import DefinitionSource, Permission
from app.isolation import OverBudget
from app.services import text_difference as module
from app.services.definition_texts import (
    NOT_ALLOWED,
    NOT_KEPT,
    TOO_LARGE,
    DefinitionChange,
    TextDifference,
)
from app.services.text_difference import compared, indented

DEV = signed_in("dev")
RESTRICTED = replace(DEV, scopes=frozenset({Permission.EXECUTIONS_READ}))
TEXT = """# how it is counted
id: counted
steps:
  - {{id: first, type: script, config: {{script: 'echo {word}'}}}}
"""


class NearWorker:
    """Calls where a worker process would."""

    @staticmethod
    def run(owner, function, argument):
        return {"indented": indented, "compared": compared}[function.rpartition(":")[2]](argument)


@pytest.fixture
def service(make_service):
    return make_service(api__auth=users())


@pytest.fixture
def texts(service, monkeypatch):
    made = service.services.digests._texts
    monkeypatch.setattr(made, "_isolated", NearWorker)
    return made


@pytest.fixture
def launched(service):
    """Upload a definition and launch it."""

    def launch(word):
        source = DefinitionSource(TEXT.format(word=word))
        service.services.workflows.upload(source, DEV, replace="counted")
        return service.services.launching.launch("counted", {}, DEV)

    return launch


class TestCompare:
    def test_definitions_are_compared_by_what_they_say(self, texts, launched):
        one, two, again = launched("a"), launched("b"), launched("b")
        assert texts.compare(one, two) == DefinitionChange(True, 1, 2)
        assert texts.compare(two, again) == DefinitionChange(False, 2, 2)

    def test_of_one_that_was_not_accepted_yet_nobody_knows(self, service, texts, launched):
        unknown = service.add_execution(accepted=False)
        assert texts.compare(launched("a"), unknown).changed is None

    def test_nor_of_one_that_is_purged_meanwhile(self, service, texts, launched):
        one = launched("a")
        assert texts.compare(one, replace(one, id="no-such-id")).changed is None

    def test_nor_of_those_of_an_orchestrator_that_keeps_none_or_is_gone(self, make_service):
        service = make_service(fake="Obedient")
        texts = service.services.digests._texts
        one, two = service.add_execution(), service.add_execution()
        assert texts.compare(one, two) == DefinitionChange(None, None, None)
        assert texts.compare(one, service.add_execution(orchestrator="gone")).changed is None
        assert texts.text(one, DEV) == NOT_KEPT
        assert texts.difference(one, two, DEV) == TextDifference(missing=NOT_KEPT)


class TestText:
    def test_it_is_given_as_it_was_uploaded(self, texts, launched):
        one, _ = launched("a"), launched("b")
        given = texts.text(one, DEV)
        assert (given.text, given.version) == (TEXT.format(word="a"), 1)
        assert given.media_type == "application/yaml"

    def test_or_else_what_it_says(self, service, texts, launched):
        one = launched("a")
        service.services.workflows.remove("counted", DEV)
        given = texts.text(one, DEV)
        assert (given.media_type, given.version) == ("application/json", 1)
        assert json.loads(given.text)["id"] == "counted"
        assert given.text.startswith('{\n  "')

    def test_as_it_is_kept_where_writing_it_takes_too_long(self, service, texts, launched,
                                                           monkeypatch):  # fmt: skip
        one = launched("a")
        service.services.workflows.remove("counted", DEV)
        monkeypatch.setattr(NearWorker, "run", staticmethod(over_budget))
        assert json.loads(texts.text(one, DEV).text)["id"] == "counted"

    def test_whoever_may_not_read_workflows_is_not_given_it(self, texts, launched):
        one, two = launched("a"), launched("b")
        assert texts.text(one, RESTRICTED) == NOT_ALLOWED
        assert texts.difference(one, two, RESTRICTED) == TextDifference(missing=NOT_ALLOWED)

    def test_what_is_not_kept_any_more_is_said(self, service, texts):
        gone = service.add_execution()  # from a definition that there is not
        assert texts.text(gone, DEV) == NOT_KEPT


def over_budget(owner, function, argument):
    raise OverBudget(function)


class TestDifference:
    def test_texts_as_they_were_uploaded_are_compared(self, texts, launched):
        one, two = launched("a"), launched("b")
        found = texts.difference(one, two, DEV)
        assert found.lines[:2] == (f"--- counted of {one.id}", f"+++ counted of {two.id}")
        assert " # how it is counted" in found.lines
        assert "-  - {id: first, type: script, config: {script: 'echo a'}}" in found.lines
        assert "+  - {id: first, type: script, config: {script: 'echo b'}}" in found.lines
        assert (found.cut, found.missing) == (False, "")

    def test_where_one_is_gone_both_are_compared_by_what_they_say(self, service, texts, launched):
        one = launched("a")
        service.services.workflows.remove("counted", DEV)
        found = texts.difference(one, launched("b"), DEV)
        assert not [line for line in found.lines if "how it is counted" in line]
        changed = [line for line in found.lines[2:] if line[0] in "+-"]
        assert [line[0] for line in changed] == ["-", "+"]
        assert "echo a" in changed[0]
        assert "echo b" in changed[1]

    def test_two_that_are_json_are_compared_as_people_read_it(self, service, texts):
        launched = []
        for word in "ab":
            step = {"id": "first", "type": "script", "config": {"script": f"echo {word}"}}
            source = DefinitionSource(
                json.dumps({"id": "counted", "steps": [step]}), "application/json"
            )
            service.services.workflows.upload(source, DEV, replace="counted")
            launched.append(service.services.launching.launch("counted", {}, DEV))
        lines = texts.difference(*launched, DEV).lines
        assert [line for line in lines[2:] if line[0] in "+-"] == [
            '-        "script": "echo a"', '+        "script": "echo b"',
        ]  # fmt: skip

    def test_what_takes_too_long_is_not_compared(self, texts, launched, monkeypatch):
        monkeypatch.setattr(NearWorker, "run", staticmethod(over_budget))
        found = texts.difference(launched("a"), launched("b"), DEV)
        assert found == TextDifference(missing=TOO_LARGE)

    def test_the_lines_have_bounds(self, monkeypatch):
        def lines(before, after):
            return json.loads(compared(json.dumps([before, after, "x", "y", False]).encode()))

        assert lines("", "z\n" * 5)[1] is False
        monkeypatch.setattr(module, "MOST_LINES", 4)
        told, cut = lines("", "z\n" * 5)
        assert (len(told), cut) == (4, True)
        monkeypatch.setattr(module, "LONGEST_LINE", 9)
        assert lines("", "z" * 9) == [["--- x", "+++ y", "@@ -0,0 +", "+zzzzzzzz"], True]


def test_a_worker_process_does_the_same(service, launched):
    one, two = launched("a"), launched("b")
    found = service.services.digests._texts.difference(one, two, DEV)
    assert "+  - {id: first, type: script, config: {script: 'echo b'}}" in found.lines
