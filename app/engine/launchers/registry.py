"""Which launchers there are: dotted names, imported only when one is configured."""

from __future__ import annotations

from dataclasses import replace

from app.engine.launchers.base import Launcher, LauncherContext
from app.errors import ConfigError, FieldError
from app.registered import import_class
from app.settings.schema import Chosen

LAUNCHERS = {
    "local": "app.engine.launchers.local:LocalLauncher",
    "slurm": "app.engine.launchers.slurm.launcher:SlurmLauncher",
}

AS_ANOTHER_USER = {"local": "app.engine.launchers.run_as:RunAsLauncher"}
"""Those that take the place of the ones above where ``engine.run_as`` is set."""


def create_launcher(chosen: Chosen, context: LauncherContext) -> Launcher:
    """Build a launcher.

    Args:
        chosen: Its type and its options.
        context: What else it is built with.

    Raises:
        ConfigError: There is no such launcher, or it cannot run commands as another user.
    """
    type_ = chosen.type
    if not launcher_class(type_).here:
        context = replace(context, account=None)  # that user is of this machine
    if context.account is not None:
        if type_ not in AS_ANOTHER_USER:
            fault = FieldError("engine.run_as", f"launcher '{type_}' runs nothing as another user")
            raise ConfigError("Commands cannot run as another user.", fields=(fault,))
        type_ = AS_ANOTHER_USER[type_]
    return launcher_class(type_).create(chosen.options, context)


def launcher_class(type_: str) -> type[Launcher]:
    """Import the class of a launcher.

    Args:
        type_: A name from the table, or ``package.module:Class``.

    Returns:
        A subclass of :class:`app.engine.launchers.base.Launcher`.

    Raises:
        ConfigError: There is no such launcher.
    """
    expected = f"must be one of {', '.join(sorted(LAUNCHERS))}, or package.module:Class"
    found: type[Launcher] = import_class(type_, LAUNCHERS, Launcher, expected)
    return found


def options_class(type_: str) -> type:
    """Return the options class of a launcher, for the settings to validate with.

    Raises:
        ConfigError: There is no such launcher.
    """
    return launcher_class(type_).Options
