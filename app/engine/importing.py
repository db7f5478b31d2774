"""Moving definitions from files into the store."""

from __future__ import annotations

from pathlib import Path

from app.domain import DefinitionSource
from app.engine.catalogue import as_upload
from app.engine.compiled import Compiler, Faulty
from app.engine.folder import media_type, read_definition
from app.store.uploads import UploadedDefinitions


class DefinitionImporter:
    """Takes files for uploads.

    Args:
        compiler: Checks their content.
        uploads: Where they go.
    """

    def __init__(self, compiler: Compiler, uploads: UploadedDefinitions) -> None:
        self._compiler = compiler
        self._uploads = uploads

    def take(self, file: Path, username: str) -> str:
        """Store the definition in a file, and delete the file once the disk has it.

        Args:
            file: The file; it is on nobody's quota.
            username: Who is to count as uploader.

        Returns:
            The id of the workflow.

        Raises:
            InvalidDefinition: It has faults.
            Conflict: A workflow of this id was uploaded already, or too many were.
            OSError: It cannot be read; or it cannot be deleted, and is stored all the same.
        """
        text = read_definition(file)
        outcome = self._compiler.compile(text, username)
        if isinstance(outcome, Faulty):
            raise outcome.error
        upload = as_upload(outcome, username)
        source = DefinitionSource(text.decode(), media_type(file.name))
        self._uploads.put(upload, source, quota=None, replace=False)
        file.unlink()
        return outcome.id
