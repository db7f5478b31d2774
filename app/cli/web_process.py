"""A web process: ``python -m app.cli.web_process``; its first act is to patch itself."""

from gevent import events, monkey

# Two dozen times it would look for plugins in all installed packages, for half of its time.
events.notify_and_call_entry_points = events.notify
monkey.patch_all(subprocess=False)

import os  # noqa: E402
import signal  # noqa: E402
from pathlib import Path  # noqa: E402

import click  # noqa: E402
import gevent  # noqa: E402
import structlog  # noqa: E402
from gevent.event import Event  # noqa: E402

from app.cli._connection import Limits  # noqa: E402
from app.cli._lifeline import Lifeline, lifeline_option  # noqa: E402
from app.cli._limits import (  # noqa: E402
    check_limits,
    measure_loop_lag,
    most_connections,
    tell_shares,
    warn_of_any_host,
    warn_of_no_users,
)
from app.cli._listener import sockets_of, take_over  # noqa: E402
from app.cli._options import config_option  # noqa: E402
from app.cli._private import keep_private  # noqa: E402
from app.cli._process import guard_process  # noqa: E402
from app.cli._reload import Reload, run_again  # noqa: E402
from app.cli._server import Server  # noqa: E402
from app.cli._settings import CONDUCTOR_ALONE, settings_or_exit, start_or_exit  # noqa: E402
from app.cli._supervisor import LISTENERS  # noqa: E402
from app.cli._tls import check_tls, warn_of_clear_text  # noqa: E402
from app.cli._tls_socket import tls_context, tls_fields  # noqa: E402
from app.errors import ConfigError, FieldError, UpstreamError  # noqa: E402
from app.factory import Web, create_web  # noqa: E402
from app.observability import configure_logging  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.store import migrate  # noqa: E402

log = structlog.get_logger(__name__)


@click.command()
@config_option
@lifeline_option
@click.option("--listener-fd", type=int, help="Descriptor of a socket that listens already.")
@click.option("--beside-fd", type=int, help="Descriptor of a second one.")
@click.option("--master-key-fd", type=int, hidden=True, help="Pipe that holds the master key.")
@click.option("--slave-key-digest", hidden=True, help="Of the key of the service's own slave.")
def command(
    config: Path | None,
    data_dir: Path | None,
    lifeline_fd: int | None,
    master_key_fd: int | None,
    slave_key_digest: str | None,
    **listening: int | None,
) -> None:
    """Serve until a signal, or the end of the supervisor, says to stop."""
    guard_process()
    lifeline = Lifeline(lifeline_fd)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop.set)
    settings = settings_or_exit(
        config, {"data_dir": data_dir}, without=CONDUCTOR_ALONE, master_key=_read_all(master_key_fd)
    )
    lifeline.hold(stop.set, settings.web.shutdown_timeout)
    configure_logging(settings.observability.log_level, settings.observability.log_format)
    check_limits(settings)
    with start_or_exit():
        keep_private(settings, config)
        _require_api(settings)
        tls = tls_context(settings.api.tls)
        # Whoever opened the socket has started the others, too.
        share = 1 if lifeline_fd is None else settings.web_processes
        web = create_web(settings, share=share, slave_key_digest=slave_key_digest)
        migrate.check(web.database)
        try:
            web.key_store.check()
        except UpstreamError as exc:
            log.warning("key store does not answer yet", error=exc.message)
        web.changes.start()
    _begin_measuring(web)
    given = [descriptor for descriptor in listening.values() if descriptor is not None]
    if not given:  # else whoever opened it has said so
        warn_of_any_host(settings)
        warn_of_no_users(settings, web.database)
        warn_of_clear_text(settings)
        tell_shares(settings, share)
    listeners = [take_over(each) for each in given] or sockets_of(settings, shared=True)
    # Connections wait in their queues where this process is replaced by another one.
    spare = [] if lifeline_fd is not None else [os.dup(each.fileno()) for each in listeners]
    server = Server(
        listeners[0], web.app, _limits(settings), web.dialects,
        tls=tls, tls_fields=tls_fields(settings.api.tls), beside=listeners[1:],
    )  # fmt: skip
    reloading = Reload(settings, config, data_dir, without=CONDUCTOR_ALONE, check=_check_files)
    gevent.signal_handler(signal.SIGHUP, _reload, reloading, server, settings, stop)
    server.start()
    lifeline.tell_at_work(settings.web.silence_timeout)
    log.info("web process started", address=server.address)
    stop.wait()
    _shut_down(server, web, settings)
    if reloading.is_due and lifeline_fd is None:  # else the supervisor starts another one
        run_again(
            "app.cli.web_process", config, data_dir, settings,
            dict(zip(LISTENERS, spare, strict=False)),
        )  # fmt: skip


def _begin_measuring(web: Web) -> None:
    gevent.spawn(measure_loop_lag, web.metrics)
    web.sampler.start()


def _shut_down(server: Server, web: Web, settings: Settings) -> None:
    server.shut_down(web.release, settings.web.shutdown_timeout)
    web.close()
    log.info("web process stopped")


def _reload(reloading: Reload, server: Server, settings: Settings, stop: Event) -> None:
    reloading.look(stop.set)
    if not (reloading.is_due or reloading.has_faults):
        server.tls = tls_context(settings.api.tls)


def _check_files(settings: Settings) -> None:
    _require_api(settings)
    check_tls(settings.api.tls)


def _require_api(settings: Settings) -> None:
    if not settings.api.enabled:
        fault = FieldError("api.enabled", "is false, so there is nothing that this could serve")
        raise ConfigError("The API is switched off.", fields=(fault,))


def _limits(settings: Settings) -> Limits:
    return Limits(
        connections=most_connections(),
        idle_seconds=settings.web.keep_alive_timeout,
        head_seconds=settings.web.head_timeout,
        body_seconds=settings.web.body_timeout,
        body_rate=settings.web.min_body_rate,
        write_seconds=settings.web.write_timeout,
        body_bytes=settings.api.max_body_bytes,
        bodies_bytes=max(Limits.bodies_bytes, 4 * settings.api.max_body_bytes),
    )


def _read_all(descriptor: int | None) -> str | None:
    if descriptor is None:
        return None
    with open(descriptor, encoding="ascii") as pipe:  # noqa: PTH123  (it has no path)
        return pipe.read()


if __name__ == "__main__":
    command()
