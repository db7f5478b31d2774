"""The forms of texts that documents tell are those of what the service makes, checks and reads."""

import re

import marshmallow as ma
import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_kit import PASSWORDS, basic, open_service, users

from app.durations import parse_duration
from app.resources._text_forms import TextForm, add_places, portable, whole
from app.resources.root.places import API_KEY_ID, PLACES
from app.resources.root.ticket import TICKET
from app.resources.wattle.names import LONGEST, WORKFLOW_NAME, check_name
from app.settings.schema import Duration


def fits(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def test_a_pattern_fits_the_whole_of_a_text_only():
    assert whole("a|b") == "^(?:a|b)$"
    assert whole("[ab]") == "^[ab]$"
    assert portable(r"^a\Z") == "^a$"
    assert not fits(whole("a|b"), "ab")


def test_a_place_is_found_by_its_name_or_by_the_address_up_to_it():
    def at(path: str, name: str) -> dict[str, object]:
        return {path: {"parameters": [{"in": "path", "name": name, "schema": {}}]}}

    document = {"paths": at("/a/{id}", "id") | at("/b/{id}/more", "id") | at("/c/{x}", "x")}
    forms = {"id": TextForm("[0-9]+", "1"), "/b/{id}": TextForm("[a-z]+", "b", 3)}
    add_places(document, forms)
    told = [item["parameters"][0]["schema"] for item in document["paths"].values()]
    assert told == [
        {"type": "string", "pattern": "^[0-9]+$", "example": "1"},
        {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3, "example": "b"},
        {},
    ]


@given(st.from_regex(Duration().metadata["pattern"].replace(r"\Z", "$"), fullmatch=True))
def test_what_documents_call_a_duration_is_read_as_one(text):
    if sum(map(str.isdigit, text)) <= 6:  # so many are never more than 292 years
        assert parse_duration(text) >= 0


NAMES = st.text(min_size=0, max_size=LONGEST + 2) | st.text("/.\x00\x1f\x7f\x85a ", max_size=4)


@given(NAMES)
def test_names_of_wattle_are_told_as_they_are_checked(name):
    told = fits(WORKFLOW_NAME.schema()["pattern"], name) and not name.endswith("\n")
    fault = fault_of(name)
    # What no pattern says well: two names of folders, and how long a text is in bytes.
    assert told is (not fault) or name in (".", "..") or "bytes" in fault


def fault_of(name: str) -> str:
    try:
        check_name(name)
    except ma.ValidationError as exc:
        return str(exc)
    return ""


def test_what_the_service_makes_fits_what_its_documents_say(service):
    client = service.client
    key = client.post("/ssh_keys").json["id"]
    [listed] = client.get("/ssh_keys").json["ssh_keys"]
    execution = service.add_execution()
    ticket = client.post(f"/executions/{execution.id}/tickets").json["ticket"]
    made = [
        (PLACES["/ssh_keys/{key_id}"], key),
        (PLACES["/ssh_keys/{key_id}"], listed["id"]),
        (TICKET, ticket),
    ]
    for form, text in made:
        assert fits(form.schema()["pattern"], text), text


@pytest.mark.parametrize(
    ("text", "named"),
    [("slw_7Hq2", True), ("5d41402abc4b2a76", True), ("slw_7Hq2x", False), ("5d41", False)],
)
def test_an_api_key_is_named_by_its_id_or_its_first_characters(text, named):
    assert fits(PLACES["/api_keys/{key_id}"].schema()["pattern"], text) is named


@pytest.fixture
def with_keys(tmp_path):
    made = open_service(tmp_path, api__auth={**users(), "type": ["basic", "api_key"]})
    yield made.web.app.test_client(use_cookies=False)
    made.close()


def test_ids_of_api_keys_and_sessions_are_as_they_are_told(with_keys):
    headers = basic("ada", PASSWORDS["ada"])
    key = with_keys.post("/api_keys", json={"name": "nightly"}, headers=headers).json
    assert fits(API_KEY_ID.schema()["pattern"], key["id"])
    for name in (key["id"], key["prefix"]):
        assert fits(PLACES["/api_keys/{key_id}"].schema()["pattern"], name)
    assert with_keys.post("/auth/session", headers=headers).status_code == 201
    [session] = with_keys.get("/sessions", headers=headers).json["sessions"]
    assert fits(PLACES["session_id"].schema()["pattern"], session["id"])
