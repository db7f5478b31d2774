"""``python -m app.cli`` is ``slipway``."""

from app.cli import main

main()
