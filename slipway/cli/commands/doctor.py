"""``slipway doctor``: what is wrong on the way to the service."""

from __future__ import annotations

import textwrap

from slipway.cli.checkup import Finding, examine
from slipway.cli.codes import ExitCode
from slipway.cli.options import command as of_table
from slipway.cli.output import clean
from slipway.cli.shell import Shell

_WORDS = {True: "ok", False: "bad", None: "-"}
_STYLES = {True: "green", False: "red", None: "grey"}
_HANGING = " " * 5
"""Below the first column."""


@of_table("doctor")
def command(shell: Shell) -> int:
    """Check the way to the service, one line for each thing, with what mends it.

    It looks at the address, TLS, the clock, the login, what you may do, how long what is streamed
    takes to arrive, and at the clusters where workflows run. It ends with 1 where something is not
    well.
    """
    findings = []
    for finding in examine(shell):
        findings.append(finding)
        if not shell.out.for_programs and shell.out.format != "name":
            shell.out.write("\n".join(_lines(shell, finding)))
    if shell.out.for_programs:
        shell.out.value([finding._asdict() for finding in findings])
    elif shell.out.format == "name":
        for finding in findings:
            if finding.ok is False:
                shell.out.write(finding.check)
    return ExitCode.FAILED if any(each.ok is False for each in findings) else ExitCode.SUCCESS


def _lines(shell: Shell, finding: Finding) -> list[str]:
    """Write one line; on a terminal that is too narrow, the fix stands below."""
    word = f"{_WORDS[finding.ok]:<3}"
    head = f"{finding.check:<7}  "
    fix = f"Fix: {finding.fix}" if finding.fix else ""
    stop = "" if finding.detail.endswith((".", "?", "!")) else "."
    text = clean(f"{finding.detail}{stop} {fix}" if fix else finding.detail)
    width = shell.out.width
    lines = [head + text]
    if width is not None and len(_HANGING) + len(lines[0]) > width:
        room = max(width - len(_HANGING), len(head) + 1)
        lines = textwrap.wrap(head + clean(finding.detail), room)
        lines += textwrap.wrap(clean(fix), room)
    first, *rest = lines
    return [
        f"{shell.out.styled(word, _STYLES[finding.ok])}  {first}",
        *(f"{_HANGING}{line}" for line in rest),
    ]
