import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.engine.catalogue import Catalogue
from app.engine.definition import load
from app.errors import Conflict, NotFound

STEP = {"id": "a", "type": "script", "config": {"script": "echo 'a: b'\ntrue\n"}}


def source(workflow_id="w", **changes):
    return {"id": workflow_id, "steps": [STEP]} | changes


def put(folder, name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")


def names(folder):
    return [path.name for path in folder.iterdir()]


def age(path):
    """Make a file older than any tick of its file system's clock."""
    then = time.time() - 3600
    os.utime(path, (then, then))


@pytest.fixture
def catalogue(tmp_path):
    return Catalogue(tmp_path)


def test_a_missing_folder_is_empty(tmp_path):
    catalogue = Catalogue(tmp_path / "missing")
    assert catalogue.all() == []
    assert catalogue.faults() == {}
    with pytest.raises(NotFound):
        catalogue.get("w")


def test_offers_every_definition_by_id(catalogue, tmp_path):
    put(tmp_path, "x.json", source("c"))
    put(tmp_path, "y.yaml", source("a"))
    put(tmp_path, "z.yml", source("b"))
    put(tmp_path, "notes.txt", "no definition")
    put(tmp_path, ".hidden.yaml", "no definition")
    (tmp_path / "folder.yaml").mkdir()
    assert [definition.id for definition in catalogue.all()] == ["a", "b", "c"]
    assert catalogue.get("b") == load(source("b"))
    assert catalogue.faults() == {}


def test_a_faulty_file_hides_no_other(catalogue, tmp_path):
    put(tmp_path, "a.yaml", "id: a\nsteps: [")
    put(tmp_path, "b.yaml", source("b"))
    assert [definition.id for definition in catalogue.all()] == ["b"]
    (field,) = catalogue.faults()["a.yaml"].fields
    assert "(line 2)" in field.message


def test_of_two_files_with_one_id_the_first_by_name_counts(catalogue, tmp_path):
    put(tmp_path, "b.yaml", source("w", name="second"))
    put(tmp_path, "a.yaml", source("w", name="first"))
    assert catalogue.get("w").name == "first"
    (field,) = catalogue.faults()["b.yaml"].fields
    assert (field.path, field.message) == ("id", "is the id of 'a.yaml' too")


def test_edited_files_are_picked_up(catalogue, tmp_path):
    for name in "abcdefgh":  # of the same size, and as fast as can be
        put(tmp_path, "w.yaml", source(name=name))
        assert catalogue.get("w").name == name
    (tmp_path / "w.yaml").unlink()
    assert catalogue.all() == []


def test_a_file_that_rests_is_read_once(catalogue, tmp_path):
    put(tmp_path, "w.yaml", source())
    age(tmp_path / "w.yaml")
    assert catalogue.get("w") is catalogue.get("w")


def test_saves_yaml_for_people(catalogue, tmp_path):
    definition = load(source())
    catalogue.save(definition)
    assert catalogue.get("w") == definition
    text = (tmp_path / "w.yaml").read_text(encoding="utf-8")
    assert "      script: |\n        echo 'a: b'\n        true\n" in text
    assert stat.S_IMODE((tmp_path / "w.yaml").stat().st_mode) == 0o600
    assert names(tmp_path) == ["w.yaml"]


def test_saves_into_a_folder_that_it_makes(tmp_path):
    catalogue = Catalogue(tmp_path / "new" / "folder")
    catalogue.save(load(source()))
    assert catalogue.get("w").id == "w"


@pytest.mark.parametrize("name", ["w.json", "w.yml", "other.yaml"])
def test_saving_replaces_the_file_that_held_the_id(catalogue, tmp_path, name):
    put(tmp_path, name, source(name="old"))
    catalogue.save(load(source(name="new")))
    assert names(tmp_path) == ["w.yaml"]
    assert catalogue.get("w").name == "new"


def test_saving_repairs_a_faulty_file(catalogue, tmp_path):
    put(tmp_path, "w.yaml", "nonsense")
    catalogue.save(load(source()))
    assert catalogue.faults() == {}


def test_saving_spares_another_workflow(catalogue, tmp_path):
    put(tmp_path, "w.yaml", source("other"))
    with pytest.raises(Conflict, match="holds the workflow 'other'"):
        catalogue.save(load(source()))
    assert catalogue.get("other").id == "other"


def test_removes_all_that_holds_the_id(catalogue, tmp_path):
    put(tmp_path, "a.yaml", source())
    put(tmp_path, "b.yaml", source())
    catalogue.remove("w")
    assert names(tmp_path) == []
    with pytest.raises(NotFound):
        catalogue.remove("w")


def test_readers_see_the_old_or_the_new_and_never_less(catalogue, tmp_path):
    catalogue.save(load(source(name="0")))

    def read(_):
        return catalogue.get("w").name

    with ThreadPoolExecutor() as pool:
        seen = pool.map(read, range(200))
        for number in range(1, 20):
            Catalogue(tmp_path).save(load(source(name=str(number))))
        assert set(seen) <= {str(number) for number in range(20)}
