"""Benchmarks that anyone can run: ``python -m bench``.

Every figure is taken from the real service, started as its users start it, or from its own parts
on a real database; it stands beside a goal or beside a peer that was measured in the same run.
All load goes to 127.0.0.1 and is bounded in time and in number.
"""
