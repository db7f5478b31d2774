"""Alien4Cloud: the orchestrator that the gateway was designed for."""

from app.clients.alien4cloud.options import Alien4CloudOptions
from app.clients.alien4cloud.orchestrator import Alien4CloudOrchestrator

__all__ = ["Alien4CloudOptions", "Alien4CloudOrchestrator"]
