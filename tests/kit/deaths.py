"""Processes that kill themselves at a named point of the program, once."""

from __future__ import annotations

from pathlib import Path

_HOOK = """
import functools, importlib, os, signal

def die_at(module, name, moment, mark):
    owner_name, _, method = name.partition(".")
    owner = getattr(importlib.import_module(module), owner_name)
    original = getattr(owner, method)

    def die(seen):
        if mark in seen:
            try:
                os.close(os.open({marker!r}, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(original)
    def deadly(*args, **more):
        seen = repr(args[1:])
        if moment == "before":
            die(seen)
        result = original(*args, **more)
        if moment == "after":
            die(seen)
        return result

    setattr(owner, method, deadly)

die_at(*{point!r})
"""


def die_at(folder: Path, module: str, method: str, moment: str, mark: str = "") -> dict[str, str]:
    """Return the environment of a service, one process of which is killed at a point.

    Args:
        folder: An empty folder; ``died`` appears in it when that has happened.
        module: Such as ``app.engine.launchers.local``.
        method: Such as ``LocalLauncher.start``.
        moment: ``before`` or ``after`` the call.
        mark: A text that the arguments must show.
    """
    hook = _HOOK.format(marker=str(folder / "died"), point=(module, method, moment, mark))
    (folder / "sitecustomize.py").write_text(hook, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}
