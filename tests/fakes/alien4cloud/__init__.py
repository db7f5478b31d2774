"""An Alien4Cloud that speaks HTTP: a small real server with the behaviour of version 3.8.

Everything it does is described in the protocol page, "Alien4Cloud 3.8 REST"; section 14 lists it.

    with Alien4Cloud() as server:
        application = server.application("covid", tags={"hpcwaas-workflows": "exec_job"})
        application.environment("prod").workflow("exec_job", script=script.simple(0.5))
"""

from .faults import Fault, Kind
from .script import CancelMode, Child, Log, Script, Status, Step, Task
from .server import Alien4Cloud

__all__ = [
    "Alien4Cloud",
    "CancelMode",
    "Child",
    "Fault",
    "Kind",
    "Log",
    "Script",
    "Status",
    "Step",
    "Task",
]
