"""From a document that was found valid to a definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.domain import JSON
from app.durations import parse_go_duration
from app.load import options
from app.load.definition import (
    SECOND_US,
    Assertion,
    Body,
    BodyType,
    Branch,
    Branches,
    BranchKind,
    Config,
    Definition,
    Extraction,
    Hook,
    HttpConfig,
    Loop,
    LoopMode,
    OnError,
    Operator,
    Pairs,
    Processor,
    RunScript,
    ScriptConfig,
    SetVariable,
    Step,
    StepType,
    Subject,
    Timeouts,
    Tls,
    Wait,
)
from app.load.schema import BODY_TYPES, FORM_FIELDS
from app.load.variables import ENV, text_of

Source = Mapping[str, Any]

_USUAL: Final = Timeouts()


def build(source: Source) -> Definition:
    """Make a definition of a document that has no faults.

    Raises:
        LookupError, TypeError, ValueError: It has.
    """
    return Definition(
        id=source["id"],
        name=source.get("name") or source["id"],
        description=source.get("description", ""),
        variables=source.get("variables", {}),
        pre_hook=_hook(source, "pre_hook"),
        post_hook=_hook(source, "post_hook"),
        steps=_steps(source["steps"]),
        options=options.build(source.get("options", {})),
    )


def _steps(sources: list[Source]) -> tuple[Step, ...]:
    return tuple(_step(source) for source in sources)


def _step(source: Source) -> Step:
    timeout_us = _microseconds(source["timeout"]) if "timeout" in source else None
    return Step(
        id=source["id"],
        name=source.get("name") or source["id"],
        config=_config(source, timeout_us),
        pre_hook=_hook(source, "pre_hook"),
        post_hook=_hook(source, "post_hook"),
        pre_processors=_processors(source, "preProcessors"),
        post_processors=_processors(source, "postProcessors"),
        on_error=OnError(source.get("on_error", OnError.ABORT)),
        timeout_us=timeout_us,
        disabled=source.get("disabled", False),
    )


def _config(source: Source, timeout_us: int | None) -> Config:
    step_type = StepType(source["type"])
    if step_type is StepType.HTTP:
        return _http(source["config"], timeout_us)
    if step_type is StepType.SCRIPT:
        return _script(source["config"])
    return _condition(source) if step_type is StepType.CONDITION else _loop(source["loop"])


def _hook(holder: Source, name: str) -> Hook | None:
    source = holder.get(name)
    if source is None:
        return None
    config = source["config"]
    return Hook(_http(config, None) if source["type"] == StepType.HTTP else _script(config))


def _script(config: Source) -> ScriptConfig:
    timeout = config.get("timeout")
    if timeout is None:
        return ScriptConfig(config["script"])
    return ScriptConfig(config["script"], _microseconds(timeout, unit_us=SECOND_US))


def _http(config: Source, timeout_us: int | None) -> HttpConfig:
    redirect, tls, expected = (config.get(n, {}) for n in ("redirect", "ssl", "expected_status"))
    return HttpConfig(
        url=config["url"].strip(),
        method=config.get("method", "GET").upper(),
        base_url=config.get("domain_base_url", "").strip(),
        headers=_pairs(config.get("headers", {})),
        params=_pairs(config.get("params", config.get("query", {}))),
        body=_body(config.get("body")),
        max_redirects=int(redirect.get("max_redirects", 10)) if redirect.get("follow", True) else 0,
        tls=Tls(**tls),
        timeouts=_timeouts(config.get("timeout", {}), timeout_us),
        expected_status=(
            tuple(map(int, expected)) if isinstance(expected, list | dict) else (int(expected),)
        ),
    )


def _timeouts(asked: Source, timeout_us: int | None) -> Timeouts:
    """Return the limits that are written, and else the usual ones.

    Who gives a step more time than usual means the whole of it, the wait for an answer too.
    """
    said = {f"{name}_us": _microseconds(value) for name, value in asked.items()}
    whole = timeout_us or _USUAL.request_us
    usual = {"request_us": whole}
    if whole > _USUAL.request_us:
        usual |= {"read_us": whole, "write_us": whole}
    return Timeouts(**(usual | said))


def _pairs(values: Source | list[Source]) -> Pairs:
    if isinstance(values, Mapping):
        return tuple((name, text_of(value)) for name, value in values.items())
    return tuple(
        (item["key"], text_of(item.get("value", "")))
        for item in values
        if item.get("enabled", True)
    )


def _body(source: JSON) -> Body:
    if source is None:
        return Body(BodyType.NONE)
    if isinstance(source, str):
        return Body(BodyType.JSON, raw=source)
    if not isinstance(source, Mapping) or source.get("type") not in BODY_TYPES:
        return Body(BodyType.VALUE, value=source)
    body_type, raw = BodyType(source["type"]), source.get("raw", "")
    if body_type in FORM_FIELDS:
        return Body(body_type, fields=_pairs(source.get(FORM_FIELDS[body_type], {})))
    return Body(body_type, raw=raw) if isinstance(raw, str) else Body(BodyType.VALUE, value=raw)


def _processors(holder: Source, field: str) -> tuple[Processor, ...]:
    return tuple(
        _PROCESSORS[source["type"]](
            source.get("id") or f"{field}[{index}]", source.get("config", {})
        )
        for index, source in enumerate(holder.get(field, ()))
        if source.get("enabled", False)
    )


def _set_variable(name: str, config: Source) -> SetVariable:
    return SetVariable(name, _variable(config), config["value"])


def _wait(name: str, config: Source) -> Wait:
    return Wait(name, _microseconds(config.get("duration", 1000), unit_us=1000))


def _assertion(name: str, config: Source) -> Assertion:
    return Assertion(
        name,
        Subject(config["assertType"]),
        Operator(config.get("operator", Operator.EQ)),
        config.get("expression", ""),
        text_of(config["expected"]),
    )


def _extraction(name: str, config: Source) -> Extraction:
    subject = Subject(config["extractType"])
    return Extraction(name, subject, config["expression"], _variable(config))


_PROCESSORS: Final[Mapping[str, Callable[[str, Source], Processor]]] = {
    "js_script": lambda name, config: RunScript(name, config["script"]),
    "set_variable": _set_variable,
    "wait": _wait,
    "assertion": _assertion,
    "extract_param": _extraction,
}


def _variable(config: Source) -> str:
    name: str = config["variableName"]
    return ENV + name if config.get("scope") == "env" else name


def _condition(source: Source) -> Branches:
    if "children" not in source:
        return Branches(tuple(_branch(branch) for branch in source["branches"]))
    old = source.get("config", {})
    kind = BranchKind(old.get("type", BranchKind.IF))
    branch = Branch("", "", kind, old.get("expression", ""), _steps(source["children"]))
    return Branches((branch,), follows=kind is not BranchKind.IF)


def _branch(source: Source) -> Branch:
    name = source.get("id", "")
    return Branch(
        id=name,
        name=source.get("name") or name,
        kind=BranchKind(source["kind"]),
        expression=source.get("expression", ""),
        steps=_steps(source["steps"]),
    )


def _loop(source: Source) -> Loop:
    count = source.get("count", 0)
    return Loop(
        mode=LoopMode(source["mode"]),
        steps=_steps(source["steps"]),
        count=count if isinstance(count, str) else int(count),
        items=source.get("items"),
        item_var=source.get("item_var", "item"),
        condition=source.get("condition", ""),
        max_iterations=int(source.get("max_iterations", 1000)),
        break_condition=source.get("break_condition", ""),
        continue_condition=source.get("continue_condition", ""),
    )


def _microseconds(value: str | float, unit_us: int = 1) -> int:
    """Read a duration: text, or a number of units."""
    return parse_go_duration(value) if isinstance(value, str) else round(value * unit_us)
