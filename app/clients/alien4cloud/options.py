"""What can be configured of an orchestrator of type ``alien4cloud``."""

from __future__ import annotations

from dataclasses import dataclass

from app.clients._pace import PollOptions
from app.settings.schema import (
    Duration,
    Flag,
    Range,
    ServerUrl,
    Text,
    WholeNumber,
    section,
    setting,
)


@dataclass(frozen=True)
class Alien4CloudOptions:
    """Options of an orchestrator of type ``alien4cloud``."""

    url: str = setting(
        ServerUrl(required=True), "Address of the server, such as `https://a4c.example.org:8443`."
    )
    user: str = setting(Text(required=True), "Name of the service account.")
    password: str = setting(Text(required=True), "Its password.", secret=True)
    ca_file: str | None = setting(
        Text(load_default=None), "CA certificates that sign the server's; the usual ones if absent."
    )
    verify: bool = setting(Flag(load_default=True), "Check the server's certificate.")
    timeout: float = setting(
        Duration(load_default="10s", at_least=0.1), "Longest wait for one answer."
    )
    poll: PollOptions = setting(section(PollOptions), "Watching executions.")
    cache_ttl: float = setting(
        Duration(load_default="1m", at_least=0),
        "How long the list of workflows, and what they take, is kept. Who may see them is asked "
        "for at each launch, and what is kept refuses no inputs.",
    )
    refresh_per_second: int = setting(
        WholeNumber(load_default=200, validate=Range(min=1)),
        "Most questions per second with which each web process reads the list again while somebody "
        "asks for it: one for each application in `cache_ttl`. Where that is not enough, or the "
        "server is too slow, the list gets older than `cache_ttl`, and the log says so.",
    )
    grace: float = setting(
        Duration(load_default="1m", at_least=0),
        "How late an event of Alien4Cloud may be while it is up: a launch that it accepted but "
        "that is not seen by then did not happen, and an execution that is silent for longer is "
        "checked for an end that got lost.",
    )
    launch_limit: float = setting(
        Duration(load_default="15m", at_least=0),
        "How long Alien4Cloud may hold a launch back before it begins it, which is its own limit: "
        "only after it, and `grace`, is a launch without an answer taken for one that never "
        "arrived.",
    )
