"""From tasks that are one command each to the definition that the engine runs.

Such tasks name the outputs of others as their inputs (``<task>/<output>``), and each of these is an
edge of the graph. Their commands are texts, split into words as a POSIX shell does it (IEEE Std
1003.1-2017, 2.2 and 2.10), and no shell ever reads them.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from app.domain import JSON, CommandTask
from app.engine.expressions import OPENING
from app.engine.graph import find_cycle
from app.engine.literals import WORD
from app.errors import CircularDependency, FieldError, InvalidDefinition, MissingDependency

MAX_TASKS: Final = 1000
"""Most tasks of one workflow."""

MAX_ARGUMENT_BYTES: Final = 128 * 1024 - 1
"""Longest argument, and longest variable with its name: ``MAX_ARG_STRLEN`` of execve(2)."""

MAX_ARGUMENTS_BYTES: Final = 512 * 1024
"""Most bytes of all arguments and variables of a command together, far below execve(2)'s own."""

MAX_ARGUMENTS: Final = 10_000
"""Most words of a command, and most variables."""

_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_WORKFLOW_ID: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_SLUG: Final = 40
_MOST_PART_BYTES: Final = 255
_MOST_PATH_BYTES: Final = 1500
_DIGITS: Final = 12
_FEW_DIGITS_MORE: Final = 4


def workflow_ids(name: str) -> Iterator[str]:
    """Give the ids that a workflow of a name may have, the nicest one first; the last is its own.

    Args:
        name: Any text.
    """
    if _WORKFLOW_ID.fullmatch(name):
        yield name
    yield _derived(name, "workflow", _DIGITS)
    yield _derived(name, "workflow", len(_digest(name)))


def task_ids(names: Sequence[str]) -> list[str]:
    """Return an id for each name: the name itself where it is one, else a slug with a digest.

    Args:
        names: No two are the same.
    """
    taken = {name for name in names if _ID.fullmatch(name)}
    ids = []
    for name in names:
        found, digits = name, _DIGITS
        while name not in taken and (found is name or found in taken):
            found, digits = _derived(name, "task", digits), digits + _FEW_DIGITS_MORE
        taken.add(found)
        ids.append(found)
    return ids


def _derived(name: str, otherwise: str, digits: int) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "-", plain)[:_LONGEST_SLUG].strip("-").lower()
    return f"{slug or otherwise}-{_digest(name)[:digits]}"[:64]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def needs_of(tasks: Sequence[CommandTask]) -> dict[str, list[str]]:
    """Return, by name, which tasks each one waits for.

    Raises:
        MissingDependency: An input names a task, or an output of it, that there is not.
        CircularDependency: Tasks wait for each other, or one for itself.
    """
    outputs = {task.name: task.outputs or {} for task in tasks}
    needs: dict[str, list[str]] = {}
    for task in tasks:
        found: dict[str, None] = {}
        for reference in (task.inputs or {}).values():
            source, _, output = reference.partition("/")
            if output not in outputs.get(source, ()):
                raise MissingDependency(task.name, reference)
            found[source] = None
        needs[task.name] = list(found)
    if cycle := _cycle(needs):
        raise CircularDependency(cycle)
    return needs


def _cycle(needs: Mapping[str, list[str]]) -> list[str]:
    alone = next((name for name, others in needs.items() if name in others), None)
    return [alone, alone] if alone is not None else list(find_cycle(needs))


def compose(argument: bytes) -> bytes:
    """Make the document of a definition: what worker processes do.

    Args:
        argument: JSON: ``id``, ``name`` and ``tasks``, of which each is a :class:`CommandTask`.

    Returns:
        JSON: ``document``, as text; or ``faults``, pairs of a path and of what was expected there;
        or ``missing``, a task and its input; or ``cycle``.
    """
    asked = json.loads(argument)
    tasks = [CommandTask(**task) for task in asked["tasks"]]
    faults = list(_faults(tasks))
    if faults:
        return json.dumps({"faults": faults}).encode()
    try:
        needs = needs_of(tasks)
    except MissingDependency as exc:
        return json.dumps({"missing": [exc.task, exc.reference]}).encode()
    except CircularDependency as exc:
        return json.dumps({"cycle": exc.cycle}).encode()
    ids = dict(zip((t.name for t in tasks), task_ids([t.name for t in tasks]), strict=True))
    results = _results(tasks)
    steps = [_step(task, ids, needs[task.name], results.get(task.name)) for task in tasks]
    document = {"id": asked["id"], "name": asked["name"], WORD: True, "steps": steps}
    return json.dumps({"document": json.dumps(document, ensure_ascii=False)}).encode()


def composed(outcome: bytes) -> str:
    """Return the document that :func:`compose` made.

    Raises:
        InvalidDefinition: With every fault of the tasks.
        MissingDependency, CircularDependency: Their inputs are at fault.
    """
    found = json.loads(outcome)
    if "faults" in found:
        faults = [FieldError(path, message) for path, message in found["faults"]]
        raise InvalidDefinition("The workflow has faults.", fields=faults)
    if "missing" in found:
        raise MissingDependency(*found["missing"])
    if "cycle" in found:
        raise CircularDependency(found["cycle"])
    document: str = found["document"]
    return document


def _results(tasks: Sequence[CommandTask]) -> dict[str, str]:
    """Return, by name, the file that what a task prints becomes where the task does not write it.

    That is its only output, unless it is a file of another one's, too.
    """
    paths = {
        (task.name, output): below(task.working_dir or "", path)
        for task in tasks
        for output, path in (task.outputs or {}).items()
    }
    logs = {path for task in tasks for path in _log_files(task).values()}
    number = Counter(paths.values())
    only = {task.name for task in tasks if len(task.outputs or {}) == 1}
    return {
        name: path
        for (name, _), path in paths.items()
        if name in only and number[path] == 1 and path not in logs
    }


def _log_files(task: CommandTask) -> dict[str, str]:
    if task.log_dir is None:
        return {}
    return {stream: f"{task.log_dir}/{stream}.log" for stream in ("stdout", "stderr")}


def below(folder: str, path: str) -> str:
    """Return a path that is below a folder unless it is absolute, in its shortest form."""
    found = posixpath.normpath(posixpath.join(folder, path))
    return found.replace("//", "/", 1)


def _step(
    task: CommandTask, ids: Mapping[str, str], needs: Sequence[str], result: str | None
) -> dict[str, JSON]:
    command, *words = shlex.split(task.command)
    step: dict[str, Any] = {
        "id": ids[task.name],
        "name": task.name,
        "type": "command",
        "config": {"command": command, "args": [*map(_plain, (*words, *(task.args or ())))]},
        "needs": [ids[name] for name in needs],
        "env": {name: _plain(value) for name, value in task.environment.items()},
    }
    if task.working_dir:
        step["working_dir"] = task.working_dir
    if result is not None:
        step["capture"] = result
    return {**step, **_log_files(task)}


def _plain(text: str) -> str:
    """Write a text so that no expression is in it."""
    return text.replace(OPENING, f"${{{{ '{OPENING}' }}}}")


def _faults(tasks: Sequence[CommandTask]) -> Iterator[tuple[str, str]]:
    if len(tasks) > MAX_TASKS:
        yield "tasks", f"must not be more than {MAX_TASKS:,}"
        return
    for index, task in enumerate(tasks):
        for path, message in _task_faults(task):
            yield f"tasks[{index}].{path}", message


def _task_faults(task: CommandTask) -> Iterator[tuple[str, str]]:
    yield from _command_faults(task)
    yield from _text_faults(task)
    yield from _variable_faults(task.env or {})
    for name, reference in (task.inputs or {}).items():
        source, slash, output = reference.partition("/")
        if not (source and slash and output):
            yield f"inputs.{name}", "must name another's output as '<name>/<output>'"
    for name, path in (task.outputs or {}).items():
        if not path or PurePosixPath(path).name in ("", ".."):
            yield f"outputs.{name}", "must be the path of a file"
        elif fault := path_fault(path):
            yield f"outputs.{name}", fault


def _command_faults(task: CommandTask) -> Iterator[tuple[str, str]]:
    try:
        words = shlex.split(task.command)
    except ValueError as exc:
        yield "command", f"cannot be split into words: {str(exc).lower()}"
        return
    if not words or not words[0].strip():
        yield "command", "must name a program"
    elif OPENING in words[0]:
        yield "command", f"must not have '{OPENING}' in the name of the program"
    yield from _size_faults([*words, *(task.args or ())], task.env or {})


def _text_faults(task: CommandTask) -> Iterator[tuple[str, str]]:
    texts = {
        "command": task.command,
        **{f"args[{i}]": text for i, text in enumerate(task.args or ())},
        "working_dir": task.working_dir or "",
        **{f"inputs.{name}": text for name, text in (task.inputs or {}).items()},
        **{f"outputs.{name}": text for name, text in (task.outputs or {}).items()},
    }
    for path, text in texts.items():
        if fault := _unkeepable(text):
            yield path, fault
    if fault := path_fault(task.working_dir or ""):
        yield "working_dir", fault


def path_fault(path: str) -> str | None:
    """Return why a path can not be one of a definition; None if it can."""
    if OPENING in path:
        return f"must not hold '{OPENING}'"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in path):
        return "must not hold control characters, nor half a character"
    sizes = [len(part.encode()) for part in path.split("/")]
    if max(sizes) > _MOST_PART_BYTES or sum(sizes) + len(sizes) > _MOST_PATH_BYTES:
        return f"must have at most {_MOST_PATH_BYTES} bytes, and {_MOST_PART_BYTES} in each part"
    return None


def _variable_faults(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name):
            yield f"env.{name}", "must have the name of an environment variable"
        elif fault := _unkeepable(value):
            yield f"env.{name}", fault


def _size_faults(arguments: Sequence[str], env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for path, number in (("args", len(arguments)), ("env", len(env))):
        if number > MAX_ARGUMENTS:
            yield path, f"must not be more than {MAX_ARGUMENTS:,}"
    texts = {"args": arguments, "env": [f"{name}={value}" for name, value in env.items()]}
    sizes = {
        path: [len(text.encode("utf-8", "surrogatepass")) for text in each]
        for path, each in texts.items()
    }
    for path, found in sizes.items():
        if max(found, default=0) > MAX_ARGUMENT_BYTES:
            yield path, f"must not have one of more than {MAX_ARGUMENT_BYTES:,} bytes"
    if sum(map(sum, sizes.values())) > MAX_ARGUMENTS_BYTES:
        yield "args", f"must not have more than {MAX_ARGUMENTS_BYTES:,} bytes with the variables"


def _unkeepable(text: str) -> str | None:
    """Return why a text can be no part of a command; None if it can."""
    if "\x00" in text:
        return "must not hold NUL"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must not hold half a character"
    return None
