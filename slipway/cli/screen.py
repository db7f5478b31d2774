"""A terminal that something is shown on again and again, until somebody has seen enough.

It is drawn on the alternate screen, so that what was there before is there again afterwards, each
frame in one write and ten of them a second at most. However it ends, by Ctrl-C, by SIGTERM or by
SIGHUP, the screen and the cursor come back.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, NoReturn

from slipway.cli.views import FRAME_SECONDS

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"
"""The alternate screen, without a cursor (xterm control sequences, DECSET 1049 and 25)."""
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REST_OF_LINE: Final = "\x1b[K"
_REST_OF_SCREEN: Final = "\x1b[J"
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


class Terminated(SystemExit):
    """The process was told to end by a signal; what it has changed on the terminal is put back."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process in a way that ``finally`` is reached.

    Raises:
        Terminated: There was one of them.
    """
    before = {}

    def end(number: int, _: FrameType | None) -> NoReturn:
        for each in _ENDING:  # another one must not interrupt the end
            signal.signal(each, signal.SIG_IGN)
        raise Terminated(number)

    try:
        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and the signals that end a process wait until something is done as a whole."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, *_ENDING)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for told in came[:1]:
            signal.raise_signal(told)


def can_be_drawn_on() -> bool:
    """Whether standard output is a terminal on which something can stand still."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


@contextmanager
def screen() -> Iterator[Screen]:
    """Show something on the alternate screen, and come back from it however this ends."""
    with ended_by_signals():
        try:
            _write(_ENTER)
            yield Screen()
        finally:
            with suppress(OSError):  # the terminal may be gone
                _write(_LEAVE)


class Screen:
    """The alternate screen of the terminal at standard output, while it is shown."""

    def __init__(self) -> None:
        self._last = ""

    def draw(self, lines: Sequence[str]) -> None:
        """Show lines from the top; what does not fit is left out, and counted in the last line.

        Args:
            lines: Each as wide as the terminal at most.
        """
        height = _height()
        shown = list(lines)
        if len(shown) > height:
            shown = [*shown[: height - 1], f"+{len(shown) - height + 1} more"]
        body = f"{_REST_OF_LINE}\n".join(shown)
        frame = f"{_HOME}{body}{_REST_OF_LINE}{_REST_OF_SCREEN}"
        if frame != self._last:
            self._last = frame
            _write(frame)

    def loop(self, lines: Callable[[], Sequence[str]], pause_seconds: float) -> NoReturn:
        """Show lines again and again, until something raises.

        Args:
            lines: Returns what is to be seen now.
            pause_seconds: Time between two frames.
        """
        while True:
            self.draw(lines())
            time.sleep(max(FRAME_SECONDS, pause_seconds))


def _height() -> int:
    try:
        return max(2, os.get_terminal_size(sys.stdout.fileno()).lines)
    except OSError:
        return 24


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
