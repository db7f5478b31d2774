"""The WSGI application, for a server of your choice: ``wsgi:app``."""

from gevent import monkey

monkey.patch_all(subprocess=False)
