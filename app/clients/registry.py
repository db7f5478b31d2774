"""Which orchestrators there are: dotted names, imported only when one is configured."""

from __future__ import annotations

from app.clients.orchestrator import Context, Orchestrator
from app.registered import import_class

ORCHESTRATORS = {
    "alien4cloud": "app.clients.alien4cloud:Alien4CloudOrchestrator",
    "engine": "app.engine.orchestrator:EngineOrchestrator",
    "load": "app.load.orchestrator:LoadOrchestrator",
}


def create_orchestrators(context: Context) -> dict[str, Orchestrator]:
    """Build the configured orchestrators, by name, in the order of the settings."""
    return {
        entry.name: orchestrator_class(entry.type).create(entry.name, entry.options, context)
        for entry in context.settings.orchestrators
    }


def orchestrator_class(type_: str) -> type[Orchestrator]:
    """Import the class of an orchestrator type.

    Args:
        type_: A name from the table, or ``package.module:Class``.

    Returns:
        A subclass of :class:`app.clients.orchestrator.Orchestrator`.

    Raises:
        ConfigError: There is no such type, or it is no orchestrator.
    """
    expected = f"must be one of {', '.join(sorted(ORCHESTRATORS))}, or package.module:Class"
    found: type[Orchestrator] = import_class(type_, ORCHESTRATORS, Orchestrator, expected)
    return found


def options_class(type_: str) -> type:
    """Return the options class of an orchestrator type, for the settings to validate with.

    Raises:
        ConfigError: There is no such type.
    """
    return orchestrator_class(type_).Options
