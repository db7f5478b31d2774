"""Launching and following workflows on a Slipway service, from Python and from a shell.

::

    from slipway import Client

    with Client("https://slipway.example.org", ("ana", "...")) as client:
        execution = client.workflow("diamond").run(n=3000000)
        for entry in execution.follow():
            print(entry.content)
        print(execution.wait(check=True).outputs)

It speaks to the service over HTTP only. What the names below stand for is imported when it is first
used, so that ``import slipway`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from slipway.attempts import Patience
    from slipway.auth import ApiKey, Password, StoredTokens, Token
    from slipway.client import Client
    from slipway.errors import (
        Conflict,
        ExecutionFailed,
        InvalidInput,
        Misused,
        NotAllowed,
        NotFound,
        NotOurs,
        NotSignedIn,
        NotSupported,
        RateLimited,
        Refused,
        ServerFault,
        SlipwayError,
        StillRunning,
        TimedOut,
        Unreachable,
    )
    from slipway.execution import Execution, TaskOfExecution
    from slipway.following import Follow
    from slipway.models import Level, LogEntry, Status, TaskStatus
    from slipway.pages import Pages
    from slipway.workflow import Workflow

__all__ = [
    "ApiKey",
    "Client",
    "Conflict",
    "Execution",
    "ExecutionFailed",
    "Follow",
    "InvalidInput",
    "Level",
    "LogEntry",
    "Misused",
    "NotAllowed",
    "NotFound",
    "NotOurs",
    "NotSignedIn",
    "NotSupported",
    "Pages",
    "Password",
    "Patience",
    "RateLimited",
    "Refused",
    "ServerFault",
    "SlipwayError",
    "Status",
    "StillRunning",
    "StoredTokens",
    "TaskOfExecution",
    "TaskStatus",
    "TimedOut",
    "Token",
    "Unreachable",
    "Workflow",
]

_AUTH: Final = ("ApiKey", "Password", "StoredTokens", "Token")
_EXECUTION: Final = ("Execution", "TaskOfExecution")
_MODELS: Final = ("Level", "LogEntry", "Status", "TaskStatus")
_MODULES: Final = {
    "Client": "client",
    "Follow": "following",
    "Pages": "pages",
    "Patience": "attempts",
    "Workflow": "workflow",
    **dict.fromkeys(_AUTH, "auth"),
    **dict.fromkeys(_EXECUTION, "execution"),
    **dict.fromkeys(_MODELS, "models"),
}
"""Where each name is; all others are errors."""


def __getattr__(name: str) -> Any:
    """Import what a name stands for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
