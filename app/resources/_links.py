"""Links between the operations of an OpenAPI document (OpenAPI 3.0.3, 4.7.20).

They say which part of one answer names the thing that another operation is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """A way from an answer to an operation.

    Attributes:
        source: Operation that is answered, such as ``post /workflows/{reference}``.
        status: Status of the answer.
        target: Operation that it leads to, likewise.
        parameters: Runtime expressions (4.7.20.4) by names of the target's parameters.
    """

    source: str
    status: int
    target: str
    parameters: Mapping[str, str]


def links(
    sources: Mapping[tuple[str, int], Mapping[str, str]], targets: Sequence[str]
) -> Iterator[Link]:
    """Make the links from each of some answers to each of some operations.

    Args:
        sources: The parameters of the targets, by operation and status of the answers.
        targets: The operations.
    """
    for (source, status), parameters in sources.items():
        for target in targets:
            yield Link(source, status, target, parameters)


def add_links(document: Mapping[str, Any], wanted: Iterable[Link]) -> None:
    """Add links to a document.

    Raises:
        KeyError: It lacks one of the operations, or the answer.
    """
    for link in wanted:
        method, path = link.source.split(" ")
        response = document["paths"][path][method]["responses"][str(link.status)]
        target_method, target_path = link.target.split(" ")
        document["paths"][target_path][target_method]
        pointer = target_path.replace("~", "~0").replace("/", "~1")
        response.setdefault("links", {})[_name(link)] = {
            "operationRef": f"#/paths/{pointer}/{target_method}",
            "parameters": dict(link.parameters),
        }


def _name(link: Link) -> str:
    """Return a name that says where a link leads, of the characters that names may have."""
    kept = (c if c.isalnum() else "-" for c in link.target.replace("{", "").replace("}", ""))
    return "".join(kept).replace("--", "-").strip("-")
