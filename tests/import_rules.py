"""Rules for import-linter that need no list of what they hold apart."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class ApartContract(Contract):
    """The parts of a package know what they share, and neither each other nor the other way round.

    What begins with an underscore is shared; every other module or package is a part.

    Options:
        parent: The package.
    """

    type_name = "apart"

    parent = fields.ModuleField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        parent = self.parent.name
        broken = [
            (importer, imported)
            for child in sorted(graph.find_children(parent))
            for importer in sorted({child} | graph.find_descendants(child))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if (part := self._part(imported)) is not None and part != child
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["broken"]:
            output.print_error(f"{importer} must not import {imported}")

    def _part(self, module: str) -> str | None:
        """Return the part that a module belongs to; None if it is shared, or elsewhere."""
        parent = f"{self.parent.name}."
        if not module.startswith(parent):
            return None
        name = module.removeprefix(parent).partition(".")[0]
        return None if name.startswith("_") else parent + name


class NamedContract(Contract):
    """What registries name as ``package.module:Class`` knows nothing else that they name.

    A new line in a registry comes under the rule by itself. A package that is named is held with
    all that is in it.

    Options:
        registries: Modules with tables of dotted names.
        ignore_imports: Pairs ``importer -> imported`` that are meant.
    """

    type_name = "named"

    registries = fields.SetField(subfield=fields.ModuleField())
    ignore_imports = fields.SetField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        broken = [
            (importer, imported)
            for registry in sorted(self.registries, key=lambda module: module.name)
            for importer, imported in between(graph, named_modules(registry.name))
            if f"{importer} -> {imported}" not in (self.ignore_imports or ())
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["broken"]:
            output.print_error(f"{importer} must not import {imported}")


def named_modules(registry: str) -> list[str]:
    """Return the modules that the texts of a registry name, which is not imported for it."""
    spec = find_spec(registry)
    assert spec is not None
    assert spec.origin is not None
    texts = (
        node.value
        for node in ast.walk(ast.parse(Path(spec.origin).read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    named = (text.partition(":") for text in texts if text.startswith("app."))
    return sorted({module for module, colon, name in named if colon and name.isidentifier()})


def between(graph: ImportGraph, named: list[str]) -> list[tuple[str, str]]:
    """Return the imports by which one of some parts knows another."""
    owners = {module: part for part in named for module in {part} | graph.find_descendants(part)}
    return [
        (importer, imported)
        for importer, part in sorted(owners.items())
        for imported in sorted(graph.find_modules_directly_imported_by(importer))
        if owners.get(imported, part) != part
    ]
