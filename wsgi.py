"""The WSGI application for a server of your choice: ``wsgi:app``, patched by gevent.

``slipway web`` is the server that this project is measured with; another one must use gevent too,
since every waiting reader holds a request open. ``SLIPWAY_CONFIG`` names the settings.
"""

from gevent import monkey

monkey.patch_all(subprocess=False)

import os
from pathlib import Path

from app.assembly import read_settings
from app.cli._process import forget_variable, guard_process
from app.factory import create_app
from app.settings import MASTER_KEY

guard_process()
_config = os.environ.get("SLIPWAY_CONFIG")
app = create_app(read_settings(Path(_config) if _config else None))
forget_variable(MASTER_KEY)
