"""A start looks for no garbage among what it imports; what lasts longer than a start does."""

import gc
from types import SimpleNamespace

import click
import pytest


@pytest.fixture(autouse=True)
def as_at_a_start():
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def test_what_is_handed_to_the_service_lasts(person, monkeypatch):
    seen = []
    told = click.Command("migrate", callback=lambda: seen.append(gc.isenabled()))
    group = click.Group("service", commands={"migrate": told})
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda **_: [SimpleNamespace(load=lambda: group)]
    )
    assert person.types("migrate").code == 0
    assert seen == [True]


def test_whoever_asks_a_service_may_follow_it_for_days(person, monkeypatch):
    monkeypatch.setenv("SLIPWAY_URL", "http://127.0.0.1:1")
    assert person.types("ps").code == 5
    assert gc.isenabled()
