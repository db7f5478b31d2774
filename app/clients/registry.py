"""Which orchestrators there are: dotted names, imported only when one is configured."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from app.clients.orchestrator import Orchestrator
from app.errors import ConfigError
from app.settings import Settings
from app.store.database import Database

ORCHESTRATORS = {
    "alien4cloud": "app.clients.alien4cloud:Alien4CloudOrchestrator",
    "engine": "app.engine.orchestrator:EngineOrchestrator",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What an orchestrator may be built with, beside its own options."""

    settings: Settings
    database: Database


def create_orchestrators(context: Context) -> dict[str, Orchestrator]:
    """Build the configured orchestrators, by name, in the order of the settings."""
    return {
        entry.name: orchestrator_class(entry.type).create(entry.name, entry.options, context)
        for entry in context.settings.orchestrators
    }


def orchestrator_class(type_: str) -> Any:
    """Import the class of an orchestrator type.

    Args:
        type_: A name from the table, or ``package.module:Class``.

    Returns:
        A subclass of :class:`app.clients.orchestrator.Orchestrator` with an ``Options`` dataclass
        and a class method ``create(name, options, context)``.

    Raises:
        ConfigError: There is no such type.
    """
    module_name, _, class_name = ORCHESTRATORS.get(type_, type_).partition(":")
    try:
        return getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as exc:
        known = ", ".join(sorted(ORCHESTRATORS))
        text = f"must be one of {known}, or package.module:Class"
        raise ConfigError(text, detail=str(exc)) from exc


def options_class(type_: str) -> type:
    """Give the options class of an orchestrator type, for the settings to validate with.

    Raises:
        ConfigError: There is no such type.
    """
    options: type = orchestrator_class(type_).Options
    return options
