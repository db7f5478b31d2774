"""How much a process may keep to answer faster: one policy, from which each cache has its share.

What is kept makes up for most of what a process takes under load, and there are several of them. So
the shares together are what a small machine can spare: what many ask for at the same time fits,
and whoever reads through everything does not fill the memory. What upstreams answered is apart: it
is kept where there is an upstream alone, and asking again is dear.
"""

from __future__ import annotations

from typing import Final

_MIB: Final = 1024 * 1024

EXECUTIONS_BYTES: Final = 2 * _MIB
"""Executions that many read."""
TASKS_BYTES: Final = _MIB
"""Their tasks."""
LISTS_BYTES: Final = _MIB
"""Pages of lists of executions."""
WRITTEN_EXECUTIONS_BYTES: Final = 2 * _MIB
"""Executions in the form in which they are sent."""
WRITTEN_LISTS_BYTES: Final = _MIB
"""Pages of lists of executions in the form in which they are sent."""
TALLIES_BYTES: Final = _MIB // 2
"""How many entries of journals are those of single tasks, or match a pattern."""
PATTERNS_BYTES: Final = _MIB // 8
"""Regular expressions that are known to be good, for logs."""
STRETCHES_BYTES: Final = 4 * _MIB
"""Parts of journals."""
WRITTEN_STRETCHES_BYTES: Final = 4 * _MIB
"""The same in the form in which they are sent, with what they were written from."""
DETAILS_BYTES: Final = 6 * _MIB
"""Inputs and outputs of definitions."""
STEPS_BYTES: Final = _MIB
"""Steps of definitions that something was launched from, of which people look at the graph."""
GRAPHS_BYTES: Final = _MIB
"""Where the steps of definitions stand when they are drawn."""
PLANS_BYTES: Final = 16 * _MIB
"""Graphs of definitions that are being run; conductors alone have them."""
LOAD_DEFINITIONS_BYTES: Final = 8 * _MIB
"""Definitions of virtual users, of :mod:`app.load`."""
PROGRESS_BYTES: Final = 32 * _MIB
"""Where active executions stand: it goes with their end, and reading it again is dear."""
UPSTREAM_BYTES: Final = 16 * _MIB
"""Answers of an upstream, of each kind."""
STORE_PAGES_KIB: Final = 1000
"""Pages of SQLite's file, for each connection: the kernel keeps them once for all."""
