"""Ids that the engine and virtual users could share: every door gives one to one workflow only."""

import threading

import pytest

from app.domain import DefinitionSource, Identity, Role
from app.errors import Conflict, InvalidDefinition, NotOwner, OfferedElsewhere, Taken

DEV = Identity("dev", frozenset({Role.DEVELOPER}))
EVE = Identity("eve", frozenset({Role.DEVELOPER}))
OPERATOR = Identity("ops", frozenset({Role.DEVELOPER, Role.OPERATOR}))
ALL = pytest.mark.parametrize("identity", [DEV, EVE, OPERATOR], ids=lambda each: each.username)

FOR_BOTH = (
    "id: flow\nname: flow\nsteps:\n- {id: s1, type: http, config: {url: 'http://127.0.0.1:1/'}}\n"
)
FOR_ENGINE = "id: flow\nsteps:\n- {id: s1, type: command, config: {command: 'true'}}\n"
FOR_LOAD = FOR_BOTH + "options: {vus: 1, duration: 10s}\nvariables: {host: a}\n"


@pytest.fixture
def kit(make_service):
    made = make_service()
    made.add_slave()
    return made


@pytest.fixture
def upload(kit):
    def upload(text, identity=DEV, replace=None):
        return kit.services.workflows.upload(DefinitionSource(text), identity, replace)

    return upload


@pytest.fixture
def submit(kit):
    return kit.services.submissions.submit


def offers(kit):
    return [(w.id, w.orchestrator) for w in kit.services.workflows.find(DEV).workflows]


@ALL
def test_what_the_engine_has_is_not_submitted(kit, upload, submit, identity):
    upload(FOR_BOTH)
    said = {"dev": "your workflow 'flow'"}.get(identity.username, "a workflow 'flow' of 'dev'")
    with pytest.raises(OfferedElsewhere, match=f"The orchestrator 'local' offers {said} already"):
        submit(FOR_BOTH, identity)
    assert offers(kit) == [("flow", "local")]
    assert kit.store.known_upstream_as("exec-") == [], "nothing was launched"


@ALL
@pytest.mark.parametrize("text", [FOR_BOTH, FOR_ENGINE], ids=["both", "engine"])
def test_what_virtual_users_have_is_not_uploaded(kit, upload, submit, identity, text):
    submit(FOR_BOTH, DEV)
    with pytest.raises(OfferedElsewhere, match="The orchestrator 'load' offers"):
        upload(text, identity)
    assert offers(kit) == [("flow", "load")]


@ALL
def test_what_is_for_virtual_users_only_takes_no_id_of_the_engine(kit, upload, identity):
    upload(FOR_ENGINE)
    with pytest.raises(OfferedElsewhere, match="The orchestrator 'local' offers"):
        upload(FOR_LOAD, identity)
    assert offers(kit) == [("flow", "local")]


def test_the_files_of_operators_count(kit, submit):
    folder = kit.settings.workflows_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flow.yaml").write_text(FOR_ENGINE)
    with pytest.raises(OfferedElsewhere, match="of the operators of the service"):
        submit(FOR_BOTH, EVE)


def test_who_submits_again_replaces_what_they_submitted(kit, submit):
    submit(FOR_BOTH, DEV)
    submit(FOR_LOAD, DEV)
    [version, earlier] = kit.services.workflows.versions("flow", DEV)
    assert [version.version, earlier.version] == [2, 1]
    with pytest.raises(NotOwner):
        submit(FOR_BOTH, EVE)


def test_what_is_replaced_stays_where_it_is(kit, upload, submit):
    submit(FOR_LOAD, DEV)
    upload(FOR_BOTH, replace="flow")
    assert offers(kit) == [("flow", "load")]
    with pytest.raises(OfferedElsewhere, match="remove it there"):
        upload(FOR_ENGINE, replace="flow")
    with pytest.raises(NotOwner):
        upload(FOR_BOTH, EVE, replace="flow")
    kit.services.workflows.remove("flow", DEV)
    upload(FOR_ENGINE)
    assert offers(kit) == [("flow", "local")]


def test_a_new_one_of_an_id_that_is_its_own_is_taken_as_ever(upload):
    upload(FOR_ENGINE)
    with pytest.raises(Taken) as caught:
        upload(FOR_ENGINE)
    assert not isinstance(caught.value, OfferedElsewhere)


def test_faults_are_told_before_ids(upload, submit):
    upload(FOR_ENGINE)
    with pytest.raises(InvalidDefinition):
        submit(FOR_BOTH + "surplus: 1\n", EVE)


def test_both_at_once_are_one(kit, upload, submit):
    results = []

    def try_it(work, *arguments):
        try:
            work(*arguments)
        except Conflict as exc:
            results.append(str(exc))

    threads = [
        threading.Thread(target=try_it, args=each)
        for each in [(upload, FOR_BOTH), (submit, FOR_BOTH, EVE)]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(offers(kit)) == 1
    assert len(results) == 1
    assert "The orchestrator '" in results[0]
