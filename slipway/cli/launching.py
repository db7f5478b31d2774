"""Launching a workflow with what was typed: all faults are said at once, before anything begins."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.executions import result_code
from slipway.cli.follow import await_end, goes_on, say_end
from slipway.cli.follow import follow as follow_log
from slipway.cli.given_files import Plain
from slipway.cli.inputs import Fault, Written, check, explained, read_given, value_of
from slipway.cli.output import clean
from slipway.cli.pairs import pair
from slipway.cli.views import short
from slipway.errors import InvalidInput

if TYPE_CHECKING:
    from slipway import Execution, Workflow
    from slipway.cli.shell import Shell
    from slipway.models import Input


class Asked(NamedTuple):
    """What was given for a launch.

    Attributes:
        given: Inputs by name, as they were written.
        name: What the execution is called.
        labels: What is written on it.
    """

    given: Mapping[str, Written]
    name: str | None = None
    labels: Mapping[str, str] | None = None


def input_options(function: Any) -> Any:
    """Add the options by which inputs are given."""
    function = click.option(
        "--inputs",
        "inputs_file",
        metavar="FILE",
        help="Read inputs from a file with YAML or JSON; - is standard input, and -i wins.",
    )(function)
    return click.option(
        "-i", "--input", "pairs", metavar="NAME=VALUE", multiple=True,
        help="An input; NAME=@FILE takes the text of a file, lists and objects are JSON.",
    )(function)  # fmt: skip


def label_options(function: Any) -> Any:
    """Add the options by which an execution is named."""
    function = click.option(
        "--label",
        "labels",
        metavar="KEY=VALUE",
        multiple=True,
        help="Write a label on it, by which it is found; as often as you like.",
    )(function)
    return click.option(
        "--name", "called", metavar="NAME", help="Call it so, beside its id."
    )(function)  # fmt: skip


def asked(
    pairs: Sequence[str], inputs_file: str | None, called: str | None = None,
    labels: Sequence[str] = (),
) -> Asked:  # fmt: skip
    """Read what was given for a launch.

    Raises:
        Failure: Something of it cannot be read.
    """
    written = dict(pair(text, "--label", "label") for text in labels)
    return Asked(read_given(pairs, inputs_file), called, written or None)


def launch(
    shell: Shell,
    workflow: Workflow,
    wanted: Asked,
    base: Mapping[str, Any] | None = None,
    *,
    described_in: str | None = None,
) -> Execution:
    """Launch a workflow once, however often the service has to be asked.

    Args:
        shell: Where somebody may be asked for what is missing.
        workflow: What is launched.
        wanted: What was given for it.
        base: Inputs of an earlier launch, where no others are given.
        described_in: Where its inputs are to be read; at the service unless given.

    Raises:
        Failure: The inputs are not what it takes; nothing was launched.
        SlipwayError: The service refuses otherwise, or cannot be reached.
    """
    checked = check(workflow.inputs, wanted.given, base)
    where = described_in or f"slipway show {workflow.id}"
    missing = [Fault(each.name, f"is missing: {explained(each)}") for each in checked.missing]
    if checked.faults or (missing and not shell.interactive):
        raise _not_started(workflow, [*checked.faults, *missing], where)
    values = {**checked.values, **_answers(shell, workflow, checked.missing)}
    try:
        return workflow.run(values, name=wanted.name, labels=wanted.labels)
    except InvalidInput as exc:
        if not exc.fields:
            raise
        faults = [Fault(each.path.removeprefix("inputs."), each.message) for each in exc.fields]
        raise _not_started(workflow, faults, where) from None
    except KeyboardInterrupt:
        shell.say(f"{clean(workflow.name)} may have been started. See: slipway ps")
        raise


def _not_started(workflow: Workflow, faults: Sequence[Fault], where: str) -> Failure:
    lines = [f"{clean(fault.name)}: {clean(fault.message)}" for fault in faults]
    return Failure(
        f"{clean(workflow.name)} was not started (its inputs: {clean(where)}).",
        hint="\n  ".join(lines),
    )


def _answers(shell: Shell, workflow: Workflow, missing: Sequence[Input]) -> dict[str, Any]:
    """Ask for inputs until each is one that the workflow takes."""
    values = {}
    if missing:
        shell.say(f"{clean(workflow.name)} needs {len(missing)} more. Ctrl-C starts nothing.")
    for each in missing:
        if each.description:
            shell.say(f"  {clean(each.description)}")
        question = f"{clean(each.name)} ({clean(explained(each))})"
        while each.name not in values:
            text = shell.ask(question, option=f"-i {clean(each.name)}=VALUE")
            try:
                values[each.name] = value_of(each, _typed(text))
            except ValueError as exc:
                shell.say(f"  {clean(str(exc))}")
    return values


def _typed(text: str) -> Plain:
    if not text:
        raise ValueError("a value is needed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the value is not UTF-8") from None
    return Plain(text)


def watch_options(function: Any) -> Any:
    """Add the options that say what is done once it is launched: ``follow`` and ``wait``."""

    @wraps(function)
    def watching(*args: Any, detach: bool, follow: bool, wait: bool, **given: Any) -> Any:
        if detach and (follow or wait):
            raise Failure("--detach goes neither with --follow nor with --wait.")
        return function(*args, follow=follow, wait=wait, **given)

    watched = click.option(
        "--detach", is_flag=True, help="Print the id and come back at once; it is so by default."
    )(watching)
    watched = click.option(
        "--wait", is_flag=True, help="Come back when it is over, with its result."
    )(watched)
    return click.option(
        "-f", "--follow", is_flag=True, help="Print its log until it is over."
    )(watched)  # fmt: skip


def see_through(
    shell: Shell, workflow_name: str, execution: Execution, *, follow: bool, wait: bool
) -> int:
    """Watch what was launched if that was asked for, and print its id if not.

    Returns:
        What the command ends with: the result, if it was waited for.

    Raises:
        SlipwayError: The service cannot be reached for long.
        KeyboardInterrupt: Somebody has seen enough; it goes on.
    """
    if not follow and not wait:
        _tell_launched(shell, workflow_name, execution)
        return ExitCode.SUCCESS
    if not follow and not shell.out.for_programs and shell.out.width is None:
        _tell_launched(shell, workflow_name, execution)
        sys.stdout.flush()  # whoever reads it may do something with it meanwhile
    shell.say(f"{short(execution.id)} {clean(workflow_name)} started. Ctrl-C leaves it running.")
    with goes_on(shell, [execution.id]):
        if follow:
            follow_log(shell, execution)
        else:
            [ended] = await_end(shell, [execution])
            if isinstance(ended, Exception):
                raise ended
    if not follow and shell.out.for_programs:
        shell.out.value(execution.seen.raw)
    say_end(shell, execution)
    return result_code([execution.seen])


def _tell_launched(shell: Shell, workflow_name: str, execution: Execution) -> None:
    out, id_ = shell.out, short(execution.id)
    if out.for_programs:
        out.value(execution.seen.raw)
    elif out.format == "name" or out.width is None:
        out.write(clean(execution.id))
    else:
        out.write(f"{id_} {clean(workflow_name)} started. Follow it: slipway logs {id_} -f")
