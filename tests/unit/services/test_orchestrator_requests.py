"""What conductors carry out for those who ask about orchestrators."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from app.domain import Checked, Operation, OperationState, Outcome
from app.errors import NotFound
from app.services.orchestrator_requests import CHECK, DRAIN, UNDRAIN, handlers


def asked(kind, subject, **arguments):
    return Operation(
        f"op-{0:032x}", kind, "ada", subject, arguments, OperationState.RUNNING, datetime.now(UTC)
    )


def carried_out(orchestrators, operation):
    return handlers(orchestrators)[operation.kind].carry_out(operation)


@pytest.mark.parametrize(
    ("outcome", "ok"), [(Outcome.OK, True), (Outcome.WARNING, True), (Outcome.FAILED, False)]
)
def test_a_check_tells_each_finding_and_whether_all_is_well(outcome, ok):
    found = [Checked("dns", Outcome.OK, "it is there"), Checked("login", outcome, "so", "do this")]
    owners = []
    hpc = SimpleNamespace(examine=lambda owner: owners.append(owner) or found)
    told = carried_out({"hpc": hpc}, asked(CHECK, "hpc"))
    assert told == {
        "ok": ok,
        "checks": [
            {"name": "dns", "outcome": "ok", "text": "it is there", "fix": ""},
            {"name": "login", "outcome": str(outcome), "text": "so", "fix": "do this"},
        ],
    }
    assert owners == ["ada"]


def test_what_is_configured_no_more_cannot_be_checked():
    with pytest.raises(NotFound):
        carried_out({}, asked(CHECK, "hpc"))
    with pytest.raises(NotFound):
        carried_out({}, asked(DRAIN, "hpc~node1", orchestrator="hpc"))


def test_the_service_checks_an_orchestrator_that_is_here(guarded, as_user):
    path = f"/orchestrators/{guarded.settings.orchestrators[0].name}/check"
    response = guarded.client.post(path, headers=as_user("ada"))
    assert response.status_code == 202
    assert (response.json["kind"], response.json["state"]) == (CHECK, "WAITING")
    assert response.headers["Location"] == f"/operations/{response.json['id']}"
    missing = guarded.client.post("/orchestrators/nowhere/check", headers=as_user("ada"))
    assert missing.status_code == 404
    listed = guarded.client.get("/orchestrators", headers=as_user("ada")).json["orchestrators"]
    assert [each["elsewhere"] for each in listed] == [False] * len(listed)


def test_the_kinds_have_handlers():
    assert set(handlers({})) == {CHECK, DRAIN, UNDRAIN}
