"""``python -m app.cli`` is ``slipway`` with the service's own commands only."""

from app.cli import main

main()
