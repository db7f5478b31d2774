"""What shells complete at TAB: the scripts that they load, and the answers that these ask for.

A script holds no word and asks no service, so a shell loads it at once. At TAB it runs ``slipway``
with :data:`VARIABLE` set, which says nothing on standard error whatever happens.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from slipway.cli import group

VARIABLE: Final = "_SLIPWAY_COMPLETE"
"""Its value is ``<shell>_complete``."""
_BASH_BREAKS: Final = ":="
"""Characters at which bash begins another word, though it is the same to us."""

_BASH: Final = r"""_slipway_completion() {
    local IFS=$'\n' response item
    COMPREPLY=()
    response=$(COMP_LINE=$COMP_LINE COMP_POINT=$COMP_POINT \
        _SLIPWAY_COMPLETE=bash_complete "$1" 2>/dev/null)
    for item in $response; do
        case $item in
            file,*) type compopt >/dev/null 2>&1 && compopt -o default ;;
            dir,*) type compopt >/dev/null 2>&1 && compopt -o dirnames ;;
            *[=:]) type compopt >/dev/null 2>&1 && compopt -o nospace
                   COMPREPLY+=("${item#*,}") ;;
            *) COMPREPLY+=("${item#*,}") ;;
        esac
    done
}
if ((BASH_VERSINFO[0] > 4 || (BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4))); then
    complete -o nosort -F _slipway_completion slipway
else
    complete -F _slipway_completion slipway
fi
"""
_FISH: Final = """\
function _slipway_completion
    set -l response (env _SLIPWAY_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) \
COMP_CWORD=(commandline -t) slipway 2>/dev/null)
    for item in $response
        set -l parts (string split -m 1 ',' -- $item)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case '*'
                echo $parts[2]
        end
    end
end
complete --no-files --command slipway --arguments '(_slipway_completion)'
"""


class _Bash(BashComplete):
    """Reads the whole line: bash breaks words at ``:`` and ``=``, which stand in ids and inputs."""

    source_template = _BASH

    def source(self) -> str:
        return self.source_template

    def get_completion_args(self) -> tuple[list[str], str]:
        return _split(os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])])

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        items = super().get_completions(list(args), incomplete)
        broken_at = max(incomplete.rfind(character) for character in _BASH_BREAKS) + 1
        for item in items:
            if item.value.startswith(incomplete[:broken_at]):
                item.value = item.value[broken_at:]
        return items


class _Zsh(ZshComplete):
    def source(self) -> str:
        return (
            super()
            .source()
            .replace(
                f"{VARIABLE}=zsh_complete slipway)", f"{VARIABLE}=zsh_complete slipway 2>/dev/null)"
            )
        )


class _Fish(FishComplete):
    source_template = _FISH

    def source(self) -> str:
        return self.source_template


_SHELLS: Final[Mapping[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}
SHELLS: Final = tuple(_SHELLS)


def script(shell: str) -> str:
    """Return what a shell is to load; one of :data:`SHELLS`."""
    return _of(shell).source()


def answer(instruction: str) -> int:
    """Print what a shell may complete, and return the exit code of the process.

    Args:
        instruction: The value of :data:`VARIABLE`.
    """
    shell, _, verb = instruction.partition("_")
    if shell not in _SHELLS or verb != "complete":
        return 1
    text = ""
    # A fault would write into the line that somebody types.
    with suppress(Exception):
        text = _of(shell).complete()
    with suppress(OSError):
        sys.stdout.write(f"{text}\n" if text else "")
        sys.stdout.flush()
    return 0


def starting_with(incomplete: str, words: Sequence[tuple[str, str]]) -> list[CompletionItem[str]]:
    """Return those words, each with its explanation, that begin as what is typed does."""
    return [
        CompletionItem(word, help=text or None)
        for word, text in words
        if word.startswith(incomplete)
    ]


def _of(shell: str) -> ShellComplete:
    return _SHELLS[shell](group.root(), {}, "slipway", VARIABLE)


def _split(line: str) -> tuple[list[str], str]:
    """Return the words before the one that is typed, and that one; without the program."""
    words = split_arg_string(line)
    if not line or line[-1].isspace():
        words.append("")
    return words[1:-1], words[-1]
