"""What the guide shows is what the parser and the scripts take."""

from pathlib import Path

import pytest
import yaml
from iteration_kit import Ran, Target, script
from kit.guides import blocks

from app.load import checks, schema, script_host
from app.load.exchange import Answer
from app.load.parsing import parse

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "load-definitions.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def answers(request):
    body = b'{"token": "t1"}' if request.url.endswith("/login") else b""
    return Answer(200, 1000, [], body)


@pytest.mark.runs("docs/guides/load-definitions.md", "## Definitions", "## Steps")
@pytest.mark.parametrize("text", blocks(TEXT, "yaml"))
def test_the_definitions_can_be_submitted_and_run(text):
    parse(text)
    document = yaml.safe_load(text)
    ran = Ran(*document["steps"], target=Target(answers), variables=document.get("variables", {}))
    assert ran.messages == []
    assert ran.succeeded


def test_the_first_one_does_what_it_says():
    source = parse(blocks(TEXT, "yaml")[0])
    assert (source.options.mode, source.options.duration_us) == ("constant-vus", 150_000_000)
    document = yaml.safe_load(blocks(TEXT, "yaml")[0])
    ran = Ran(*document["steps"], target=Target(answers), variables=document["variables"])
    login, look = ran.target.requests
    assert (login.url, login.body) == ("https://shop.example/login", b'{"user":"ann","first":3}')
    assert look.url == "https://shop.example/items?page=7"
    assert ("Authorization", "Bearer t1") in look.headers


@pytest.mark.runs("docs/guides/load-definitions.md", "## Scripts")
def test_the_script_finds_what_it_shows():
    (source,) = blocks(TEXT, "js")
    assert Ran(script("s", source), variables={"n": 1}).succeeded


@pytest.mark.parametrize(
    "bound",
    ["1 s of processor time", "16 MiB of memory, 256 KiB of stack", "64 KiB of source",
     "at most 1,000, nested ones included, nested at most 10 levels"],
)  # fmt: skip
def test_the_bounds_are_those_of_the_code(bound):
    assert bound in TEXT


def test_the_numbers_of_the_code_are_told():
    assert script_host.SCRIPT_SECONDS == 1
    assert (script_host.MEMORY_BYTES, script_host.STACK_BYTES) == (16 * 2**20, 256 * 2**10)
    assert schema.MAX_SCRIPT_LENGTH == 64 * 2**10
    assert (schema.MAX_STEPS, checks.MAX_NESTING) == (1000, 10)
