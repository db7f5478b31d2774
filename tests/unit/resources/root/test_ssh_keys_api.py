import json
import re

import pytest

ANSWER = {"id", "public_key"}
LISTED = {
    "id", "algorithm", "fingerprint", "metadata", "created_at", "authorized_keys", "last_used_at",
    "last_succeeded_at", "replaces",
}  # fmt: skip


def listed(client):
    response = client.get("/ssh_keys")
    assert response.status_code == 200
    return response.json["ssh_keys"]


class TestCreate:
    @pytest.mark.parametrize(
        "options",
        [{}, {"json": {}}, {"json": {"metadata": {}}}, {"json": {"metadata": None}},
         {"data": b"", "content_type": "text/plain"}],
    )  # fmt: skip
    def test_the_body_is_fully_optional(self, client, options):
        response = client.post("/ssh_keys", **options)
        assert response.status_code == 201
        assert response.headers["Content-Type"] == "application/json"
        assert set(response.json) == ANSWER
        assert response.json["public_key"].startswith("ssh-ed25519 AAAA")
        assert listed(client)[0]["metadata"] == {}

    @pytest.mark.parametrize(
        ("algorithm", "begin"),
        [
            ("ed25519", "ssh-ed25519 "),
            ("rsa-2048", "ssh-rsa "),
            ("rsa-3072", "ssh-rsa "),
            ("ecdsa-p256", "ecdsa-sha2-nistp256 "),
        ],
    )
    def test_the_algorithm_can_be_chosen(self, client, algorithm, begin):
        response = client.post("/ssh_keys", json={"algorithm": algorithm})
        assert response.json["public_key"].startswith(begin)
        assert listed(client)[0]["algorithm"] == algorithm

    def test_metadata_are_kept_and_reserved_names_silently_ignored(self, client):
        metadata = {"key1": "value1", "nested": {"privateKey": [1, None, "\u00e4"]}}
        reserved = {"privateKey": "x", "publicKey": {"y": 1}}
        response = client.post("/ssh_keys", json={"metadata": {**metadata, **reserved}})
        assert response.status_code == 201
        assert set(response.json) == ANSWER
        assert listed(client)[0]["metadata"] == metadata

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"metadata": []}, "metadata"),
            ({"metadata": "x"}, "metadata"),
            ({"metadata": {"": 1}}, "metadata."),
            ({"metadata": {"x" * 256: 1}}, "metadata." + "x" * 256),
            ({"algorithm": "dsa"}, "algorithm"),
            ({"algorithm": ["ed25519"]}, "algorithm"),
            ({"metadata": {"k": [0] * 1001}}, "metadata"),
            ({"metadata": {str(i): {} for i in range(1001)}}, "metadata"),
            ({"metdata": {}}, "metdata"),
            ({"Metadata": {}}, "Metadata"),
            ({"meta": {}}, "meta"),
            ({"algo": "rsa-4096"}, "algo"),
            ({str(i): i for i in range(21)}, "body"),
            ([], "body"),
        ],
    )
    def test_rubbish_is_named_and_makes_no_key(self, quiet, assert_problem, body, path):
        assert_problem(quiet.client.post("/ssh_keys", json=body), 422, "invalid_request", path)

    @pytest.mark.parametrize("levels", [63, 500, 1000])
    def test_what_is_nested_too_deeply_is_refused(self, quiet, assert_problem, levels):
        body = '{"metadata": {"k": ' + "[" * levels + "]" * levels + "}}"
        answer = quiet.client.post("/ssh_keys", data=body, content_type="application/json")
        assert_problem(answer, 422, "invalid_request")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" \r\n",
            b"null",
            b"{}",
            b'{"metadata": null, "algorithm": null}',
            b'{"x": 1, "y": {}}',
        ],
    )
    @pytest.mark.parametrize("content_type", [None, "application/json", "text/plain"])
    def test_all_of_it_may_be_left_out_and_more_may_be_there(self, client, body, content_type):
        answer = client.post("/ssh_keys", data=body, content_type=content_type)
        assert answer.status_code == 201
        assert answer.json["public_key"].startswith("ssh-ed25519 ")
        assert listed(client)[0]["metadata"] == {}

    @pytest.mark.parametrize(
        "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "rubbish"]
    )
    def test_metadata_need_no_content_type(self, client, content_type):
        body = b'{"metadata":{"cluster":"hpc1"}}'
        assert client.post("/ssh_keys", data=body, content_type=content_type).status_code == 201
        assert listed(client)[0]["metadata"] == {"cluster": "hpc1"}

    def test_malformed_json_is_400_another_type_415_too_much_413(self, client, assert_problem):
        def post(data, content_type="application/json"):
            return client.post("/ssh_keys", data=data, content_type=content_type)

        assert_problem(post(b"{"), 400, "malformed_request")
        assert_problem(post(b"{}", "application/yaml"), 415, "unsupported_media_type")
        large = json.dumps({"metadata": {"a": "x" * 1024 * 1024}})
        assert_problem(post(large), 413, "body_too_large")
        assert listed(client) == []

    def test_metadata_with_what_databases_dislike(self, client):
        metadata = {"nul": "a\x00b", "emoji": "\U0001f511", "\u00e4\n": 1.5}
        assert client.post("/ssh_keys", json={"metadata": metadata}).status_code == 201
        assert listed(client)[0]["metadata"] == metadata


class TestList:
    def test_the_public_key_is_seen_again_and_the_whole_id_is_not(self, client):
        made = client.post("/ssh_keys", json={"metadata": {"a": 1}}).json
        response = client.get("/ssh_keys")
        [key] = response.json["ssh_keys"]
        assert set(key) == LISTED
        assert key["id"] == made["id"][:8]
        assert made["id"] not in response.text
        assert key["authorized_keys"] == f"restrict {made['public_key']}"
        assert re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", key["fingerprint"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", key["created_at"])

    def test_newest_first(self, client):
        for name in "abc":
            client.post("/ssh_keys", json={"metadata": {"name": name}})
        # Keys of the same millisecond have no order among each other.
        created = [key["created_at"] for key in listed(client)]
        assert created == sorted(created, reverse=True)

    def test_there_may_be_none(self, client):
        assert client.get("/ssh_keys").json == {"ssh_keys": []}


class TestRevoke:
    @pytest.mark.parametrize("length", [8, 36])
    def test_it_is_gone(self, client, assert_problem, length):
        id_ = client.post("/ssh_keys").json["id"]
        response = client.delete(f"/ssh_keys/{id_[:length]}")
        assert (response.status_code, response.data) == (204, b"")
        assert "Content-Type" not in response.headers
        assert listed(client) == []
        assert_problem(client.delete(f"/ssh_keys/{id_}"), 404, "not_found")

    def test_what_is_not_there_is_not_found(self, client, assert_problem):
        client.post("/ssh_keys")
        for id_ in ("x", "%00", "..", "%25", "x" * 5000):
            assert_problem(client.delete(f"/ssh_keys/{id_}"), 404, "not_found")
        assert len(listed(client)) == 1
