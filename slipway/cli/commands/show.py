"""``slipway show``: what a workflow takes, does and gives, and the line that runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Final

import click

from slipway.cli.inputs import argument, explained, kind_of
from slipway.cli.options import command as of_table
from slipway.cli.output import Output, cell_width, clean
from slipway.cli.shell import Shell
from slipway.cli.step_tree import tree_of
from slipway.cli.workflow_names import described, orchestrator_option

if TYPE_CHECKING:
    from slipway import Workflow
    from slipway.models import Input, Step

_MARGIN: Final = 9
"""Columns of the words at the left."""
_MOST_STEPS: Final = 200
"""In the drawing."""
_WIDEST: Final = 10_000
_LONGEST_ARGUMENT: Final = 40
"""Of a default in the line that runs the workflow; longer ones are left out."""
_ASCII: Final = str.maketrans("├└│─", "|`|-")


@of_table("show")
@click.argument("name")
@orchestrator_option
def command(shell: Shell, name: str, orchestrator: str | None) -> None:
    """Explain the workflow NAME: its inputs, its steps as a tree, and how to run it."""
    workflow = described(shell.client, name, orchestrator)
    shell.out.record(
        workflow.info.raw,
        name=workflow.id,
        text=lambda: "\n".join(_lines(workflow, shell.out, orchestrator)),
    )


def _lines(workflow: Workflow, out: Output, orchestrator: str | None) -> Iterator[str]:
    about = f": {clean(workflow.description)}" if workflow.description else ""
    yield f"{out.styled(clean(workflow.name), 'bold')}{about}"
    yield from _titled("Inputs", [*_inputs(workflow.inputs, out)] or ["none"], out)
    yield from _titled("Steps", _steps(workflow.steps, out), out)
    names = ", ".join(clean(output.name) for output in workflow.outputs)
    yield from _titled("Outputs", [names or "none"], out)
    yield from _titled("Run it", [run_line(workflow, orchestrator)], out)


def _titled(title: str, lines: Sequence[str], out: Output) -> Iterator[str]:
    for number, line in enumerate(lines):
        margin = "" if number else out.styled(title, "bold")
        yield f"{margin}{' ' * (_MARGIN if number else _MARGIN - len(title))}{line}".rstrip()


def _inputs(inputs: Sequence[Input], out: Output) -> Iterator[str]:
    widest = max((cell_width(clean(each.name)) for each in inputs), default=0)
    for each in inputs:
        name, what, about = clean(each.name), clean(explained(each)), clean(each.description)
        space = " " * (widest - cell_width(name))
        line = f"{out.styled(name, 'cyan')}{space}  {what}"
        width = _MARGIN + widest + 2 + cell_width(f"{what}  {about}")
        if out.width is None or width <= out.width or not about:
            yield f"{line}  {about}".rstrip()
        else:
            yield line
            yield f"{' ' * (widest + 2)}{about}"


def _steps(steps: Sequence[Step], out: Output) -> list[str]:
    """Draw the steps: as trees, one below the other."""
    from rich.console import Console  # noqa: PLC0415  (for the trees only)
    from rich.text import Text  # noqa: PLC0415
    from rich.tree import Tree  # noqa: PLC0415

    # Lines are not cut, nor wrapped: a terminal does that, and a pipe wants all of them.
    console = Console(width=_WIDEST, color_system=None, legacy_windows=False, _environ={})
    lines: list[str] = []
    for branch in tree_of(steps[:_MOST_STEPS]):
        tree = Tree(Text(branch.text, no_wrap=True))
        waiting = [(tree, branch)]
        while waiting:
            node, drawn = waiting.pop()
            waiting += [(node.add(Text(each.text, no_wrap=True)), each) for each in drawn.below]
        with console.capture() as captured:
            console.print(tree)
        lines += [line.rstrip() for line in captured.get().splitlines()]
    more = len(steps) - _MOST_STEPS
    lines += [f"+{more} more"] * (more > 0)
    return lines if out.unicode else [line.translate(_ASCII) for line in lines]


def run_line(workflow: Workflow, orchestrator: str | None = None) -> str:
    """Return what to type to run a workflow, with what must be given and some of what may be."""
    words = [word for each in workflow.inputs if (word := _argument(each))]
    if orchestrator is not None:
        words.append(f"--orchestrator {quote(clean(orchestrator))}")
    return " ".join(["slipway run", quote(clean(workflow.id)), *words, "-f"])


def _argument(each: Input) -> str:
    if each.has_default:
        word = argument(each.name, each.default)
        typed = len(word) <= _LONGEST_ARGUMENT and "=@" not in word and word.isprintable()
        return word if typed else ""
    if not each.required:
        return ""
    if each.allowed_values:
        return argument(each.name, each.allowed_values[0])
    return f"-i {clean(each.name)}={kind_of(each).upper()}"
