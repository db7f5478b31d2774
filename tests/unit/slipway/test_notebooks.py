"""What notebooks show of workflows and executions."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from client_kit import ID, client_of, execution
from kit.raw_server import RawServer, answer

from slipway import Execution, Workflow

EVIL = "<script>alert('x')</script>"


def task(number, name=EVIL):
    return {"name": f"{number} {name}", "status": "RUNNING", "title": None}


def test_an_execution_is_shown_escaped_and_without_a_request():
    with RawServer(lambda *_: answer(200, execution(workflow=EVIL, error=EVIL, state=EVIL,
                                                    tasks=[task(0)]))) as server:  # fmt: skip
        found = client_of(server.url).execution(ID)
        del server.asked[:]
        html = found._repr_html_()
        assert server.asked == []
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 3
    assert "&lt;SCRIPT&gt;" in html


def test_what_is_shown_is_small_however_much_there_is():
    tasks = [task(number, "x" * 10_000) for number in range(1000)]
    with RawServer(lambda *_: answer(200, execution(tasks=tasks))) as server:
        html = client_of(server.url).execution(ID)._repr_html_()
    assert len(html) < 8000
    assert "980 more" in html


def test_what_was_not_asked_for_yet_is_shown_by_its_name():
    client = client_of("http://127.0.0.1:1")
    assert "<b>a&lt;b</b>" in Workflow(client, "a<b")._repr_html_()
    assert f"<code>{ID}</code>" in Execution(client, ID)._repr_html_()


def test_a_workflow_is_shown_with_its_inputs():
    described = {"id": "w", "name": "W", "description": EVIL, "inputs": [
        {"name": "n", "type": "integer", "required": True, "description": "How many"}]}  # fmt: skip
    with RawServer(lambda *_: answer(200, described)) as server:
        workflow = client_of(server.url).workflow("w")
        assert [each.name for each in workflow.inputs] == ["n"]
        html = workflow._repr_html_()
    assert "<td>n</td><td>integer</td><td>How many</td>" in html
    assert "<script" not in html


class Notebook:
    """A kernel that keeps what it is told to show."""

    def __init__(self):
        self.shown = []
        self.kernel = object()

    def display(self, thing, display_id=False):
        assert display_id
        self.shown.append([thing._repr_html_()])
        shown = self.shown[-1]

        class Handle:
            def update(self, thing):
                shown.append(thing._repr_html_())

        return Handle()


@pytest.fixture
def notebook(monkeypatch):
    made = Notebook()
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: made
    display.display = made.display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return made


def talk(_, number):
    return answer(200, execution("SUCCESS" if number > 2 else "RUNNING", progress=number / 3))


def test_a_wait_shows_one_line_that_changes(notebook):
    with RawServer(talk) as server:
        client_of(server.url).execution(ID).wait()
    (outputs,) = notebook.shown
    assert len(outputs) == 3
    assert "RUNNING" in outputs[0]
    assert "SUCCESS" in outputs[-1]


def test_elsewhere_nothing_is_shown(notebook):
    del notebook.kernel  # a shell in a terminal
    with RawServer(talk) as server:
        client_of(server.url).execution(ID).wait()
    assert notebook.shown == []
