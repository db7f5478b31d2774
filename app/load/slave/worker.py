"""A worker process: ``python -m app.load.slave.worker``; its first act is to patch itself."""

from gevent import monkey

monkey.patch_all()

from app.load.slave.process import main  # noqa: E402
from app.load.slave.programs import Compiled  # noqa: E402

if __name__ == "__main__":
    main(Compiled)
