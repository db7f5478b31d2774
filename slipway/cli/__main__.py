"""``python -m slipway.cli`` is ``slipway``."""

from slipway.cli import main

main()
