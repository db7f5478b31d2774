"""A rule for import-linter that needs no list of what it holds apart."""

from __future__ import annotations

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
