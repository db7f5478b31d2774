"""Mutants of functions, as the operators of mutmut make them: found, and drawn by lot."""

from __future__ import annotations

import ast
import difflib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import cast

import libcst
from kit.mutants.covering import ROOT
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

_OPTIMIZED = 0x1
"""Flag of the code of functions, which that of modules and classes has not (``inspect``)."""

_FUNCTIONS = (libcst.FunctionDef, libcst.Lambda)


@dataclass(frozen=True)
class Mutant:
    """A file with one change.

    Attributes:
        number: Of the mutants that were drawn.
        file: Path from the project's folder.
        lines: First and last line of the statement that it changes.
        code: The whole file.
    """

    number: int
    file: str
    lines: tuple[int, int]
    code: str

    @property
    def change(self) -> str:
        """The lines that differ, as a diff has them."""
        before = (ROOT / self.file).read_text(encoding="utf-8").splitlines()
        diff = difflib.unified_diff(before, self.code.splitlines(), n=0, lineterm="")
        return "\n".join(line for line in list(diff)[2:] if not line.startswith("@@"))


@dataclass(frozen=True)
class _Found:
    line: int
    before: libcst.CSTNode
    after: libcst.CSTNode


class _Finder(libcst.CSTVisitor):
    """Finds what the operators make of each node, and where."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Found] = []
        self._line = 1
        self._functions = 0

    def on_visit(self, node: libcst.CSTNode) -> bool:
        position = self.get_metadata(PositionProvider, node, None)
        if position is not None:
            self._line = cast(libcst.metadata.CodeRange, position).start.line
        self._functions += isinstance(node, _FUNCTIONS)
        for type_, operator in mutation_operators if self._functions else ():
            if isinstance(node, type_):
                self.found += (_Found(self._line, node, after) for after in operator(node))
        return not isinstance(node, libcst.Annotation)

    def on_leave(self, original_node: libcst.CSTNode) -> None:
        self._functions -= isinstance(original_node, _FUNCTIONS)


class _File:
    """What can be made of a file."""

    def __init__(self, path: Path) -> None:
        self.name = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        wrapper = MetadataWrapper(libcst.parse_module(text))
        finder = _Finder()
        wrapper.visit(finder)
        self._module = wrapper.module
        self._statements = sorted(
            _own_lines(ast.parse(text)), key=lambda lines: lines[1] - lines[0]
        )
        self._original = compile(text, self.name, "exec")
        self.found = finder.found

    def mutant(self, found: _Found) -> Mutant | None:
        """Make a mutant; None where no function's code differs, only that of the module."""
        code = cast(libcst.Module, self._module.deep_replace(found.before, found.after)).code
        try:
            mutated = compile(code, self.name, "exec")
        except SyntaxError:
            return None
        if not list(changed_functions(self._original, mutated)):
            return None
        around = (each for each in self._statements if each[0] <= found.line <= each[1])
        return Mutant(0, self.name, next(around, (found.line, found.line)), code)


def _own_lines(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """The lines of each statement, of compound ones those of their heads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = max(node.lineno, body[0].lineno - 1) if body else cast(int, node.end_lineno)
            yield node.lineno, end
        elif isinstance(node, ast.ExceptHandler):
            yield node.lineno, max(node.lineno, node.body[0].lineno - 1)
        elif isinstance(node, ast.match_case):
            yield node.pattern.lineno, node.body[0].lineno


def draw(package: str, number: int, seed: int) -> list[Mutant]:
    """Draw mutants of a package by lot, of each file in proportion to how many it has.

    Args:
        package: Its folder.
        number: How many.
        seed: The same seed draws the same ones from the same files.
    """
    lot = random.Random(seed)
    files = [_File(path) for path in sorted((ROOT / package).glob("*.py"))]
    drawn: list[Mutant] = []
    for file, share in zip(files, _shares([len(f.found) for f in files], number), strict=True):
        order = lot.sample(file.found, len(file.found))
        made = (mutant for found in order if (mutant := file.mutant(found)) is not None)
        drawn += (mutant for mutant, _ in zip(made, range(share), strict=False))
    return [Mutant(place, each.file, each.lines, each.code) for place, each in enumerate(drawn, 1)]


def _shares(sizes: Sequence[int], number: int) -> list[int]:
    """Share a number out in proportion, with what is left over to the largest remainders."""
    whole = sum(sizes)
    shares = [size * number // whole for size in sizes]
    by_rest = sorted(range(len(sizes)), key=lambda at: -(sizes[at] * number % whole))
    for at in by_rest[: number - sum(shares)]:
        shares[at] += 1
    return shares


def changed_functions(before: CodeType, after: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Find the outermost functions of two versions of a module whose code differs."""
    if before == after:
        return
    if before.co_flags & _OPTIMIZED:
        yield before, after
        return
    inner, others = _inner(before), _inner(after)
    if len(inner) == len(others):  # otherwise the module itself differs
        for one, other in zip(inner, others, strict=True):
            yield from changed_functions(one, other)


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]
