"""A target of load: a fast HTTP/1.1 server in a process of its own that remembers each request.

Everything that it counts is its own view, so tests and benchmarks hold what clients say against it.
"""

from .handle import LoadTarget
from .record import Answer, LogNormal, Now, Seen, most_at_once

__all__ = ["Answer", "LoadTarget", "LogNormal", "Now", "Seen", "most_at_once"]
