"""``/executions/<id>/bundle`` of the root API: one archive for the help desk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from flask import Response

from app import __version__
from app.domain import DefinitionText, Permission
from app.errors import SlipwayError
from app.identity.permissions import is_allowed
from app.resources._api import UPSTREAM, Blueprint, iso, only_document, write_json
from app.resources._auth import caller
from app.resources._conditional import is_unchanged, kept_headers, not_modified, tag_of
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources._streams import held
from app.resources._zip import CONTENT_TYPE, Member, archive
from app.resources.root.diagnosis import state_of
from app.resources.root.encoders import RootNdjson, RootText
from app.resources.root.forms import execution_parameter
from app.resources.root.serialisers.digest import digest_json, digest_text
from app.resources.root.serialisers.executions import summary_json
from app.resources.root.serialisers.load import metrics_json
from app.resources.root.serialisers.tasks import task_json
from app.services.hiding import Hiding
from app.services.logs import LogExtract
from app.services.stretches import Stretch
from app.services.support import LOG_BYTES, OWN_ENTRIES, Case, Happening
from app.services.turns import Turn

blueprint = Blueprint("bundle", __name__, description="What help desks ask for")

_UNSAFE: Final = re.compile(r"[^0-9A-Za-z._-]")
_LONGEST_NAME: Final = 100
_AT_ONCE: Final = 100
"""Tasks, or things that happened, that are written in one turn."""
_FORM: Final = "1"
"""Another one once an archive of the same execution holds something else."""


@blueprint.route(
    "/executions/<string:execution_id>/bundle", methods=["GET"], parameters=execution_parameter()
)
@only_document(
    blueprint.response(
        200,
        {"type": "string", "format": "binary"},
        content_type=CONTENT_TYPE,
        description="A ZIP archive",
    ),
    blueprint.errors(404, 410, *UPSTREAM),
)
@cost(10)
@permission(Permission.EXECUTIONS_READ)
def get_bundle(execution_id: str) -> Response:
    """Get one archive for the help desk: all that there is of an execution, without secrets.

    History, tasks, definition, log, digest, versions, and numbers of the settings; `README.txt` in
    it says what is what. Of a log of more than 32 MiB it has the first quarter of that and the end.
    The definition is in it for those who may read workflows.
    """
    identity = caller()
    execution = services().executions.get(execution_id, identity)
    stale = services().executions.is_stale(execution)
    sees_definition = is_allowed(identity, Permission.WORKFLOWS_READ)
    told = _FORM, __version__, state_of(execution), stale, sees_definition
    headers = kept_headers(tag_of(repr(told)))
    if is_unchanged(headers["ETag"]):  # before all the work
        return not_modified(Response(headers=headers))
    name = safe_name(execution.id)
    headers["Content-Disposition"] = f'attachment; filename="{name}.zip"'
    bundle = services()
    turn = partial(bundle.turns.turn, identity.username)
    case = bundle.support.gather(execution, identity)
    body = archive(_members(case, f"{name}/", turn, stale=stale), execution.created_at, turn)
    place = partial(bundle.places.place, identity, "bundle")
    return Response(held(body, identity, place), content_type=CONTENT_TYPE, headers=headers)


def safe_name(execution_id: str) -> str:
    """Return a name for files of an execution that every file system takes as it is."""
    return f"slipway-{_UNSAFE.sub('_', execution_id)[:_LONGEST_NAME]}"


def _members(case: Case, folder: str, turn: Turn, *, stale: bool) -> Iterator[Member]:
    """Yield the files; each is made when it is its turn."""
    with turn():
        hiding = case.hiding()
        digest, history = case.hidden_digest(hiding), case.hidden_history(hiding)
    write = partial(_document, hiding, turn)
    yield f"{folder}README.txt", [_readme(case).encode()]
    yield f"{folder}digest.txt", [hiding.text(digest_text(digest)).encode()]
    yield f"{folder}digest.json", write(lambda: digest_json(digest, stale=stale))
    yield f"{folder}execution.json", write(lambda: _execution(case, stale=stale))
    yield f"{folder}history.jsonl", _lines(history, hiding, turn)
    yield f"{folder}tasks.jsonl", _tasks(case, hiding, turn)
    if isinstance(case.definition, DefinitionText):
        with turn():
            text = hiding.definition(case.definition.text)
        yield f"{folder}{_definition_name(case.definition)}", [text.encode()]
    metrics = case.metrics
    if metrics is not None:
        yield f"{folder}metrics.json", write(lambda: metrics_json(case.execution, metrics))
    yield f"{folder}versions.json", write(lambda: case.versions)
    yield f"{folder}settings.json", write(lambda: case.settings)
    if case.log is not None:
        yield f"{folder}log.txt", _log(case.log, hiding.anew(), RootText.entries, turn, _left_out)
        yield (
            f"{folder}log.jsonl",
            _log(case.log, hiding.anew(), RootNdjson.entries, turn, _left_out_json),
        )


def _document(hiding: Hiding, turn: Turn, make: Callable[[], Any]) -> Iterator[bytes]:
    with turn():
        written = write_json(hiding.value(make()), indented=True)
    yield written


def _execution(case: Case, *, stale: bool) -> dict[str, Any]:
    execution = case.execution
    return {
        **summary_json(execution, stale=stale),
        "inputs": execution.inputs,
        "outputs": execution.outputs,
    }


def _tasks(case: Case, hiding: Hiding, turn: Turn) -> Iterator[bytes]:
    return _each([task_json(task) for task in case.tasks], hiding, turn)


def _lines(history: Sequence[Happening], hiding: Hiding, turn: Turn) -> Iterator[bytes]:
    return _each([asdict(each) for each in history], hiding, turn)


def _each(values: list[dict[str, Any]], hiding: Hiding, turn: Turn) -> Iterator[bytes]:
    """Write values as lines of JSON, some in each turn."""
    for start in range(0, len(values), _AT_ONCE):
        with turn():
            lines = [write_json(hiding.value(value)) for value in values[start : start + _AT_ONCE]]
        yield b"\n".join([*lines, b""])


def _log(
    log: LogExtract,
    hiding: Hiding,
    write: Callable[[Stretch], bytes],
    turn: Turn,
    say: Callable[[int, str], bytes],
) -> Iterator[bytes]:
    """Write a log; where it cannot be read on, the archive goes on with what is behind it.

    Args:
        log: The log.
        hiding: Hides secrets.
        write: Writes entries.
        turn: Taken for each stretch of it.
        say: Writes that so many entries are missing, and why.
    """
    try:
        yield from _stretches(log.beginning(), hiding, write, turn)
        if log.left_out:
            yield say(log.left_out, "the log is longer than what is given of one")
        yield from _stretches(log.end(), hiding, write, turn)
    except SlipwayError as exc:
        yield say(-1, exc.message)


def _stretches(
    stretches: Iterator[Stretch], hiding: Hiding, write: Callable[[Stretch], bytes], turn: Turn
) -> Iterator[bytes]:
    for stretch in stretches:
        with turn():
            written = write(Stretch(hiding.entries(stretch.entries), stretch.next))
        yield written


def _left_out(number: int, why: str) -> bytes:
    what = "entries" if number < 0 else f"{number} entries"
    return f"--- {what} are left out here: {why} ---\n".encode()


def _left_out_json(number: int, why: str) -> bytes:
    told = {"type": "left_out", "count": None if number < 0 else number, "reason": why}
    return write_json(told) + b"\n"


def _definition_name(definition: DefinitionText) -> str:
    return "definition.json" if definition.media_type == "application/json" else "definition.yaml"


def _readme(case: Case) -> str:
    execution = case.execution
    rows = [
        ("digest.txt, digest.json", "how it stands or ended, and why; begin here"),
        ("execution.json", "status, times, inputs and outputs"),
        ("history.jsonl", f"what happened to it, and the last {OWN_ENTRIES:,} things that it said"),
        ("tasks.jsonl", "the tasks, in the order of the workflow"),
        *_row_of_definition(case),
        *([("metrics.json", "what its virtual users did")] if case.metrics is not None else []),
        ("versions.json", "of the service, and of the orchestrator where it tells"),
        ("settings.json", "numbers and switches of the service; durations are in seconds"),
        *_rows_of_log(case),
    ]
    width = max(len(name) for name, _ in rows)
    table = "".join(f"{name:<{width}}  {what}\n" for name, what in rows)
    return (
        f"Execution {execution.id} ({execution.awf_name}), as Slipway {__version__} knows it.\n"
        f"Launched {iso(execution.created_at)}; its status is {execution.status}.\n"
        + ("" if execution.status.final else "It has not ended: this is how it stands now.\n")
        + f"\n{table}\n"
        "*** stands in place of what is called, or looks, like a secret: passwords, tokens, keys.\n"
        "What a command printed is searched for such texts, too, but nothing can know them all:\n"
        "look at the log before you give it to somebody else.\n"
        "Moments are in UTC. Files that end in jsonl have one JSON object on each line.\n"
    )


def _row_of_definition(case: Case) -> list[tuple[str, str]]:
    if isinstance(case.definition, DefinitionText):
        version = case.definition.version
        what = f"version {version} of the definition" if version else "the definition"
        return [(_definition_name(case.definition), f"{what} that it runs")]
    return [("(no definition)", case.definition)]


def _rows_of_log(case: Case) -> list[tuple[str, str]]:
    if case.log is None:
        return [("(no log)", "it is not kept any more")]
    rows = [
        ("log.txt", f"its log as text: {case.log.total:,} entries"),
        ("log.jsonl", "the same as JSON, each entry with its index"),
    ]
    if case.log.left_out:
        mib = LOG_BYTES >> 20
        what = (
            f"{case.log.left_out:,} entries: of more than {mib} MiB there is the first quarter of "
            "that and the end"
        )
        rows.append(("(left out of both)", what))
    return rows
