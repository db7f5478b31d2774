"""``/ui/system``: what operators keep open."""

from __future__ import annotations

import re

import pytest
from admin_kit import ask
from service_kit import signed_in

from app.domain import ExecutionStatus, Observation
from app.store.conductors import Conductors, Node, OwnProcess
from app.store.execution_rows import now
from app.store.figures import MINUTE, Figures, ProcessMinute, minute_of


def conduct(service, host="n7"):
    known = Conductors(service.web.database)
    known.register("c", Node(f"{host}/mark", "boot"), OwnProcess(42))


def count(service, **more):
    values = {
        "minute": minute_of(now()) - MINUTE, "process": "p", "host": "n1", "pid": 7,
        "seen_at": now(), "ended": False, "requests": 1234, "failures": 2, "streams": 3,
        "followers": 2, "delivered": 1, "delivery_lag": 0.0254, "loop_lag": 0.5, "queue": 4,
    }  # fmt: skip
    Figures(service.web.database).put([ProcessMinute(**{**values, **more})])


@pytest.mark.parametrize("name", ["ada", "dev"])
def test_it_is_for_operators(guarded, name):
    assert ask(guarded, name, "/ui/system").status_code == 403
    header = ask(guarded, name, "/ui/account").text
    assert "/ui/system" not in header
    assert "/ui/audit" not in header


def test_it_says_that_all_is_well(guarded):
    conduct(guarded)
    text = ask(guarded, "ops", "/ui/system").text
    assert "All is well" in text
    assert "<title>System · Slipway</title>" in text


def test_what_is_not_well_stands_first_and_in_the_title(guarded):
    text = ask(guarded, "ops", "/ui/system").text
    assert "Conductor: no conductor gave a sign of life lately." in text
    assert "<title>1 not well · System · Slipway</title>" in text
    assert text.index("no conductor gave") < text.index('id="orchestrators"')
    assert text.index('id="signed-in"' if 'id="signed-in"' in text else 'id="queue"') < text.index(
        "<slip-chart"
    )


def test_figures_and_processes_are_shown(guarded):
    conduct(guarded)
    count(guarded)
    text = ask(guarded, "ops", "/ui/system").text
    figures = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)", text))
    assert figures["Streams"] == "3"
    assert figures["Followers"] == "2"
    assert "1,234 per minute at last" in text, "without scripts, too"


def test_what_waits_and_what_failed_leads_to_its_page(guarded):
    waiting, failed = guarded.add_execution("ada"), guarded.add_execution("bob")
    end = Observation(ExecutionStatus.FAILED, cursor=None, error="<img src=x>", log_complete=True)
    guarded.record(failed, end)
    text = ask(guarded, "ops", "/ui/system").text
    for execution in (waiting, failed):
        assert f'href="/ui/executions/{execution.id}"' in text
    assert "<img" not in text
    assert "&lt;img src=x&gt;" in text


def test_who_is_signed_in_is_named_for_admins_alone(guarded):
    guarded.services.sessions.begin(signed_in("ada"), None, None)
    assert 'href="/ui/users/ada"' not in ask(guarded, "ops", "/ui/system").text
    guarded.services.system._states.forget("all")
    assert 'href="/ui/users/ada"' in ask(guarded, "root", "/ui/system").text
