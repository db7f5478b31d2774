"""How many virtual users of a task are in a segment, by what its definition says."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from app.load.definition import Options, of_json
from app.load.messages import DesiredTask
from app.load.modes import vus_at
from app.load.segments import Segment

_KEPT: Final = 64


class Holders:
    """Reads definitions, each once."""

    def __init__(self) -> None:
        self._options: OrderedDict[str, Options] = OrderedDict()

    def vus(self, task: DesiredTask, segment: Segment, elapsed_us: int) -> int:
        """Return the number; 0 where the definition is none, as worker processes say."""
        try:
            options = self._options_of(task)
        except ValueError:
            return 0
        return segment.share(vus_at(options, task.scaled, elapsed_us))

    def _options_of(self, task: DesiredTask) -> Options:
        known = self._options.get(task.digest)
        if known is None:
            known = of_json(task.definition).options
            self._options[task.digest] = known
            while len(self._options) > _KEPT:
                self._options.popitem(last=False)
        return known
