"""A process that has loaded what a service loads, of which the services of the tests are forks.

Most of what a start takes of the processor are imports, and the tests start hundreds of services.
So they start as the processes of a service do (:mod:`app.cli._template`): each is a fork of what
has loaded the modules of ``slipway serve``, of its templates and of its migrations. From there on
everything runs as it always does, but for where a process would execute Python anew, and for what
:mod:`kit.thrift` puts off or copies: the supervisor goes on in the process that was prepared, and
the templates are forks of it. They end as programs do, and hold no descriptor that programs would
not.

A web process lets gevent patch it when its modules are here already. So these take locks, while
they are loaded, that are bound when one is made (:func:`_bound_late`).
"""

from __future__ import annotations

import atexit
import functools
import gc
import itertools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from app.cli import _start, _template
from app.cli._start import Process, Start
from app.files import inherited_umask
from app.store.database import Database

MODULES = (
    "app.cli._group", "app.cli.serve", "app.cli._serving", "app.cli._supervise",
    *_template._MODULES["common"], "alembic.command", "alembic.config",
    "alembic.runtime.environment", "app.cli._server", "app.factory",
    *_template._MODULES["web"][1:], "kit.thrift",
)  # fmt: skip
"""What is loaded: all but what lets gevent patch the process."""
_TESTS = str(Path(__file__).parents[1])
_ROOM = 2048
"""How long the longest command line may be that a fork shows."""
_READ_AT_START = (
    "PYTHON", "LD_", "GLIBC_", "MALLOC_", "LC_", "LANG", "TZ", "TMP", "TEMP", "OPENSSL_", "GEVENT",
    "GREENLET", "PROMETHEUS_",
)  # fmt: skip
"""How variables begin that Python, its libraries or a module read when they are loaded."""
_PATH = "PYTHONPATH"
_execv = os.execv
_lock = threading.Lock()
"""A request and its answer belong together."""


def fits(env: Mapping[str, str]) -> bool:
    """Whether a fork can have an environment: Python reads some variables when it starts."""
    return _read_at_start(env) == _read_at_start(os.environ)


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in env.items() if k.startswith(_READ_AT_START) and k != _PATH}


def start(
    arguments: Iterable[str | Path], env: Mapping[str, str], cwd: Path | None, files: list[int]
) -> Process:
    """Run ``slipway`` as a child of this process, in a session of its own.

    Args:
        arguments: Of the command.
        env: Its environment, which must be one that :func:`fits`.
        cwd: Where it starts; here unless given.
        files: Descriptors of its standard input, output and error.

    Raises:
        OSError: No process could be made.
    """
    umask = os.umask(0)
    os.umask(umask)
    order = {
        "arguments": [*map(str, arguments)], "env": dict(env), "cwd": str(cwd or Path.cwd()),
        "umask": umask, "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
    }  # fmt: skip
    told = os.memfd_create("order", os.MFD_CLOEXEC)
    try:
        os.write(told, json.dumps(order).encode())
        os.lseek(told, 0, os.SEEK_SET)
        with _lock, _start._adopting_orphans():
            requests = _requests()
            socket.send_fds(requests, [b"!"], [told, *files])
            pid, fault = _start.ANSWER.unpack(requests.recv(_start.ANSWER.size))
    finally:
        os.close(told)
    if fault:
        raise OSError(fault, os.strerror(fault))
    return _start.Descendant(pid)


@functools.cache
def _requests() -> socket.socket:
    """Start the process that is forked; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLIPWAY_")}
    with theirs:
        subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno()), "-" * _ROOM],
            env=env, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    return ours


def main() -> None:
    """Load modules, then fork on request until the process of the tests is gone."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    load()
    thrift = import_module("kit.thrift")
    spared = ExitStack()
    for spare in thrift.OF_SERVICES:
        spared.enter_context(spare())
    gc.collect()
    gc.freeze()
    try:
        while _template._answer(requests):
            pass
        return
    except _template._Fork as fork:
        files = fork.files
    requests.close()
    with open(files[0], "rb") as file:  # noqa: PTH123
        order = json.load(file)
    _become(order, files[1:])


def load() -> None:
    """Load :data:`MODULES` in a way that gevent may patch the process afterwards."""
    sys.path.append(_TESTS)
    with _bound_late("Lock", "RLock"):
        for module in MODULES:
            import_module(module)
    sys.path.remove(_TESTS)


@contextmanager
def _bound_late(*names: str) -> Iterator[None]:
    """Let who takes something from ``threading`` get what makes it as is patched then."""
    kept = {name: getattr(threading, name) for name in names}

    def make(name: str) -> Any:
        now = getattr(threading, name)
        return (kept[name] if now is late[name] else now)()

    late = {name: functools.partial(make, name) for name in names}
    vars(threading).update(late)
    try:
        yield
    finally:
        vars(threading).update(kept)


def _become(order: dict[str, Any], files: Sequence[int]) -> NoReturn:
    """Be the ``slipway`` command."""
    for standard, fd in enumerate(files):
        os.dup2(fd, standard)
    _keep_open([])
    os.chdir(order["cwd"])
    os.umask(order["umask"])
    resource.setrlimit(resource.RLIMIT_NOFILE, order["open_files"])
    if order["arguments"][:1] == ["serve"]:
        os.execv = _supervise  # type: ignore[assignment]
        Start.execute = _fork  # type: ignore[method-assign]
    command = import_module("app.cli._group").main
    _run(["-m", "app.cli", *order["arguments"]], order["env"], command)


def _supervise(_: str, words: Sequence[str]) -> NoReturn:
    """Go on as the supervisor, without what ends where a program is executed."""
    os.execv = _execv
    for each in gc.get_objects():
        if isinstance(each, Database):
            each.dispose()
    gc.collect()  # what is garbage closes its descriptors now, and not others' later
    _keep_open(filter(_is_inherited, map(int, os.listdir("/proc/self/fd"))))  # noqa: PTH208
    _run(words[2:], os.environ.copy(), import_module("app.cli._supervise").main, session=False)


def _is_inherited(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # of the list itself
        return False


def _fork(start: Start) -> Process:
    """Start a program, as :meth:`app.cli._start.Start.execute` does."""
    if not (pid := os.fork()):
        _execute(start)
    return _start.Descendant(pid)


def _execute(start: Start) -> NoReturn:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    _keep_open(start.descriptors.values())
    os.umask(inherited_umask())
    options = {**{name: str(fd) for name, fd in start.descriptors.items()}, **start.options}
    arguments = [word for pair in options.items() for word in pair]
    _run(["-m", start.module, *arguments], start.env, import_module(start.module).command)


def _keep_open(kept: Iterable[int]) -> None:
    """Close all descriptors but the standard ones and some others."""
    end = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    bounds = [2, *sorted(fd for fd in kept if fd > 2), end]
    for before, after in itertools.pairwise(bounds):
        if after > before + 1:
            os.closerange(before + 1, after)


def _run(
    words: Sequence[str],
    env: Mapping[str, str],
    command: Callable[[], object],
    *,
    session: bool = True,
) -> NoReturn:
    """Run what ``python -P -m`` would run, and end as it would."""
    if session:
        os.setsid()
    sys.orig_argv = [sys.executable, "-P", *words]
    sys.argv = ["", *words[2:]]
    _template._show(sys.orig_argv)
    searched = os.environ.get(_PATH)
    os.environ.clear()
    os.environ.update(env)
    status = 0
    try:
        if os.environ.get(_PATH) != searched:
            _search(os.environ.get(_PATH, ""))
        command()
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _search(path: str) -> None:
    """Find modules in more folders, and run what stands there for every start of Python."""
    sys.path[:0] = path.split(os.pathsep) if path else []
    sys.modules.pop("sitecustomize", None)
    with suppress(ImportError):
        import_module("sitecustomize")


if __name__ == "__main__":
    main()
