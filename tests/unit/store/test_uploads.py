import json
from dataclasses import replace

import pytest
from sqlalchemy import event, update
from store_kit import let_through

from app.domain import NewStandingWorkflow
from app.errors import Conflict, OfferedElsewhere
from app.store import uploads as module
from app.store.definitions import digest_of
from app.store.execution_rows import now
from app.store.load_definitions import LoadDefinitions, SubmittedDefinition
from app.store.schema import uploaded_definitions
from app.store.standing import StandingWorkflows, adding
from app.store.uploads import Quota, Upload, UploadedDefinitions

ROOM = Quota(100, 10**6)


@pytest.fixture
def uploads(database):
    return UploadedDefinitions(database)


def made(workflow_id="w", username="dev", **summary):
    words = {"id": workflow_id, "name": workflow_id, "description": "", "digest": "d"}
    return Upload(workflow_id, "key", words | summary, username, now())


def put(uploads, upload, document="text", quota=ROOM, **more):
    uploads.put(upload, document, quota, **more)


def test_they_are_kept_whole(uploads):
    upload = made(description="NUL \0 and \N{SNOWMAN}")
    put(uploads, upload, "id: w # \N{SNOWMAN}\n")
    put(uploads, made("a"))
    assert uploads.get("w") == upload
    assert uploads.text("w") == "id: w # \N{SNOWMAN}\n"
    assert [found.workflow_id for found in uploads.all()] == ["a", "w"]


def test_what_is_not_there_is_none(uploads):
    assert uploads.all() == ()
    assert uploads.get("w") is None
    assert uploads.text("w") is None
    assert uploads.remove("w") is False


def test_the_next_takes_the_place_of_the_last(uploads):
    put(uploads, made(name="first"))
    put(uploads, second := made(name="second", username="ada"), "longer")
    assert uploads.all() == (second,)
    assert uploads.get("w").uploaded_by == "ada"
    assert uploads.text("w") == "longer"
    assert uploads.remove("w") is True
    assert uploads.all() == ()


def test_a_new_one_takes_nobodys_place(uploads):
    put(uploads, first := made())
    with pytest.raises(Conflict, match="There is a workflow 'w' already"):
        put(uploads, made(name="second"), replace=False)
    assert uploads.all() == (first,)


def test_one_whose_answer_was_lost_may_be_sent_again(uploads):
    put(uploads, first := made(), replace=False)
    put(uploads, first, replace=False)
    assert uploads.all() == (first,)


def test_reading_them_is_one_statement(uploads, database):
    for name in "abc":
        put(uploads, made(name))
    reader, statements = UploadedDefinitions(database), []

    def note(*args):
        statements.append(args[2])

    event.listen(database._reader, "before_cursor_execute", note)
    try:
        for _ in range(3):
            del statements[:]
            assert len(reader.all()) == 3
            assert len(statements) == 1
            del statements[:]
            assert reader.get("b") is not None
            assert len(statements) == 1
    finally:
        event.remove(database._reader, "before_cursor_execute", note)


class TestRoom:
    def test_one_user_has_so_many_at_most(self, uploads):
        two = Quota(2, 10**6)
        for name in "ab":
            put(uploads, made(name), quota=two)
        with pytest.raises(Conflict, match="You have uploaded 2 workflows, and 2 is the most"):
            put(uploads, made("c"), quota=two)
        put(uploads, made("b", name="replaced"), quota=two)
        put(uploads, made("c", "ada"), quota=two)
        with pytest.raises(Conflict, match="2 is the most"):
            put(uploads, made("c"), quota=two)  # it would be theirs then
        uploads.remove("a")
        put(uploads, made("c"), quota=two)
        assert [found.uploaded_by for found in uploads.all()] == ["dev", "dev"]

    def test_and_so_many_bytes(self, uploads):
        little = Quota(100, 20)
        put(uploads, made("a"), "x" * 10, little)
        put(uploads, made("b"), "x" * 10, little)
        with pytest.raises(Conflict, match=r"would take 21 bytes together, and 20 is the most"):
            put(uploads, made("c"), "x", little)
        with pytest.raises(Conflict, match="make this one smaller"):
            put(uploads, made("b"), "x" * 11, little)
        put(uploads, made("c", "ada"), "\N{SNOWMAN}" * 6, little)
        with pytest.raises(Conflict, match="21 bytes"):
            put(uploads, made("c", "ada"), "\N{SNOWMAN}" * 7, little)

    def test_an_operator_has_none_but_that_of_all(self, uploads, monkeypatch):
        monkeypatch.setattr(module, "MAX_UPLOADS", 2)
        put(uploads, made("a"), quota=None)
        put(uploads, made("b", "ada"), quota=None)
        with pytest.raises(Conflict, match="There are 2 uploaded workflows already"):
            put(uploads, made("c", "bob"), quota=None)
        put(uploads, made("b", "bob"), quota=None)

    def test_it_is_counted_at_the_same_moment_too(self, uploads, database):
        def try_it(number):
            put(UploadedDefinitions(database), made(f"w{number}"), quota=Quota(3, 10**6))

        assert len(let_through(8, try_it, Conflict)) == 3
        assert len(uploads.all()) == 3


def test_of_several_that_are_new_at_the_same_moment_one_is(uploads, database):
    each = [replace(made(), uploaded_by=str(number)) for number in range(8)]

    def try_it(number):
        put(UploadedDefinitions(database), each[number], replace=False)

    stored = [each[number] for number in let_through(8, try_it, Conflict)]
    assert list(uploads.all()) == stored
    assert len(stored) == 1


class TestIdsOfVirtualUsers:
    """One id is that of one workflow, whichever table has it."""

    @pytest.fixture
    def submitted(self, database):
        return LoadDefinitions(database)

    def submit(self, submitted, workflow_id="w", username="dev", text="{}"):
        new = SubmittedDefinition(
            workflow_id, workflow_id, "", digest_of(json.loads(text)), 2, username, now()
        )
        return submitted.put(new, text, 100, 10**6)

    @pytest.mark.parametrize("username", ["dev", "ada"])
    def test_what_one_has_the_other_does_not_take(self, uploads, submitted, username):
        put(uploads, made("a"))
        self.submit(submitted, "b")
        with pytest.raises(OfferedElsewhere, match="offers a workflow 'a' already"):
            self.submit(submitted, "a", username)
        with pytest.raises(OfferedElsewhere, match="offers a workflow 'b' already"):
            put(uploads, made("b", username))
        assert [each.workflow_id for each in submitted.all()] == ["b"]
        assert [each.workflow_id for each in uploads.all()] == ["a"]
        assert submitted.versions.all("a") == uploads.versions.all("b") == []

    def test_what_is_removed_leaves_its_id_to_all(self, uploads, submitted):
        put(uploads, made())
        uploads.remove("w")
        self.submit(submitted, username="ada")
        submitted.remove("w")
        put(uploads, made())
        assert uploads.get("w").owner == "dev"

    def test_of_both_at_the_same_moment_one_is(self, uploads, submitted, database):
        def try_it(number):
            if number % 2:
                put(UploadedDefinitions(database), made(), replace=False)
            else:
                self.submit(LoadDefinitions(database))

        let_through(8, try_it, Conflict)
        assert len(uploads.all()) + len(submitted.all()) == 1

    def test_where_both_have_an_id_from_before_each_replaces_its_own(
        self, uploads, submitted, database
    ):
        put(uploads, made("other"))
        self.submit(submitted)
        renamed = update(uploaded_definitions).values(workflow_id="w")
        database.write(lambda connection: connection.execute(renamed))
        put(uploads, made(), "newer")
        self.submit(submitted, text='{"a": 1}')
        assert uploads.text("w") == "newer"
        assert submitted.get("w").version == 2

    def test_nor_that_of_a_workflow_that_stands_without_a_definition(
        self, uploads, submitted, database
    ):
        standing = StandingWorkflows(database)
        standing.add("s", adding(NewStandingWorkflow("S", "s", "engine", "dev", "", ()), ()))
        with pytest.raises(OfferedElsewhere):
            self.submit(submitted, "s", "ada")
        self.submit(submitted, "t", "ada")
        with pytest.raises(OfferedElsewhere):
            standing.add("t", adding(NewStandingWorkflow("T", "t", "engine", "dev", "", ()), ()))
        assert standing.find("T") is None
        uploads.remove("s")  # and the workflow that stands with it
        self.submit(submitted, "s", "ada")
