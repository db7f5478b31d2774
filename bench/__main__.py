"""``python -m bench``: takes every figure and prints them, each beside its goal or its peer.

The exit status is 0 also when a goal is missed: this reports, and does not judge; but for the part
``abuse``, where a goal that is missed means that one user can stop another.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import (
    abuse,
    alien4cloud,
    auth,
    commands,
    crowd,
    durability,
    engine,
    follow,
    gateway,
    graphs,
    http,
    journal,
    launch,
    limits,
    page,
    process,
    slaves,
    slurm,
    streams,
    wrong_logins,
)
from bench import load as virtual_users
from bench._client import raise_descriptor_limit
from bench._report import Figure, load, machine, markdown, text_row
from bench._target import PEER_ROWS, read_peers

_PARTS = {
    "journal": journal,
    "durability": durability,
    "follow": follow,
    "crowd": crowd,
    "streams": streams,
    "engine": engine,
    "launch": launch,
    "http": http,
    "limits": limits,
    "auth": auth,
    "wrong_logins": wrong_logins,
    "gateway": gateway,
    "alien4cloud": alien4cloud,
    "abuse": abuse,
    "load": virtual_users,
    "process": process,
    "slaves": slaves,
    "slurm": slurm,
    "commands": commands,
    "graphs": graphs,
    "page": page,
}
_JUDGES = {"abuse"}
_BESIDE_PEERS = {"launch", "gateway"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="smaller loads: under a minute, and less exact"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table there, too, as Markdown"
    )
    rows = "; ".join(f"{name}: {what}" for name, what in PEER_ROWS.items())
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=URL",
        help=f"address of a running service of another program, for one row ({rows}); "
        "the row says 'not measured' without",
    )  # fmt: skip
    parser.add_argument(
        "--peer-body", action="append", default=[], metavar="NAME=JSON",
        help="what is sent to a peer that launches; default {}",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=float, help="how long the load of the part 'process' lasts"
    )
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(_PARTS)}; default all")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(_PARTS)
    if unknown:
        parser.error(f"there is no part '{unknown.pop()}'")
    try:
        peers = read_peers(arguments.peer, arguments.peer_body)
    except argparse.ArgumentTypeError as exc:
        parser.error(str(exc))
    raise_descriptor_limit()  # the service inherits it
    begun, before = time.monotonic(), load()
    head = [*machine(), f"Before: {before}"]
    print("\n".join(head), end="\n\n", flush=True)
    figures, failed = [], False
    parts = arguments.parts or list(_PARTS)
    options: dict[str, dict[str, Any]] = {key: {"peers": peers} for key in _BESIDE_PEERS}
    options["process"] = {"minutes": arguments.minutes}
    for part, figure in _measure(parts, quick=arguments.quick, options=options):
        print(text_row(figure), flush=True)
        figures.append(figure)
        failed |= part in _JUDGES and figure.verdict != "ok"
    missed = sum(figure.verdict == "MISSED" for figure in figures)
    tail = [
        f"After: {load()}",
        f"{len(figures)} figures in {time.monotonic() - begun:.0f} s, {missed} goals missed.",
    ]
    print("", *tail, sep="\n")
    if arguments.markdown:
        lines = "".join(f"- {line}\n" for line in [*head, *tail])
        arguments.markdown.write_text(f"{lines}\n{markdown(figures)}", encoding="utf-8")
    sys.exit(1 if failed else 0)


def _measure(
    parts: list[str], *, quick: bool, options: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Figure]]:
    """Take the figures of some parts; what fails is a figure that is missing, with the reason."""
    for name in parts:
        try:
            for figure in _PARTS[name].run(quick=quick, **options.get(name, {})):
                yield name, figure
        except (RuntimeError, OSError) as exc:
            yield name, Figure(name, None, note=f"failed: {exc}".splitlines()[0])


if __name__ == "__main__":
    main()
