"""Slipway's own orchestrator: definitions, the graph of steps, and where their commands run."""
