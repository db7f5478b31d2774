"""What steps of type http and script do, prepared once for each task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from app.load.definition import SECOND_US, HttpConfig, Processor, ScriptConfig, Timeouts
from app.load.exchange import Answer, Recorder, Request, TimedOut, TransportFailed
from app.load.faults import EXECUTION, VALIDATION, StepFailed, StepTimedOut
from app.load.processors import Process, Reply, compile_processor
from app.load.requests import compile_request, redirected, redirects
from app.load.run import Run

USUAL_US: Final = 60 * SECOND_US
"""Longest time of a step of type http or script, where nothing else is written."""

_SLACK_US: Final = 10_000
"""By how much a request may outlive its step, which spares almost all of them a copy."""

Act = Callable[[Run, Recorder], None]
"""Does what a step does, and counts its requests; raises StepFailed."""


def compile_script(config: ScriptConfig, timeout_us: int | None = None) -> Act:
    """Prepare a step of type script.

    Args:
        config: What it does.
        timeout_us: Longest time of the step, if it has one.
    """
    limits = [limit for limit in (config.timeout_us, timeout_us) if limit is not None]
    limit_us = min(limits, default=USUAL_US)

    def act(run: Run, _: Recorder) -> None:
        run.begin(limit_us)
        run.script(config.script, None)

    return act


def compile_http(
    step_id: str,
    config: HttpConfig,
    timeout_us: int | None = None,
    *,
    before: Sequence[Processor] = (),
    after: Sequence[Processor] = (),
    wants_body: bool = False,
    wants_headers: bool = False,
) -> Act:
    """Prepare a step of type http.

    Args:
        step_id: Under which its requests are counted.
        config: What it sends.
        timeout_us: Longest time of the step, if it has one.
        before: What runs before the request.
        after: What runs when an answer is there.
        wants_body: Whether an expression elsewhere asks for the body.
        wants_headers: Whether one asks for the header fields.
    """
    prepare = compile_request(
        config,
        wants_body=wants_body or bool(after),
        wants_headers=wants_headers or bool(after),
    )
    sender = _Sender(step_id, config)
    limit_us = timeout_us or max(USUAL_US, config.timeouts.request_us)

    def plain(run: Run, recorder: Recorder) -> None:
        run.begin(limit_us)
        answer = run.answer = sender.send(run, prepare(run.scope), recorder)
        if fault := sender.fault(answer):
            raise fault

    first, then = [compile_processor(p) for p in before], [compile_processor(p) for p in after]

    def processed(run: Run, recorder: Recorder) -> None:
        run.begin(limit_us)
        for process in first:
            process(run, None)
        answer = run.answer = sender.send(run, prepare(run.scope), recorder)
        _process(then, run, recorder, step_id, sender.fault(answer))

    return processed if before or after else plain


def _process(
    processes: list[Process], run: Run, recorder: Recorder, step_id: str, fault: StepFailed | None
) -> None:
    """Run what follows an answer; think time and assertions count, whatever failed before.

    Raises:
        StepFailed: The first fault; the others are counted as errors here.
    """
    reply = Reply(run.answer) if run.answer is not None else None
    for process in processes:
        try:
            process(run, reply)
        except StepFailed as exc:
            if fault is not None:
                recorder.error(exc.code, exc.message, step_id)
            fault = fault or exc
    if fault is not None:
        raise fault


class _Sender:
    """Sends a request and those that answers redirect to, and counts each."""

    def __init__(self, step_id: str, config: HttpConfig) -> None:
        self._step_id = step_id
        self._max_redirects = config.max_redirects
        self._expected = frozenset(config.expected_status)
        self._longest_us = config.timeouts.request_us

    def fault(self, answer: Answer) -> StepFailed | None:
        """Return why an answer is a failure; None if it is not."""
        if self._is_expected(answer.status):
            return None
        return StepFailed(VALIDATION, f"answered with status {answer.status}")

    def _is_expected(self, status: int) -> bool:
        return status in self._expected if self._expected else status < 400

    def send(self, run: Run, request: Request, recorder: Recorder) -> Answer:
        """Return the answer that redirects no further.

        Raises:
            StepFailed: There is none; a StepTimedOut where it took too long.
        """
        for _ in range(self._max_redirects + 1):
            answer = self._once(run, request, recorder)
            on = self._max_redirects > 0 and redirects(answer)
            failed = not on and not self._is_expected(answer.status)
            recorder.request(self._step_id, answer.microseconds, failed)
            if not on:
                return answer
            request = redirected(request, answer)
        raise StepFailed(EXECUTION, f"was redirected more than {self._max_redirects} times")

    def _once(self, run: Run, request: Request, recorder: Recorder) -> Answer:
        try:
            return run.http.send(self._limited(run, request))
        except TimedOut as exc:
            recorder.request(self._step_id, exc.microseconds, True)
            raise StepTimedOut(exc.message) from exc
        except TransportFailed as exc:
            recorder.request(self._step_id, exc.microseconds, True)
            raise StepFailed(exc.kind, exc.message) from exc

    def _limited(self, run: Run, request: Request) -> Request:
        """Return the request with no more time than is left of the step."""
        left = run.left_us()
        if left + _SLACK_US >= self._longest_us:
            return request
        return replace(request, timeouts=_at_most(request.timeouts, left))


def _at_most(timeouts: Timeouts, microseconds: int) -> Timeouts:
    return Timeouts(
        connect_us=min(timeouts.connect_us, microseconds),
        read_us=min(timeouts.read_us, microseconds),
        write_us=min(timeouts.write_us, microseconds),
        request_us=min(timeouts.request_us, microseconds),
    )
