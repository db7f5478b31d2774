"""Slipway: a gateway from which people launch workflows on high-performance computers."""

from slipway.version import __version__

__all__ = ["__version__"]
