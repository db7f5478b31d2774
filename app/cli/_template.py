"""A template: a process that has loaded what others need, and is forked to be one of them.

All that such processes load is in memory once, and a process that is replaced loads nothing. The
template holds no settings, no connection, no thread and no event loop, and has hardly any
environment. What a fork is to be comes as open files (``SCM_RIGHTS``), of which the template reads
none: the first says module, environment and options, the others are what the process inherits.

Each fork is made by a process in between that ends at once. So its parent is the supervisor, who
asked for it, and the template can end or be killed without harm to anybody.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import socket
import sys
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import cast

from app.cli._lifeline import BEAT_SECONDS, Lifeline
from app.cli._process import guard_process, ignore_hangups
from app.cli._start import ANSWER, ROOM
from app.engine.launchers.shim.title import Title

_fork, _waitpid = os.fork, os.waitpid  # gevent's would begin an event loop
_FILES = 8
_MODULES = {
    "common": (
        "app.cli.conductor", "app.engine.orchestrator", "app.load.orchestrator",
        "app.store._sqlite",
    ),
    "web": (
        "app.cli.web_process", "app.resources.root", "app.resources.wattle",
        "app.resources.engine_v1", "app.ui", "gevent.pool", "gevent.threadpool",
        "encodings.ascii", "encodings.idna", "encodings.unicode_escape",
    ),
}  # fmt: skip
"""What is loaded before forks: what they use on the defaults. What the settings name besides, each
loads by itself."""


class _Fork(Exception):
    """Raised in a fork, to leave what the template was doing.

    Attributes:
        files: What came with the request.
    """

    def __init__(self, files: list[int]) -> None:
        super().__init__()
        self.files = files


def command() -> None:
    """Load modules, then fork on request until the supervisor is gone."""
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    guard_process()
    ignore_hangups()
    # Before anything is imported that gevent patches: what is patched needs an event loop.
    requests = socket.socket(fileno=int(options["--requests-fd"]))
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    lifeline = Lifeline(int(options["--lifeline-fd"]))
    if ROOM in options:
        _show([part for part in sys.orig_argv if part not in (ROOM, options[ROOM])])
    _load(_MODULES[options["--load"]])
    # What is shared stays so as long as nobody writes to it, and the collector does.
    gc.collect()
    gc.freeze()
    lifeline.tell_at_work(float(options["--silence"]))
    try:
        while True:
            lifeline.give_sign()
            if poll.poll(BEAT_SECONDS * 1000) and not _answer(requests):
                return
    except _Fork as fork:
        lifeline.close()
        requests.close()
        files = fork.files
    _become(files)


def _load(modules: Iterable[str]) -> None:
    """Import modules, without rich, which structlog loads where it is: no service writes by it."""
    sys.modules["rich"] = cast(ModuleType, None)  # as the language has it for what is not found
    for module in modules:
        import_module(module)
    del sys.modules["rich"]


def _answer(requests: socket.socket) -> bool:
    """Do what was asked for; False when there is nobody to ask any more."""
    request, files, _, _ = socket.recv_fds(requests, 1, _FILES)
    if not request:
        return False
    try:
        answer = ANSWER.pack(_fork_for_another(files), 0)
    except OSError as exc:
        answer = ANSWER.pack(0, exc.errno)
    for fd in files:
        os.close(fd)
    requests.send(answer)
    return True


def _fork_for_another(files: list[int]) -> int:
    """Fork a process that becomes a child of the nearest ancestor who takes in orphans.

    Returns:
        Its pid.

    Raises:
        OSError: There is no room for it.
        _Fork: This is the one.
    """
    reading, writing = os.pipe()
    try:
        between = _fork()
        if between == 0:
            _end_between(writing)
            raise _Fork(files)
        _waitpid(between, 0)
        pid, fault = ANSWER.unpack(os.read(reading, ANSWER.size))
    finally:
        os.close(reading)
        os.close(writing)
    if fault:
        raise OSError(fault, os.strerror(fault))
    return int(pid)


def _end_between(writing: int) -> None:
    """Fork once more and end; it is the new process alone that returns."""
    try:
        pid = _fork()
    except OSError as exc:
        os.write(writing, ANSWER.pack(0, exc.errno or 1))
        os._exit(1)
    if pid:
        os.write(writing, ANSWER.pack(pid, 0))
        os._exit(0)


def _become(files: list[int]) -> None:
    """Be what ``python -m`` would have made of this process."""
    with open(files[0], "rb") as file:  # noqa: PTH123
        module, env, names, options = pickle.load(file)  # noqa: S301  (it is the supervisor's)
    os.setsid()  # Ctrl-C in the terminal is for the supervisor to pass on
    words = {**dict(zip(names, map(str, files[1:]), strict=True)), **options}
    sys.argv[1:] = [word for pair in words.items() for word in pair]
    _show([sys.executable, "-P", "-m", module, *sys.argv[1:]])
    os.environ.clear()
    os.environ.update(env)
    import_module(module).command()


def _show(arguments: list[str]) -> None:
    """Show the command line by which operators, and we ourselves, find processes."""
    try:
        title = Title()
    except OSError:  # the kernel does not tell where it is; it is only for show
        return
    title.set(b"\0".join(map(os.fsencode, arguments))[: title.size - 2] + b"\0")


if __name__ == "__main__":
    command()
