"""Docstrings are plain: what is returned is said to be returned, and people are "they"."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import app

ROOT = Path(app.__file__).parents[1]
PARTS = ("app", "slipway", "bench", "tests")
MODULES = sorted(file for part in PARTS for file in (ROOT / part).rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RIDDLE = re.compile(
    r"(?:^|[;:.]\s|,\s(?:and\s|or\s)?)(?:gives?|tells?|says?)\s(?!(?:it|them|up|way)\b)",
    re.IGNORECASE,
)
OF_A_MAN = re.compile(r"\b(?:he|his|him|himself)\b", re.IGNORECASE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def found(files: Iterable[Path], look: Callable[[str], list[str]]) -> dict[str, list[str]]:
    """Return what is found in each of some files, without those where that is nothing."""
    return {
        str(file.relative_to(ROOT)): lines for file in files if (lines := look(file.read_text()))
    }


def riddles(source: str) -> list[str]:
    """Return the functions that return something, and whose first sentence calls it otherwise."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, Function))
    return [
        function.name
        for function in functions
        if RIDDLE.search((ast.get_docstring(function) or "").partition("\n\n")[0])
        and any(isinstance(node, ast.Return) and node.value for node in own_nodes(function))
    ]


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of functions within it."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def of_a_man(text: str) -> list[str]:
    """Return the lines that are about a man, where anybody may be meant."""
    return [line for line in text.splitlines() if OF_A_MAN.search(line)]


def test_what_a_function_returns_is_said_to_be_returned():
    assert found(MODULES, riddles) == {}


@pytest.mark.parametrize(
    "text",
    [
        "Tell whether it is well.", "Give the size.", "Gives a ticket.", "Say why it failed.",
        "End it; give its status.", "Count a try, and give their number.",
        "Write it down;\n    tell the place.",
    ],
)  # fmt: skip
def test_a_riddle_would_be_found(text):
    assert riddles(f'def f():\n    """{text}"""\n    return 1\n') == ["f"]


@pytest.mark.parametrize(
    "function",
    [
        'def f():\n    """Give the turn to the next."""\n    print()',
        'def f():\n    """Say what is wrong."""\n    def g():\n        return 1\n    g()',
        'def f():\n    """Begin it, and give it a name."""\n    return 1',
        'def f():\n    """Return what it says."""\n    return 1',
        'def f():\n    """Return it.\n\n    Give or take."""\n    return 1',
    ],
)
def test_what_is_really_given_or_said_is_no_riddle(function):
    assert riddles(function) == []


def test_people_are_they():
    others = [file for file in [*MODULES, *PAGES] if file != Path(__file__)]
    assert found(others, of_a_man) == {}


def test_a_man_would_be_found():
    assert of_a_man("What they may see.\nWhat he may see.\n# As HIS token says.") == [
        "What he may see.",
        "# As HIS token says.",
    ]


def loose_durations(source: str) -> list[str]:
    """Return the constants of a module that are durations, and of which nothing says what for."""
    lines, nodes = source.splitlines(), ast.parse(source).body
    return [
        name
        for node, following in zip(nodes, [*nodes[1:], None], strict=True)
        if (name := constant_of(node)) and "SECONDS" in name and "NANOSECONDS" not in name
        if not is_text(following)
        and "#" not in lines[node.lineno - 1]
        and not lines[node.lineno - 2].startswith("#")
    ]


def constant_of(node: ast.stmt) -> str:
    """Return the name that a statement gives to one value; an empty one if it does not."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    name = targets[0]
    return name.id if isinstance(name, ast.Name) else ""


def is_text(node: ast.stmt | None) -> bool:
    """Return whether a statement is a text, such as the one that documents the line above."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def test_what_a_duration_is_for_stands_with_it():
    assert found(sorted((ROOT / "app").rglob("*.py")), loose_durations) == {}


def test_a_loose_duration_would_be_found():
    source = 'A_SECONDS = 1.0\n"""For it."""\nB_SECONDS = 2.0\n_C_SECONDS: Final = 3.0  # for it\n'
    assert loose_durations(source) == ["B_SECONDS"]
