"""Which orchestrators there are: dotted names, imported only when one is configured."""

from __future__ import annotations

from importlib import import_module

from app.clients.orchestrator import Context, Orchestrator
from app.errors import ConfigError

ORCHESTRATORS = {
    "alien4cloud": "app.clients.alien4cloud:Alien4CloudOrchestrator",
    "engine": "app.engine.orchestrator:EngineOrchestrator",
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
    module_name, _, class_name = ORCHESTRATORS.get(type_, type_).partition(":")
    try:
        found: type[Orchestrator] = getattr(import_module(module_name), class_name)
        if not issubclass(found, Orchestrator):
            raise TypeError(f"{class_name} is no Orchestrator")
    except (ImportError, AttributeError, ValueError, TypeError) as exc:
        known = ", ".join(sorted(ORCHESTRATORS))
        text = f"must be one of {known}, or package.module:Class"
        raise ConfigError(text, detail=str(exc)) from exc
    return found


def options_class(type_: str) -> type:
    """Return the options class of an orchestrator type, for the settings to validate with.

    Raises:
        ConfigError: There is no such type.
    """
    return orchestrator_class(type_).Options
