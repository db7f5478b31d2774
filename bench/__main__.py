"""``python -m bench``: takes every figure and prints them, each beside its goal or its peer.

The exit status is 0 also when a goal is missed: this reports, and does not judge; but for the part
``abuse``, where a goal that is missed means that one user can stop another.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import abuse, alien4cloud, durability, engine, follow, http, journal, streams
from bench._client import raise_descriptor_limit
from bench._report import Figure, load, machine, markdown, text_row

_PARTS = {
    "journal": journal,
    "durability": durability,
    "follow": follow,
    "streams": streams,
    "engine": engine,
    "http": http,
    "alien4cloud": alien4cloud,
    "abuse": abuse,
}
_JUDGES = {"abuse"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="smaller loads: under a minute, and less exact"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table there, too, as Markdown"
    )
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(_PARTS)}; default all")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(_PARTS)
    if unknown:
        parser.error(f"there is no part '{unknown.pop()}'")
    raise_descriptor_limit()  # the service inherits it
    begun, before = time.monotonic(), load()
    head = [*machine(), f"Before: {before}"]
    print("\n".join(head), end="\n\n", flush=True)
    figures, failed = [], False
    for part, figure in _measure(arguments.parts or list(_PARTS), quick=arguments.quick):
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


def _measure(parts: list[str], *, quick: bool) -> Iterator[tuple[str, Figure]]:
    """Take the figures of some parts; what fails is a figure that is missing, with the reason."""
    for name in parts:
        try:
            yield from ((name, figure) for figure in _PARTS[name].run(quick=quick))
        except (RuntimeError, OSError) as exc:
            yield name, Figure(name, None, note=f"failed: {exc}".splitlines()[0])


if __name__ == "__main__":
    main()
