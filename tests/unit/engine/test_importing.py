import json

import pytest
from definitions_kit import DefinitionStore, source

from app.engine.importing import DefinitionImporter
from app.errors import Conflict, InvalidDefinition
from app.store.uploads import UploadedDefinitions


@pytest.fixture
def store(tmp_path):
    made = DefinitionStore(tmp_path)
    yield made
    made.database.dispose()


@pytest.fixture
def uploads(store):
    return UploadedDefinitions(store.database)


@pytest.fixture
def importer(store, uploads):
    return DefinitionImporter(store.compiler(), uploads)


def write(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_file_becomes_an_upload(importer, uploads, tmp_path):
    text = "# \N{SNOWMAN}\n" + json.dumps(source())
    file = write(tmp_path, "any.yaml", text)
    assert importer.take(file, "dev") == "w"
    assert (uploads.get("w").uploaded_by, uploads.text("w")) == ("dev", text)
    assert not file.exists()


@pytest.mark.parametrize(
    ("text", "error"),
    [("id: w", InvalidDefinition), ("nonsense: [", InvalidDefinition), ("", InvalidDefinition)],
)
def test_one_with_faults_stays(importer, uploads, tmp_path, text, error):
    file = write(tmp_path, "w.yaml", text)
    with pytest.raises(error):
        importer.take(file, "dev")
    assert file.read_text(encoding="utf-8") == text
    assert uploads.all() == ()


def test_one_that_was_uploaded_already_stays(importer, uploads, tmp_path):
    importer.take(write(tmp_path, "a.yaml", json.dumps(source(name="first"))), "dev")
    file = write(tmp_path, "b.yaml", json.dumps(source(name="second")))
    with pytest.raises(Conflict, match="There is a workflow 'w' already"):
        importer.take(file, "ada")
    assert file.exists()
    assert uploads.get("w").summary["name"] == "first"


def test_what_cannot_be_read_is_told(importer, tmp_path):
    with pytest.raises(FileNotFoundError):
        importer.take(tmp_path / "none.yaml", "dev")
