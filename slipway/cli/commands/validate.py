"""``slipway validate``: check definitions, here or by the service, and point at each fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import click

from slipway.cli import service
from slipway.cli.codes import ExitCode, Failure
from slipway.cli.definition_files import Definition, Finding, findings, read_definition, told
from slipway.cli.options import command as of_table
from slipway.cli.output import clean
from slipway.cli.shell import Shell

_CHECKER: Final = ("-P", "-m", "app.cli", "validate", "--as-json")


class _Result(NamedTuple):
    """What became of one definition.

    Attributes:
        about: What is known of a valid one.
        detail: One sentence on faults.
    """

    definition: Definition
    about: Mapping[str, Any]
    detail: str
    found: Sequence[Finding]

    @property
    def is_valid(self) -> bool:
        return not self.detail

    def document(self) -> dict[str, Any]:
        """Return what JSON has of it."""
        return {
            "file": self.definition.file,
            "valid": self.is_valid,
            "id": self.about.get("id"),
            "faults": [each.document() for each in self.found],
        }


@of_table("validate")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--launcher", metavar="TYPE",
    help="Check also that this launcher gives what the steps ask for, such as local.",
)  # fmt: skip
def command(shell: Shell, files: tuple[str, ...], launcher: str | None) -> int:
    """Check definitions; - is standard input.

    It is done on this machine where the service is installed, and by the service where it is not.
    """
    definitions = [read_definition(file) for file in files]
    if service.installed():
        answers = _checked_here([each.text for each in definitions], launcher)
    elif launcher is None:
        answers = [_checked_there(shell, each) for each in definitions]
    else:
        service.require()
    results = [_result(each, answer) for each, answer in zip(definitions, answers, strict=True)]
    if shell.out.for_programs:
        shell.out.value([each.document() for each in results])
    elif shell.out.format == "name":
        for result in results:
            if result.is_valid:
                shell.out.write(clean(str(result.about.get("id"))))
    else:
        for result in results:
            _tell(shell, result)
    return ExitCode.SUCCESS if all(each.is_valid for each in results) else ExitCode.FAILED


def _result(definition: Definition, answer: Mapping[str, Any]) -> _Result:
    faults = [(str(each["path"]), str(each["message"])) for each in answer.get("fields", ())]
    detail = str(answer.get("detail") or "")
    return _Result(definition, answer, detail, findings(definition, faults))


def _tell(shell: Shell, result: _Result) -> None:
    file = clean(result.definition.file)
    if result.is_valid:
        steps = result.about["steps"]
        count = "1 step" if steps == 1 else f"{steps} steps"
        shell.out.write(f"{file}: {clean(str(result.about['id']))} is valid, {count}.")
        return
    for line in told(result.definition, result.found):
        shell.out.write(line)
    if not result.found or "more fault" in result.detail:
        shell.out.write(f"{file}: {clean(result.detail)}")


def _checked_here(texts: Sequence[str], launcher: str | None) -> list[dict[str, Any]]:
    """Have the service's own code look at definitions; it is never imported here."""
    options = () if launcher is None else ("--launcher", launcher)
    done = subprocess.run(  # noqa: S603  (made of constants, and of an option)
        [sys.executable, *_CHECKER, *options], input=json.dumps(texts), text=True,
        encoding="utf-8", capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers
    why = done.stderr.strip().rpartition("\n")[2].removeprefix("Error: ")
    raise Failure(clean(why) or "The definitions could not be checked.")


def _checked_there(shell: Shell, definition: Definition) -> dict[str, Any]:
    from slipway.errors import InvalidInput  # noqa: PLC0415  (it is loaded with the client)

    try:
        info = shell.client.check_definition(definition.text, media_type=definition.media_type)
    except InvalidInput as exc:
        if not exc.fields:
            raise
        fields = [{"path": fault.path, "message": fault.message} for fault in exc.fields]
        return {"detail": str(exc), "fields": fields}
    return {"id": info.id, "name": info.name, "steps": definition.steps}
