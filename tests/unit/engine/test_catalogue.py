import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from definitions_kit import DefinitionStore, source

from app.errors import Conflict, NotFound
from app.store.uploads import Quota, UploadedDefinitions


@pytest.fixture
def store(tmp_path):
    made = DefinitionStore(tmp_path)
    yield made
    made.database.dispose()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "workflows"
    made.mkdir()
    return made


@pytest.fixture
def catalogue(store, folder):
    return store.catalogue(folder)


def add(catalogue, document, username="dev", *, replace=True):
    text = json.dumps(document)
    compiled = catalogue._folder._compiler.compile(text.encode())
    return catalogue.add(compiled, text, username, replace=replace)[1]


def put(folder, document, name="w.yaml"):
    (folder / name).write_text(json.dumps(document), encoding="utf-8")


def offered(catalogue):
    return {compiled.id: compiled.name for compiled in catalogue.all()}


def test_an_upload_is_offered_and_writes_no_file(catalogue, folder):
    assert add(catalogue, source(name="mine"))
    assert offered(catalogue) == {"w": "mine"}
    assert catalogue.get("w").name == "mine"
    assert list(folder.iterdir()) == []


def test_it_says_the_same_as_a_file_of_its_text(catalogue, store, folder):
    add(catalogue, source(description="x"))
    uploaded = catalogue.get("w")
    put(folder, source(description="x"))
    assert store.folder(folder).find("w") == uploaded


def test_every_machine_offers_it_at_once_whatever_its_folder_holds(catalogue, store, tmp_path):
    (tmp_path / "other").mkdir()
    other = store.catalogue(tmp_path / "other")
    assert offered(other) == {}
    add(catalogue, source(name="first"))
    assert offered(other) == {"w": "first"}
    add(other, source(name="second"))
    assert catalogue.get("w").name == "second"
    catalogue.remove("w")
    assert offered(other) == {}
    with pytest.raises(NotFound, match="There is no workflow 'w'"):
        other.get("w")


def test_who_uploaded_it_is_kept_and_its_text_as_it_was(catalogue, store):
    add(catalogue, source(), "ada")
    add(catalogue, source(name="again"), "dev")
    uploads = UploadedDefinitions(store.database)
    (upload,) = uploads.all()
    assert upload == uploads.get("w")
    assert (upload.workflow_id, upload.uploaded_by) == ("w", "dev")
    assert uploads.text("w") == json.dumps(source(name="again"))
    assert uploads.text("none") is None


def test_what_is_new_is_told(catalogue, folder):
    assert add(catalogue, source()) is True
    assert add(catalogue, source(name="again")) is False
    put(folder, source("file"))
    assert add(catalogue, source("file")) is False


@pytest.mark.parametrize("held_by", ["upload", "file"])
def test_one_that_is_to_be_new_takes_nobodys_place(catalogue, folder, held_by):
    if held_by == "upload":
        add(catalogue, source(name="first"))
    else:
        put(folder, source(name="first"))
    with pytest.raises(Conflict, match="There is a workflow 'w' already"):
        add(catalogue, source(name="second"), replace=False)
    assert offered(catalogue) == {"w": "first"}


class TestAFileOfTheSameId:
    def test_gives_way_and_is_listed_with_that(self, catalogue, folder):
        put(folder, source(name="by hand"))
        put(folder, source("other"), "other.yaml")
        add(catalogue, source(name="uploaded"))
        assert offered(catalogue) == {"w": "uploaded", "other": "other"}
        (fault,) = catalogue.faults()
        assert (fault.name, fault.id, fault.offered) == ("w.yaml", "w", False)
        assert fault.error.fields[0].message == "is the id of an uploaded definition too"

    def test_is_offered_again_when_the_upload_is_removed(self, catalogue, folder):
        put(folder, source(name="by hand"))
        add(catalogue, source(name="uploaded"))
        catalogue.remove("w")
        assert offered(catalogue) == {"w": "by hand"}
        assert catalogue.faults() == []

    def test_is_for_an_operator_to_remove(self, catalogue, folder):
        put(folder, source())
        put(folder, source(), "x.yaml")
        with pytest.raises(Conflict, match=r"was not uploaded: .* \(w.yaml, x.yaml\)"):
            catalogue.remove("w")
        assert offered(catalogue) == {"w": "w"}

    def test_may_be_faulty(self, catalogue, folder):
        put(folder, source(name="good"))
        assert offered(catalogue) == {"w": "good"}
        (folder / "w.yaml").write_text("nonsense")
        assert catalogue.get("w").stale
        add(catalogue, source(name="uploaded"))
        assert (catalogue.get("w").name, catalogue.get("w").stale) == ("uploaded", False)
        assert [fault.offered for fault in catalogue.faults()] == [False]


def test_a_user_may_have_uploaded_so_much(store, folder):
    catalogue = store.catalogue(folder, Quota(1, 10**6))
    add(catalogue, source("a"))
    with pytest.raises(Conflict, match="1 is the most"):
        add(catalogue, source("b"))
    put(folder, source("b"))
    assert offered(catalogue) == {"a": "a", "b": "b"}


def test_what_is_nowhere_is_not_found(catalogue):
    for ask in (catalogue.get, catalogue.remove):
        with pytest.raises(NotFound):
            ask("w")


def test_readers_see_the_old_or_the_new_and_never_less(catalogue, store, folder):
    add(catalogue, source(name="0"))

    def read(_):
        return catalogue.get("w").name

    with ThreadPoolExecutor() as pool:
        seen = pool.map(read, range(200))
        for number in range(1, 20):
            add(store.catalogue(folder), source(name=str(number)))
        assert set(seen) <= {str(number) for number in range(20)}
