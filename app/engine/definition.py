"""From a document, YAML or JSON, to the definition of a workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app import documents
from app.domain import JSON, Parameter
from app.durations import parse_duration
from app.engine import checks, document, resources, schema
from app.engine.faults import Fault, invalid_definition
from app.engine.graph import topological_order
from app.engine.literals import file_text
from app.engine.model import (
    Definition,
    Foreach,
    OutputDefinition,
    Preparation,
    StepDefinition,
    StepType,
    StreamFile,
)
from app.errors import InvalidDefinition
from app.values import not_json, to_text


def parse(text: str | bytes) -> Definition:
    """Read a definition.

    Args:
        text: YAML or JSON; bytes are UTF-8.

    Raises:
        InvalidDefinition: With all of its faults, each with its path and, for YAML, its line.
    """
    source, error = examine(text)
    if error is not None:
        raise error
    return build(source)


def examine(text: str | bytes) -> tuple[JSON, InvalidDefinition | None]:
    """Read a definition that may have faults.

    Returns:
        What the text holds, None if it is no document; and its faults.
    """
    try:
        source, faults = document.read(text, schema.keeps_text)
    except InvalidDefinition as exc:
        return None, exc
    faults += _faults(source)
    return source, invalid_definition(faults, documents.lines(text)) if faults else None


def load(source: Mapping[str, JSON]) -> Definition:
    """Make a definition from what a document holds.

    Raises:
        InvalidDefinition: With all of its faults.
    """
    content = dict(source)
    faults = _faults(content)
    if faults:
        raise invalid_definition(faults)
    return build(content)


def _faults(source: JSON) -> list[Fault]:
    faults = list(not_json(source))
    if faults:
        return faults
    faults = list(schema.violations(source))
    if isinstance(source, Mapping):
        faults += checks.violations(source)
    return faults


def build(source: Mapping[str, JSON]) -> Definition:
    """Make a definition from what a document holds that was found valid when it was stored.

    Raises:
        LookupError, TypeError, ValueError: It is none.
    """
    steps = {step["id"]: _step(step) for step in source["steps"]}
    order = topological_order({name: step.needs for name, step in steps.items()})
    return Definition(
        id=source["id"],
        name=source.get("name", source["id"]),
        description=source.get("description", ""),
        inputs=tuple(_input(name, words) for name, words in source.get("inputs", {}).items()),
        outputs=tuple(_output(name, value) for name, value in source.get("outputs", {}).items()),
        steps=tuple(steps[name] for name in order),
        files={name: file_text(content) for name, content in source.get("files", {}).items()},
        source=source,
    )


def _input(name: str, words: Mapping[str, JSON]) -> Parameter:
    value_schema = checks.input_schema(words)
    default = words.get("default")
    if value_schema["type"] == "integer" and isinstance(default, float):
        default = int(default)  # 10.0 is one to JSON Schema, but to few commands
    return Parameter(
        name=name,
        type=value_schema["type"],
        required=words.get("required", True) and "default" not in words,
        default=default,
        description=words.get("description", ""),
        schema=value_schema,
    )


def _output(name: str, value: JSON) -> OutputDefinition:
    if isinstance(value, str):
        return OutputDefinition(name, value)
    return OutputDefinition(name, value["value"], value.get("description", ""))


def _step(source: Mapping[str, Any]) -> StepDefinition:
    timeout = source.get("timeout")
    step_type = StepType(source["type"])
    return StepDefinition(
        id=source["id"],
        type=step_type,
        config=_CONFIGS[step_type](source["config"]),
        needs=tuple(source.get("needs", ())),
        name=source.get("name", ""),
        description=source.get("description", ""),
        env=_texts(source.get("env", {})),
        timeout_seconds=None if timeout is None else parse_duration(timeout),
        retries=int(source.get("retries", 0)),
        retry_delay_seconds=parse_duration(str(source.get("retry_delay", 0))),
        allow_failure=source.get("allow_failure", False),
        working_dir=source.get("working_dir", ""),
        stage_in=tuple(source.get("stage_in", ())),
        stage_out=tuple(source.get("stage_out", ())),
        stdout=source.get(StreamFile.STDOUT, ""),
        stderr=source.get(StreamFile.STDERR, ""),
        capture=source.get(StreamFile.CAPTURE, ""),
        modules=tuple(source.get(Preparation.MODULES, ())),
        resources=resources.build(source.get("resources", {})),
        foreach=_foreach(source),
    )


def _foreach(source: Mapping[str, Any]) -> Foreach | None:
    if "foreach" not in source:
        return None
    most = source.get("max_parallel")
    return Foreach(
        source["foreach"], None if most is None else int(most), source.get("item", "item")
    )


def _command_config(config: Mapping[str, JSON]) -> dict[str, JSON]:
    args = [to_text(argument) for argument in config.get("args", ())]
    return {"command": config["command"], "args": args}


def _script_config(config: Mapping[str, JSON]) -> dict[str, JSON]:
    return {"shell": config.get("shell"), "script": config["script"]}


def _http_config(config: Mapping[str, JSON]) -> dict[str, JSON]:
    return {
        "method": config.get("method", "GET").upper(),
        "url": config["url"],
        "headers": _texts(config.get("headers", {})),
        "body": config.get("body"),
        "expect_status": [int(status) for status in config.get("expect_status", ())],
    }


def _texts(values: Mapping[str, JSON]) -> dict[str, str]:
    return {name: to_text(value) for name, value in values.items()}


_CONFIGS: Final = {
    StepType.COMMAND: _command_config,
    StepType.SCRIPT: _script_config,
    StepType.HTTP: _http_config,
}
