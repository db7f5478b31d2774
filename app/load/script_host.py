"""The process that runs the scripts of one task, one at a time.

It is not the one of the virtual users: a script cannot be interrupted everywhere (a regular
expression, a sort), and there its loop would stand still with all of them. The kernel ends this
process when a script has taken :data:`SCRIPT_SECONDS` and does not let itself be interrupted.

It knows nothing but the script and its values, has no environment, and speaks with who started it
through the socket that is its standard input: a length of four bytes, then JSON, both ways.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import time
from pathlib import Path
from typing import Any, Final

import quickjs

SCRIPT_SECONDS: Final = 1.0
"""Longest CPU time of one script."""

MEMORY_BYTES: Final = 16 * 2**20
"""Most memory of one script."""

MAX_RESULT_BYTES: Final = 2 * 2**20
"""Longest result of a script, as JSON."""

STACK_BYTES: Final = 256 * 1024
"""Deepest stack of a script."""

_HEADER: Final = struct.Struct("!I")
_MODEST: Final = 5
_PROCESS_BYTES: Final = 512 * 2**20
_FOLDER: Final = Path(__file__).parent / "javascript"


def receive(channel: socket.socket, most: int) -> bytes:
    """Return the next message; an empty one at the end.

    Raises:
        ValueError: It is longer than so many bytes.
    """
    header = _exactly(channel, _HEADER.size)
    length = _HEADER.unpack(header)[0] if header else 0
    if length > most:
        raise ValueError(f"a message of {length} bytes")
    return _exactly(channel, length)


def send(channel: socket.socket, message: bytes) -> None:
    """Send a message."""
    channel.sendall(_HEADER.pack(len(message)) + message)


def _exactly(channel: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = channel.recv(length - len(parts))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def run(script: str, given: str, seconds: float = SCRIPT_SECONDS) -> dict[str, Any]:
    """Run a script in a context of its own.

    Args:
        script: JavaScript.
        given: What the prelude is called with, as JSON.
        seconds: CPU time that it may take.

    Returns:
        ``result``, as JSON, or ``error`` with ``over``: whether it took too much time.
    """
    context = quickjs.Context()
    context.set_memory_limit(MEMORY_BYTES)
    context.set_max_stack_size(STACK_BYTES)
    context.set_time_limit(seconds)
    deadline = time.process_time() + seconds
    try:
        result = context.eval(_PRELUDE)(given)
        context.eval(script)
        while context.execute_pending_job():
            if time.process_time() > deadline:
                return _over(seconds)
        written = result()
    except quickjs.StackOverflow:
        return {"error": "stack overflow", "over": False}
    except quickjs.JSException as exc:
        return _error(str(exc), seconds)
    if len(written) > MAX_RESULT_BYTES // 4:  # bytes of a character
        return {"error": "the variables that it sets are too long", "over": False}
    return {"result": written}


def _error(message: str, seconds: float) -> dict[str, Any]:
    if message.startswith("InternalError: interrupted"):
        return _over(seconds)
    lines = [line.strip() for line in message.splitlines()] or [""]
    if lines[0].startswith("InternalError: out of memory") or lines[0] in {"null", ""}:
        return {"error": f"out of memory: it may have {MEMORY_BYTES // 2**20} MiB", "over": False}
    places = [line for line in lines[1:] if "<input>:" in line]
    own = [place for place in places if "<eval>" in place]  # others may be the prelude's
    line = (own or places or [""])[0].rpartition("<input>:")[2].rstrip(")")
    return {"error": lines[0][:300] + (f" (line {line})" if line else ""), "over": False}


def _over(seconds: float) -> dict[str, Any]:
    return {"error": f"took more than {seconds:g}s of CPU time", "over": True}


def _root_bits(number: int, degree: int) -> str:
    """Return the first 64 bits behind the point of a root, as FIPS 180-4, 4.2 and 5.3, says."""
    target, root = number << 64 * degree, 0
    for bit in range(69, -1, -1):
        if (root | 1 << bit) ** degree <= target:
            root |= 1 << bit
    return f"0x{root % 2**64:x}"


def _digests() -> str:
    primes = [n for n in range(2, 410) if all(n % divisor for divisor in range(2, n))][:80]
    source = (_FOLDER / "digests.js").read_text(encoding="utf-8")
    constants = {"ROUNDS.": (primes, 3), "START.": (primes[:8], 2)}
    for name, (numbers, degree) in constants.items():
        source = source.replace(name, f"{json.dumps([_root_bits(n, degree) for n in numbers])}.")
    return source


_DIGESTS: Final = json.dumps(_digests())
_PRELUDE: Final = (_FOLDER / "prelude.js").read_text(encoding="utf-8")


def main() -> None:
    """Run what is asked for until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it decides when it ends
    os.nice(_MODEST)  # the virtual users go first
    resource.setrlimit(resource.RLIMIT_AS, (_PROCESS_BYTES, _PROCESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=0) as channel:
        while message := receive(channel, _PROCESS_BYTES):
            request = json.loads(message)
            # SIGPROF ends the process: nothing handles it.
            signal.setitimer(signal.ITIMER_PROF, 2 * request["seconds"] + 0.1)
            answer = run(
                request["script"],
                f'{{"digests":{_DIGESTS},{request["given"][1:]}',
                request["seconds"],
            )
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(channel, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
