"""From a step of a definition to a job that a launcher can run.

What users give reaches a command in two ways only: as variables of its environment, and as whole
elements of its argument list. No shell ever reads it as code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.domain import JSON, Execution
from app.engine import argument_space
from app.engine.evaluation.budget import Budget
from app.engine.expressions import evaluate, render
from app.engine.interpreters import interpreter
from app.engine.launchers.base import Job, Place, Staging
from app.engine.model import TEMPLATES, StepDefinition, StepType, input_variable
from app.values import to_text

_SCRIPT = "script"
_DEFAULTS = {"PYTHONUNBUFFERED": "1"}
"""Python would keep what it prints to itself until it is a block, so that nobody could follow."""


def environment(
    base: Mapping[str, str],
    execution: Execution,
    step: StepDefinition,
    attempt: int,
    values: Mapping[str, Any],
) -> dict[str, str]:
    """Make the whole environment of a command.

    Args:
        base: Variables that every command gets.
        execution: Its inputs arrive as ``INPUT_<NAME>``.
        step: Its own variables win over all others.
        attempt: Number of the attempt, from 1.
        values: What expressions may refer to.
    """
    env = {**_DEFAULTS, **base}
    for name, value in execution.inputs.items():
        env[input_variable(name)] = to_text(value)
    env.update(
        SLIPWAY_EXECUTION_ID=execution.id, SLIPWAY_TASK=step.id, SLIPWAY_ATTEMPT=str(attempt)
    )
    if step.element is not None:
        env.update(SLIPWAY_ITEM=to_text(step.element.value), SLIPWAY_INDEX=str(step.element.index))
    budget = Budget()
    env.update({name: render(text, values, budget) for name, text in step.env.items()})
    return env


def build_job(
    step: StepDefinition,
    *,
    execution_id: str,
    folder: Path,
    work: Path,
    env: Mapping[str, str],
    values: Mapping[str, Any],
    kill_grace_seconds: float,
) -> Job:
    """Make the job of one attempt of a step.

    Args:
        step: The step.
        execution_id: Id of the execution.
        folder: Folder of the job's records.
        work: The execution's own folder.
        env: The command's environment.
        values: What expressions may refer to.
        kill_grace_seconds: Time from the polite signal to the deadly one.

    Raises:
        InvalidRequest: An expression has no value, or what the command is to get is too long.
    """
    budget = Budget()
    evaluated = {
        field: evaluate(value, values, budget) if field in TEMPLATES[step.type] else value
        for field, value in step.config.items()
    }
    program = _PROGRAMS[step.type](evaluated, folder)
    given = {input_variable(name): name for name in values.get("inputs", ())}
    argument_space.check(program.argv, env, {v: n for v, n in given.items() if v not in step.env})
    return Job(
        execution_id=execution_id,
        folder=folder,
        argv=program.argv,
        files=program.files,
        stdin=program.stdin,
        env=env,
        working_dir=work / step.working_dir,
        timeout_seconds=step.limit_seconds,
        kill_grace_seconds=kill_grace_seconds,
        resources=step.resources,
        staging=staging(step, work),
        stdout=_place(step.stdout, work),
        stderr=_place(step.stderr, work),
        capture=_place(step.capture, work),
        modules=step.modules,
    )


def _place(path: str, work: Path) -> Place | None:
    if not path:
        return None
    return Place(Path("/"), path[1:]) if path.startswith("/") else Place(work, path)


def staging(step: StepDefinition, work: Path) -> Staging | None:
    """Return which files are moved for a step; None if it names none.

    Args:
        step: The step.
        work: The execution's own folder.
    """
    if not step.stage_in and not step.stage_out:
        return None
    return Staging(work, step.stage_in, step.stage_out)


@dataclass(frozen=True, slots=True)
class _Program:
    argv: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None


def _command(config: Mapping[str, JSON], _folder: Path) -> _Program:
    return _Program((config["command"], *map(to_text, config.get("args", ()))))


def _script(config: Mapping[str, JSON], folder: Path) -> _Program:
    argv = (*interpreter(config["shell"], config["script"]), str(folder / _SCRIPT))
    return _Program(argv, files={_SCRIPT: config["script"]})


def _http(config: Mapping[str, JSON], _folder: Path) -> _Program:
    headers = {name: to_text(value) for name, value in (config.get("headers") or {}).items()}
    request = {**config, "url": to_text(config["url"]), "headers": headers}
    # A request often holds a password or a token: no file, no argument and no variable shows it.
    # -P: a file named like a module in the working folder must not be imported.
    argv = (sys.executable, "-P", "-m", "app.engine.http_task")
    return _Program(argv, stdin=json.dumps(request))


_PROGRAMS = {StepType.COMMAND: _command, StepType.SCRIPT: _script, StepType.HTTP: _http}
