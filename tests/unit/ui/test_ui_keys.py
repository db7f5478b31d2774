"""SSH keys on the page: made, shown once, listed and revoked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from service_kit import Service, open_service, users
from signing_kit import Guest, faults, said


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    made = open_service(
        tmp_path_factory.mktemp("service"), api__auth=users(), ssh_keys__max_per_user=5
    )
    yield made
    made.close()


@pytest.fixture
def ada(service) -> Iterator[Guest]:
    guest = Guest(service).sign_in("ada")
    yield guest
    for id_ in ids(guest):
        guest.send(f"/ui/keys/{id_}/revoke")


def ids(guest: Guest) -> list[str]:
    return re.findall(r"/ui/keys/([0-9a-f]{8})/revoke", guest.get("/ui/keys").text)


def make(guest: Guest, **fields):
    form = guest.get("/ui/keys/new").text
    once = re.search(r'name="once" value="(\w{32})"', form)
    assert once
    return guest.send("/ui/keys", **{"once": once[1], **fields})


def whole_id(page: str) -> str:
    found = re.search(r"<code>([0-9a-f]{8}-[0-9a-f-]{27})</code>", page)
    assert found
    return found[1]


def test_the_public_half_is_shown_once(ada, tmp_path):
    answer = make(ada, key=["name", "cluster"], value=["laptop", "hpc1"])
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Not copied yet; it is shown this once." in answer.text
    line = re.search(r"<code>(restrict ssh-ed25519 \S+ slipway-\w+)</code>", answer.text)
    file = re.search(r'href="data:text/plain;charset=utf-8,([^"]*)" download="slipway-\w+.pub"',
                     answer.text)  # fmt: skip
    assert unquote(file[1]) == line[1] + "\n"
    (tmp_path / "key.pub").write_text(line[1])
    done = subprocess.run(["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], capture_output=True,
                          text=True, check=True)  # fmt: skip
    listed = ada.get("/ui/keys").text
    assert done.stdout.split()[1] in listed
    assert whole_id(answer.text)[:8] in listed
    assert whole_id(answer.text) not in listed
    assert "PRIVATE KEY" not in answer.text
    assert "laptop" in listed
    assert "hpc1" in listed


def test_the_same_form_makes_no_second_one(ada):
    fields = {"once": "d" * 32}
    first, second = ada.send("/ui/keys", **fields), ada.send("/ui/keys", **fields)
    assert (first.status_code, second.status_code) == (201, 409)
    assert "was sent before" in said(second.text, "alert")
    assert whole_id(first.text) not in second.text
    assert len(ids(ada)) == 1


def test_nobody_knows_the_whole_id_by_the_form(ada, service):
    fields = {"once": "e" * 32}
    first = whole_id(ada.send("/ui/keys", **fields).text)
    ada.send(f"/ui/keys/{first[:8]}/revoke")
    again = whole_id(ada.send("/ui/keys", **fields).text)
    assert again[:8] == first[:8]
    assert again != first


def test_what_is_said_of_a_key_may_be_json(ada):
    make(ada, key=["name"], value=["one"], json='{"limits": {"hours": 12}, "tags": ["a", "b"]}')
    page = ada.get("/ui/keys").text
    assert "{&#34;hours&#34;: 12}" in page
    assert "[&#34;a&#34;, &#34;b&#34;]" in page


@pytest.mark.parametrize(
    ("fields", "fault"),
    [({"json": "{"}, "cannot be read"), ({"json": "[1]"}, "must be an object"),
     ({"json": '{"a": 1, "a": 2}'}, "cannot be read"), ({"json": '{"a": NaN}'}, "cannot be read"),
     ({"json": '{"a":' + "[" * 99 + "]" * 99 + "}"}, "nested deeper"),
     ({"json": '{"a":' + "[" * 30000 + "]" * 30000 + "}"}, "nested deeper"),
     ({"json": " " * 70000 + "{}" + "x" * 70000}, "at most 65536"),
     ({"json": '{"a": [' + "1," * 2000 + "1]}"}, "at most 1000 values"),
     ({"json": '{"": 1}'}, "1 to 255"), ({"json": '{"a": "' + "x" * 20000 + '"}'}, "16384 bytes"),
     ({"key": "a" * 256, "value": "x"}, "1 to 255"), ({"key": "", "value": "x"}, "has no name"),
     ({"key": "laptop", "value": ""}, "has no value for"),
     ({"key": ["a", "a"], "value": ["1", "2"]}, "twice"),
     ({"key": "privateKey", "value": "x"}, "keeps for itself"),
     ({"key": "a", "value": "x", "json": '{"a": 1}'}, "twice"),
     ({"algorithm": "dsa"}, "must be one of")],
)  # fmt: skip
def test_what_is_wrong_stands_beside_the_field(ada, fields, fault):
    answer = make(ada, **fields)
    assert answer.status_code == 422
    assert fault in faults(answer.text)
    assert ids(ada) == []


def test_what_was_typed_stays(ada):
    answer = make(
        ada, key=["name", '"><b>'], value=["n", "<i>"], json='{"a": ', algorithm="rsa-3072"
    )
    assert 'value="&#34;&gt;&lt;b&gt;"' in answer.text
    assert "<b>" not in answer.text
    assert "{&#34;a&#34;: </textarea>" in answer.text
    assert "<option selected>rsa-3072</option>" in answer.text


def test_as_many_as_there_may_be(ada):
    for _ in range(5):
        assert make(ada).status_code == 201
    answer = make(ada)
    assert answer.status_code == 409
    assert "You have 5 SSH keys" in said(answer.text, "alert")
    assert "5 of 5" in ada.get("/ui/keys").text


def test_it_asks_before_it_revokes(ada):
    make(ada, key="name", value="laptop")
    [id_] = ids(ada)
    assert "Revoke the SSH key laptop?" in ada.get(f"/ui/keys/{id_}/revoke").text
    assert ids(ada) == [id_]
    assert ada.send(f"/ui/keys/{id_}/revoke").headers["Location"] == "/ui/keys"
    assert "is revoked" in ada.notice("/ui/keys")
    assert ada.send(f"/ui/keys/{id_}/revoke").status_code == 404


def test_those_of_somebody_else_are_none(ada, service):
    make(ada)
    [id_] = ids(ada)
    other = Guest(service).sign_in("bob")
    assert ids(other) == []
    assert other.get(f"/ui/keys/{id_}/revoke").status_code == 404
    assert other.send(f"/ui/keys/{id_}/revoke").status_code == 404
    assert ids(ada) == [id_]


@pytest.mark.parametrize("path", ["/ui/keys", "/ui/keys/01234567/revoke"])
def test_none_of_it_without_the_token_of_the_session(ada, path):
    assert ada.post(path).status_code == 403
    assert ada.post(path, headers={"Origin": "http://evil.test"}).status_code == 403


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "'\"`${x}", "\u202eevil"])
def test_words_about_keys_are_texts(ada, text):
    make(ada, key=["name", text], value=[text, text])
    page = ada.get("/ui/keys").text
    assert "<script>alert" not in page
    assert "Revoke key" in page


@pytest.mark.parametrize("id_", ["<b>", "x" * 300, "..", "%00"])
def test_what_is_no_id_names_none(ada, id_):
    assert "<b>" not in ada.get(f"/ui/keys/{id_}/revoke").text
    assert ada.send(f"/ui/keys/{id_}/revoke").status_code in {404, 405, 308}
