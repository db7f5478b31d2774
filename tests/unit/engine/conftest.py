"""What tests of the engine share."""

from __future__ import annotations

import pytest
from engine_kit import Bench


@pytest.fixture(params=["one conductor", "another one at each look"])
def bench(tmp_path, request):
    """Make benches, all below one folder; what is kept between two looks must change nothing."""
    forgetful = request.param != "one conductor"

    def make(definition, **more):
        return Bench(definition, tmp_path / "executions", forgetful=forgetful, **more)

    return make
