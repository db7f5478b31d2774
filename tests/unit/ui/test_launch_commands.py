"""Commands to copy: what a shell makes of them is what was meant, whatever the inputs hold."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from app.ui._commands import Call, commands, variable

STRANGE = [
    "plain", "it's", '"quoted"', "$HOME `id` $(id)", "a\nb", "back\\slash \\n", "@file", "-x",
    "!history", "ünïcode ✓", "\x1b[31m\x03", "\u202eright", "", " spaces ", "*.py ~ #", "%s %d",
]  # fmt: skip


def run(command: str, **env: str) -> list[str]:
    """Run a command in a shell where each program writes down its words."""
    shims = (
        'show() { for word; do printf "%s\\0" "$word"; done; }\n'
        'slipway() { show slipway "$@"; case " $* " in *" --inputs - "*) cat;; esac; }\n'
        'curl() { show curl "$@"; }\n'
    )
    done = subprocess.run(
        ["sh", "-c", shims + command], capture_output=True, env={**os.environ, **env}, check=True
    )
    assert done.stderr == b""
    return done.stdout.decode().split("\0")


def given(words: list[str]) -> dict[str, Any]:
    """What the words of ``slipway run`` give as inputs."""
    pairs = [words[n + 1] for n, word in enumerate(words) if word == "-i"]
    found: dict[str, Any] = dict(pair.split("=", 1) for pair in pairs)
    return found | (json.loads(words[-1]) if words[-1] else {})


def body(words: list[str]) -> Any:
    return json.loads(words[words.index("-d") + 1])


@pytest.mark.parametrize("value", STRANGE)
def test_texts_arrive_as_they_are(value: str) -> None:
    made = commands(Call("http://h", "flow", inputs={"x": value}))
    assert given(run(made.slipway)) == {"x": value}
    assert body(run(made.curl)) == {"inputs": {"x": value}}
    for command in (made.slipway, made.curl):
        assert command.replace("\n", "").isprintable(), "a terminal acts on nothing of it"


@pytest.mark.parametrize("name", ["a=b", " a", "it's", "\x1b", "-i", "$x"])
def test_names_arrive_as_they_are(name: str) -> None:
    made = commands(Call("http://h", "flow", inputs={name: "1"}))
    assert given(run(made.slipway)) == {name: "1"}
    assert body(run(made.curl)) == {"inputs": {name: "1"}}


def test_values_are_written_as_json() -> None:
    inputs = {"n": 7, "f": 0.5, "b": True, "l": ["a", 1], "o": {"k": None}}
    made = commands(Call("http://h", "flow", inputs=inputs))
    assert {name: json.loads(text) for name, text in given(run(made.slipway)).items()} == inputs
    assert body(run(made.curl)) == {"inputs": inputs}


def test_name_and_labels_go_along() -> None:
    made = commands(Call("http://h", "flow", name="-night 4", labels={"a": "it's", "b": ""}))
    words = run(made.slipway)
    assert words[:-1] == [
        "slipway", "run", "flow", "--name=-night 4", "--label", "a=it's", "--label", "b=",
    ]  # fmt: skip
    assert body(run(made.curl)) == {
        "inputs": {}, "name": "-night 4", "labels": {"a": "it's", "b": ""},
    }  # fmt: skip


def test_a_secret_is_a_variable() -> None:
    call = Call("http://h", "flow", inputs={"x": "secret 0"}, secrets=("api token",))
    made = commands(call)
    assert made.variables == ("API_TOKEN",)
    assert given(run(made.slipway, API_TOKEN="a b$c")) == {"x": "secret 0", "api token": "a b$c"}
    assert body(run(made.curl, API_TOKEN="a b$c")) == {
        "inputs": {"x": "secret 0", "api token": "a b$c"}
    }


@pytest.mark.parametrize(
    ("user", "words"),
    [(None, []), ("ada", ["-u", "ada"]), ("", ["-H", "Authorization: Bearer key"])],
)
def test_curl_signs_in_as_the_service_takes_it(user: str | None, words: list[str]) -> None:
    found = run(commands(Call("http://h/p", "a/b ?", "on", user)).curl, SLIPWAY_TOKEN="key")
    assert found[4] == "http://h/p/workflows/a%2Fb%20%3F?orchestrator=on"
    assert found[5 : 5 + len(words)] == words


def test_a_workflow_that_looks_like_an_option_is_none() -> None:
    assert run(commands(Call("http://h", "-x")).slipway)[:-1] == ["slipway", "run", "--", "-x"]


def test_variables_are_words_of_a_shell() -> None:
    assert variable("9 pass-word") == "SECRET_9_PASS_WORD"
