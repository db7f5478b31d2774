"""Texts of a definition that are used as they stand: what their authors expect of them in vain.

No expression is evaluated in files, scripts, commands, paths, names and defaults. One that stands
there, or that is written in the syntax of another system, reaches a command or a server as it is,
where it fails late and unclear. So it is a fault here, unless the author says ``literal: true``: in
the step, the file, the input, or for the whole definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

from app import look_alikes
from app.documents import strings
from app.domain import JSON
from app.engine import expressions
from app.engine.expressions import OPENING
from app.engine.faults import Fault, Path
from app.engine.foreach import without_index
from app.engine.interpreters import interpreter
from app.engine.model import TEMPLATES, StepType, StreamFile, input_variable

WORD: Final = "literal"
"""What says that a text is meant as it stands."""

_USED: Final = frozenset(
    {"working_dir", "stage_in", "stage_out", StreamFile.STDOUT, StreamFile.STDERR,
     StreamFile.CAPTURE}
)  # fmt: skip
"""The fields of a step, beside ``config``, that may be any text and are not evaluated."""
_FILE_TEXT: Final = "text"
_CR_LF: Final = re.compile(r"\r(?=\n|\Z)")
# These read a program in any of the three conventions of line ends.
_READS_CR_LF: Final = re.compile(r"(?:python|perl|ruby|node|Rscript)[0-9.]*")
_SHELLS: Final = re.compile(r"(?:ba|da|k|z|a|c|tc|fi)?sh")
_SHELL_SUFFIXES: Final = (".sh", ".bash", ".ksh", ".zsh")
_NO_EXPRESSION: Final = (
    "must not hold expressions; inputs arrive as INPUT_<NAME> in the environment, "
    "and 'env' takes expressions"
)


def file_text(content: JSON) -> str:
    """Return the text of a file of a definition, which stands by itself or beside other words."""
    text: str = content[_FILE_TEXT] if isinstance(content, Mapping) else content
    return text


def violations(document: Mapping[str, JSON]) -> Iterator[Fault]:
    """Find what is not evaluated and looks as if it were, and line ends that shells trip over.

    Args:
        document: A definition's document; what has not the right shape is passed over.
    """
    free = _is_literal(document)
    if not free:
        yield from _whole(document.get("name"), ("name",))
        for name, output in _items(document.get("outputs")):
            if isinstance(output, Mapping):
                yield from _templates(output.get("value"), ("outputs", name, "value"))
            else:
                yield from _templates(output, ("outputs", name))
    for name, words in _items(document.get("inputs")):
        if isinstance(words, Mapping) and not (free or _is_literal(words)):
            yield from _whole(words.get("default"), ("inputs", name, "default"))
    for name, content in _items(document.get("files")):
        yield from _file_faults(name, content, free)
    steps = document.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        if isinstance(step, Mapping):
            yield from _step_faults(step, ("steps", index), free)


def _step_faults(step: Mapping[str, JSON], path: Path, free: bool) -> Iterator[Fault]:
    if free or _is_literal(step):
        return
    evaluated = TEMPLATES.get(str(step.get("type")), ())
    for field, value in step.items():
        if field == "config":
            yield from _config_faults(value, (*path, field), evaluated)
        elif field in ("env", "foreach"):
            yield from _templates(value, (*path, field))
        elif field == "name":
            yield from _whole(value, (*path, field))
        elif field in _USED:
            yield from _used_as_is(value, (*path, field), has_index="foreach" in step)
    if step.get("type") == StepType.SCRIPT and isinstance(step.get("config"), Mapping):
        yield from _script_faults(step["config"], (*path, "config", "script"))


def _config_faults(config: JSON, path: Path, evaluated: tuple[str, ...]) -> Iterator[Fault]:
    for field, value in _items(config):
        if field in evaluated:
            yield from _templates(value, (*path, field))
        else:
            yield from _used_as_is(value, (*path, field))


def _script_faults(config: Mapping[str, JSON], path: Path) -> Iterator[Fault]:
    script, shell = config.get("script"), config.get("shell")
    if not isinstance(script, str) or not isinstance(shell, str | None):
        return
    words = interpreter(shell, script)
    program = _program(words) or words[0]
    if not _READS_CR_LF.fullmatch(program):
        yield from _line_end_faults(script, path, program)


def _file_faults(name: str, content: JSON, free: bool) -> Iterator[Fault]:
    text = content.get(_FILE_TEXT) if isinstance(content, Mapping) else content
    path: Path = ("files", name, _FILE_TEXT) if isinstance(content, Mapping) else ("files", name)
    if not isinstance(text, str) or free or _is_literal(content):
        return
    found = look_alikes.find(text, expressions=True)
    if found is not None:
        yield Fault(
            path,
            f"holds '{found.text}' in its line {found.line}, and a file is written as it stands; "
            f"read {_variable(found)} from the environment, hand it to the program by 'args' or "
            f"'env' of a step, or say '{WORD}: true' beside 'text'",
        )
    first, _, _ = text.partition("\n")
    if not first.startswith("#!"):
        if name.endswith(_SHELL_SUFFIXES):
            yield from _line_end_faults(text, path, "a shell")
    elif first.endswith("\r"):
        yield Fault(
            path,
            "its line 1 names the interpreter and ends with CR LF, so the system looks for one "
            "whose name ends with CR; end lines with LF alone",
        )
    elif _SHELLS.fullmatch(program := _program([first.removeprefix("#!")])):
        yield from _line_end_faults(text, path, program)


def _program(command: Iterable[str]) -> str:
    """Return the program that a command names, also by way of ``env``."""
    names = [PurePosixPath(word).name for word in " ".join(command).split()]
    if names[:1] == ["env"]:
        names = [name for name in names[1:] if not name.startswith("-") and "=" not in name]
    return names[0] if names else ""


def _line_end_faults(text: str, path: Path, program: str) -> Iterator[Fault]:
    match = _CR_LF.search(text)
    if match:
        line = text.count("\n", 0, match.start()) + 1
        yield Fault(
            path,
            f"its line {line} ends with CR LF, and {program} takes the CR for a part of the line, "
            f"also in here-documents; end lines with LF alone, or say '{WORD}: true'",
        )


def _used_as_is(value: JSON, path: Path, *, has_index: bool = False) -> Iterator[Fault]:
    """Find expressions, and what looks like one, in a text of a step that is used as it stands."""
    for place, whole in strings(value, path):
        text = without_index(whole) if has_index else whole
        found = look_alikes.find(text, expressions=False)
        if OPENING in text:
            yield Fault(place, _NO_EXPRESSION)
        elif found is not None:
            yield Fault(
                place,
                f"holds '{found.text}' in its line {found.line}, which is not evaluated here; "
                f"the command finds {_variable(found)} in its environment, 'env' takes "
                f"expressions ('{OPENING} ... }}}}'), and '{WORD}: true' in the step lets it stand",
            )


def _templates(value: JSON, path: Path) -> Iterator[Fault]:
    """Find what looks like an expression beside those that are evaluated."""
    for place, text in strings(value, path):
        for piece in expressions.texts(text):
            found = look_alikes.find(piece, expressions=False)
            if found is not None:
                yield Fault(
                    place,
                    f"holds '{found.text}', which is no expression; one is written "
                    f"'{OPENING} ... }}}}', and this very text \"{OPENING} '...' }}}}\"",
                )
                break


def _whole(value: JSON, path: Path) -> Iterator[Fault]:
    for place, text in strings(value, path):
        found = look_alikes.find(text, expressions=True)
        if found is not None:
            yield Fault(
                place,
                f"holds '{found.text}', and nothing is evaluated here; '{WORD}: true' beside it "
                "lets it stand",
            )


def _variable(found: look_alikes.LookAlike) -> str:
    return input_variable(found.input) if found.input else "inputs (INPUT_<NAME>)"


def _is_literal(words: JSON) -> bool:
    return isinstance(words, Mapping) and words.get(WORD) is True


def _items(value: JSON) -> Iterator[tuple[str, JSON]]:
    if isinstance(value, Mapping):
        yield from value.items()
