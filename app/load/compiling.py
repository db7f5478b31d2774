"""From a definition to what runs its iterations."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Final

from app.domain import JSON
from app.load.actions import Act, compile_http, compile_script
from app.load.conditions import as_number, compile_condition, references
from app.load.definition import (
    Branches,
    Definition,
    Hook,
    HttpConfig,
    Loop,
    LoopMode,
    RunScript,
    ScriptConfig,
    Step,
    all_steps,
    to_json,
)
from app.load.exchange import Recorder
from app.load.faults import EXECUTION, StepFailed
from app.load.flow import Aborted, run_steps
from app.load.flow import Step as ReadyStep
from app.load.run import Run, now_us
from app.load.scripts import Scripts
from app.load.templates import compile_value, names_within
from app.load.variables import Result, Scope

_TURNS_AT_ONCE: Final = 50
"""Turns of a loop after which others go on: what neither asks nor waits would keep them."""

_MOST_TURNS: Final = 10**9


class Plan:
    """What runs the iterations of one task.

    Attributes:
        told: Whether an unforeseen fault of an iteration was logged.
    """

    def __init__(
        self,
        definition: Definition,
        steps: list[ReadyStep],
        pre_hook: Act | None,
        post_hook: Act | None,
        scripts: Scripts,
    ) -> None:
        self.variables: Mapping[str, JSON] = definition.variables
        self.steps, self.scripts = steps, scripts
        self.pre_hook, self.post_hook = pre_hook, post_hook
        self.told = False

    def close(self) -> None:
        """End what runs its scripts."""
        self.scripts.close()


def compile_definition(definition: Definition) -> Plan:
    """Prepare the iterations of a definition; what runs its scripts begins to start."""
    scripts = Scripts()
    if any(_has_scripts(definition)):
        scripts.start()
    compiler = _Compiler(_asked(definition))
    return Plan(
        definition,
        compiler.steps(definition.steps),
        compile_hook(definition.pre_hook),
        compile_hook(definition.post_hook),
        scripts,
    )


def compile_hook(hook: Hook | None) -> Act | None:
    """Prepare a hook."""
    if hook is None:
        return None
    if isinstance(hook.config, ScriptConfig):
        return compile_script(hook.config)
    return compile_http("", hook.config)


def _has_scripts(definition: Definition) -> Iterator[bool]:
    yield from map(_is_script, (definition.pre_hook, definition.post_hook))
    for step in all_steps(definition.steps):
        yield isinstance(step.config, ScriptConfig)
        yield from map(_is_script, (step.pre_hook, step.post_hook))
        processors = (*step.pre_processors, *step.post_processors)
        yield any(isinstance(processor, RunScript) for processor in processors)


def _is_script(hook: Hook | None) -> bool:
    return hook is not None and isinstance(hook.config, ScriptConfig)


def _asked(definition: Definition) -> list[str]:
    """Return the names that templates and conditions of a definition ask for, in order."""
    asked = set(names_within(to_json(definition)))
    for step in all_steps(definition.steps):
        for condition in _conditions(step):
            asked.update(references(condition))
    return sorted(asked)


def _conditions(step: Step) -> Iterator[str]:
    found: list[str] = []
    if isinstance(step.config, Branches):
        found = [branch.expression for branch in step.config.branches]
    elif isinstance(step.config, Loop):
        loop = step.config
        found = [loop.condition, loop.break_condition, loop.continue_condition]
    return filter(None, found)


class _Compiler:
    """Prepares steps.

    Args:
        asked: The names that expressions ask for, in order.
    """

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def steps(self, steps: tuple[Step, ...]) -> list[ReadyStep]:
        """Prepare a list of steps, without those that are disabled.

        What follows a condition that is disabled goes with it.
        """
        ready: list[ReadyStep] = []
        disabled = False
        for step in steps:
            follows = isinstance(step.config, Branches) and step.config.follows
            disabled = step.disabled or (follows and disabled)
            if not disabled:
                ready.append(self._step(step, follows=follows))
        return ready

    def _step(self, step: Step, *, follows: bool) -> ReadyStep:
        return ReadyStep(
            step.id,
            self._act(step),
            step.on_error,
            compile_hook(step.pre_hook),
            compile_hook(step.post_hook),
            remembers=self._asks(f"{step.id}."),
            follows=follows,
        )

    def _asks(self, prefix: str) -> bool:
        at = bisect_left(self._asked, prefix)
        return at < len(self._asked) and self._asked[at].startswith(prefix)

    def _act(self, step: Step) -> Act:
        config = step.config
        if isinstance(config, HttpConfig):
            return compile_http(
                step.id,
                config,
                step.timeout_us,
                before=step.pre_processors,
                after=step.post_processors,
                wants_body=self._asks(f"{step.id}.body"),
                wants_headers=self._asks(f"{step.id}.headers"),
            )
        if isinstance(config, ScriptConfig):
            return compile_script(config, step.timeout_us)
        act = self._branches(config) if isinstance(config, Branches) else self._loop(config)
        return act if step.timeout_us is None else _within(step.timeout_us, act)

    def _branches(self, config: Branches) -> Act:
        branches = [
            (compile_condition(branch.expression or "true"), self.steps(branch.steps))
            for branch in config.branches
        ]

        def act(run: Run, _: Recorder) -> None:
            took_branch = True  # also where it fails: what follows is not for that
            try:
                for holds, steps in branches:
                    if holds(run.scope):
                        return _run_nested(steps, run)
                took_branch = False
            finally:
                run.took_branch = took_branch

        return act

    def _loop(self, config: Loop) -> Act:
        inner = [step.id for step in all_steps(config.steps) if self._asks(f"{step.id}.")]
        turn = self._turn(config)
        turns = _TURNS[config.mode](config)

        def act(run: Run, _: Recorder) -> None:
            scope = run.scope
            for step_id in inner:  # conditions look at them before they have run
                scope.results[step_id] = Result("skipped", 0)
            outer = {name: scope.values[name] for name in _names(config) if name in scope.values}
            try:
                for index, total, item in turns(scope):
                    _set_turn(scope, config, index, total, item)
                    if not turn(run, index):
                        break
            finally:
                for name in _names(config):
                    scope.values.pop(name, None)
                scope.values.update(outer)

        return act

    def _turn(self, config: Loop) -> Callable[[Run, int], bool]:
        """Return what runs a turn, and returns whether another one may follow."""
        steps = self.steps(config.steps)
        stop, leave_out = map(_optional, (config.break_condition, config.continue_condition))

        def turn(run: Run, index: int) -> bool:
            if stop is not None and stop(run.scope):
                return False
            if index >= config.max_iterations:
                raise StepFailed(EXECUTION, f"the loop ran {config.max_iterations} times")
            if index % _TURNS_AT_ONCE == _TURNS_AT_ONCE - 1:
                run.sleep(0)
            run.check_deadline()
            if leave_out is None or not leave_out(run.scope):
                _run_nested(steps, run)
            return True

        return turn


def _within(timeout_us: int, inner: Act) -> Act:
    """Let what is within a step take no longer than it may."""

    def act(run: Run, recorder: Recorder) -> None:
        outer = run.deadline_us
        own = now_us() + timeout_us
        run.deadline_us = own if outer is None else min(own, outer)
        try:
            inner(run, recorder)
        finally:
            run.deadline_us = outer

    return act


def _run_nested(steps: list[ReadyStep], run: Run) -> None:
    fault = run_steps(steps, run, nested=True)
    if fault is not None:
        raise fault if isinstance(fault, Aborted) else Aborted(fault.code, fault.message)


def _optional(condition: str) -> Callable[[Scope], bool] | None:
    return compile_condition(condition) if condition else None


def _names(loop: Loop) -> tuple[str, ...]:
    return ("loop.index", "loop.iteration", "loop.count", "loop.item", loop.item_var)


def _set_turn(scope: Scope, loop: Loop, index: int, total: int, item: JSON) -> None:
    values = scope.values
    values["loop.index"], values["loop.iteration"] = index, index + 1
    values["loop.count"] = total
    if loop.mode is LoopMode.FOREACH:
        values["loop.item"] = values[loop.item_var] = item


Turns = Callable[[Scope], Iterator[tuple[int, int, JSON]]]
"""Returns index, number of all turns, and item, of one turn after another."""


def _for(loop: Loop) -> Turns:
    evaluate = compile_value(loop.count)

    def turns(scope: Scope) -> Iterator[tuple[int, int, JSON]]:
        number = as_number(evaluate(scope))
        if number is None or not 0 <= number <= _MOST_TURNS or number % 1:
            raise StepFailed(EXECUTION, "the count of the loop is no number of turns")
        whole = int(number)
        return ((index, whole, None) for index in range(whole))

    return turns


def _foreach(loop: Loop) -> Turns:
    evaluate = compile_value(loop.items)

    def turns(scope: Scope) -> Iterator[tuple[int, int, JSON]]:
        items = evaluate(scope)
        if isinstance(items, str):
            items = _parsed(items)
        if not isinstance(items, list):
            raise StepFailed(EXECUTION, "the items of the loop are no list")
        return ((index, len(items), item) for index, item in enumerate(items))

    return turns


def _parsed(text: str) -> JSON:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _while(loop: Loop) -> Turns:
    holds = compile_condition(loop.condition)

    def turns(scope: Scope) -> Iterator[tuple[int, int, JSON]]:
        for index in count():
            _set_turn(scope, loop, index, index, None)  # the condition may look at it
            if not holds(scope):
                return
            yield index, index + 1, None

    return turns


_TURNS: Final[Mapping[LoopMode, Callable[[Loop], Turns]]] = {
    LoopMode.FOR: _for,
    LoopMode.FOREACH: _foreach,
    LoopMode.WHILE: _while,
}
