"""The fork server: it has loaded what a shim needs, and each shim is a fork of it.

It waits at its standard input, a socket of whole messages (unix(7), ``SOCK_SEQPACKET``) whose
other end the launcher has. A message is the command line that the shim shows; with it come three
open files (``SCM_RIGHTS``): the job's folder, the specification, and where errors go. The answer is
a pid and an errno, one of which is 0. ``ENOTSUP``: this server can begin no such shim.

Nothing depends on it. A shim is in a session of its own, and nobody waits for it; the server holds
nothing of a job but while it forks, and whoever gets no answer may ask another server for the same,
as the shim's claim decides which start is the one. It ends with the socket, that is, with its
launcher.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress

from . import supervisor
from .processes import let_signals_through, set_dumpable
from .records import identity
from .title import Title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

ANSWER = struct.Struct("=ii")
"""A pid, and an errno."""
MAX_COMMAND = 16 * 1024
"""Longest message, in bytes."""
_FILES = 3


def main() -> None:
    """Serve one launcher, until it is gone."""
    launcher = socket.socket(fileno=0)
    let_signals_through()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel itself buries them: wait(2)
    title = _title()
    _warm_up()
    # Specifications with secrets of all owners pass through: prctl(2).
    set_dumpable(False)
    gc.collect()
    gc.freeze()  # or the first collection of each shim would copy all that is shared
    with suppress(OSError):
        while True:
            command, files, _, _ = socket.recv_fds(launcher, MAX_COMMAND, _FILES)
            if not command:
                return
            answer = _begin(command, files, title)
            for fd in files:
                os.close(fd)
            launcher.send(answer)


def _title() -> Title | None:
    try:
        title = Title()
    except OSError:
        return None
    # What was reserved behind it, by an argument, is not to be shown.
    title.set(b"\0".join(map(os.fsencode, sys.orig_argv[:-1])))
    return title


def _warm_up() -> None:
    """Have that loaded and made which a shim needs at once."""
    json.loads(json.dumps(identity()))
    os.get_exec_path({})


def _begin(command: bytes, files: list[int], title: Title | None) -> bytes:
    if title is None or len(command) >= title.size:
        return ANSWER.pack(0, errno.ENOTSUP)
    if len(files) != _FILES:
        return ANSWER.pack(0, errno.EMFILE)
    try:
        pid = os.fork()
    except OSError as exc:
        return ANSWER.pack(0, exc.errno)
    if pid == 0:
        _become_shim(command, files, title)
    return ANSWER.pack(pid, 0)


def _become_shim(command: bytes, files: list[int], title: Title) -> NoReturn:
    """Be what a program would be that was executed with this command line."""
    folder, specification, errors = files
    code = 1
    try:
        title.set(command)
        set_dumpable(True)
        os.fchdir(folder)
        os.dup2(specification, 0)
        os.dup2(errors, 2)
        for fd in files:
            os.close(fd)
        supervisor.supervise()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(code)
