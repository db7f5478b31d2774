"""Slipway: a gateway from which people launch workflows on high-performance computers."""

__version__ = "0.1.0"
