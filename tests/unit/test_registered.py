import sys

import pytest

from app.errors import ConfigError
from app.registered import import_named

EXPECTED = "must be one of a, or package.module:NAME"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write the module ``of_an_operator``."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "of_an_operator", raising=False)
    return (tmp_path / "of_an_operator.py").write_text


def fault(name):
    with pytest.raises(ConfigError) as caught:
        import_named(name, {"a": "pathlib:Path"}, EXPECTED)
    return caught.value.message


@pytest.mark.parametrize(
    "name",
    ["b", "", ".:", ".x:y", ":x", "no.such:X", "pathlib", "pathlib:", "pathlib:Nothing", "os.x:y"],
)
def test_what_does_not_exist_is_said_to_be_no_choice(name):
    assert fault(name) == EXPECTED


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("from os import nothing_like_it", "ImportError: cannot import name 'nothing_like_it'"),
        ("import os\nos.nothing", "AttributeError: module 'os' has no attribute 'nothing'"),
        ("def", "SyntaxError: invalid syntax"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('no')", "ValueError: no"),
    ],
)
def test_a_module_that_fails_is_said_to_fail_and_why(module, source, why):
    module(source)
    sentence = f"names a module that cannot be imported: {why}"
    assert fault("of_an_operator:THING").startswith(sentence)


def test_what_is_there_is_imported(module):
    module("THING = 7")
    assert import_named("of_an_operator:THING", {}, EXPECTED) == 7
