"""What an agent says went wrong, as errors of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.domain import JSON
from app.engine.launchers.job_records import clean_text
from app.errors import (
    InvalidRequest,
    SlipwayError,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamUnreachable,
)

_KINDS: Final[Mapping[str, type[InvalidRequest | UpstreamError]]] = {
    "invalid": InvalidRequest,
    "refused": UpstreamRefused,
    "unreachable": UpstreamUnreachable,
}


def fault_of(told: JSON, verb: str) -> SlipwayError:
    """Return the error that an agent tells of.

    Args:
        told: ``kind``, ``message`` and ``detail``, as somebody may have made them up.
        verb: What was asked for.
    """
    told = told if isinstance(told, dict) else {}
    message, detail = (clean_text(str(told.get(name))) for name in ("message", "detail"))
    kind = told.get("kind")
    found = _KINDS.get(kind) if isinstance(kind, str) else None
    if found is None:
        return UpstreamGarbled(
            "The program on the login node of the cluster failed.", detail=f"{verb}: {message}"
        )
    return found(message, detail=detail)


def entries(
    result: JSON, name: str, verb: str, count: int | None = None, *, raises: bool = True
) -> list[dict[str, JSON]]:
    """Return what an agent says of each of several; nothing where it has nothing to say.

    Args:
        result: Of its answer.
        name: What they are called there.
        verb: What was asked for.
        count: How many there must be; None for any number.
        raises: An error of one of them is raised, and not returned.

    Raises:
        SlipwayError: One of them failed.
        UpstreamGarbled: It says something else.
    """
    told = result.get(name) if isinstance(result, dict) else None
    found = [{} if each is None else each for each in told] if isinstance(told, list) else []
    is_whole = bool(found) and all(isinstance(each, dict) for each in found)
    if not is_whole or len(found) != (count or len(found)):
        raise UpstreamGarbled("The login node of the cluster answers nothing of use.", detail=verb)
    for each in found:
        if raises and each.get("error") is not None:
            raise fault_of(each["error"], verb)
    return found
