"""What a refusal repeats of what was sent, and what it never does."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from service_kit import Service

from app.errors import FieldError
from app.resources._given import with_given

ServiceMaker = Callable[..., Service]

JSON = "application/json"
FLOW = "/workflows/flow"


def message(path: str, given: Any, text: str = "must be a whole number") -> str:
    [fault] = with_given([FieldError(path, text)], given)
    assert fault.path == path
    return fault.message.removeprefix(text)


@pytest.mark.parametrize(
    ("path", "given", "shown"),
    [
        ("size", {"size": "ten"}, "; got 'ten'"),
        ("size", {"size": ""}, "; got ''"),
        ("size", {"size": "x" * 80}, f"; got '{'x' * 80}'"),
        ("size", {"size": "x" * 1_000_000}, f"; got '{'x' * 80}...'"),
        ("n", {"n": 1.5}, "; got '1.5'"),
        ("n", {"n": True}, "; got 'true'"),
        ("n", {"n": None}, "; got null"),
        ("n", {"n": {"a": 1}}, "; got an object"),
        ("n", {"n": [1]}, "; got an array"),
        ("n", {"n": ["a", "b"]}, "; got 'a, b'"),
        ("a[1].b", {"a": [{}, {"b": "c"}]}, "; got 'c'"),
        ("a[7].b", {"a": [{}]}, ""),
        ("a.b", {"a": 3}, ""),
        ("a", None, ""),
    ],
)
def test_the_value_is_shown_cut_where_it_is_long(path: str, given: Any, shown: str) -> None:
    assert message(path, given) == shown


@pytest.mark.parametrize(
    "name",
    ["password", "old_password", "passphrase", "api_key", "ticket", "token", "client_secret",
     "metadata", "headers", "env_vars", "X-Auth", "cookies", "private_key"],
)  # fmt: skip
def test_what_may_be_a_secret_by_its_name_is_not(name: str) -> None:
    assert message(name, {name: "hunter2"}) == ""
    assert message(f"{name}.a[0]", {name: {"a": ["hunter2"]}}) == ""
    assert message(f"x.{name}", {"x": {name: "hunter2"}}) == ""


@pytest.mark.parametrize(
    "secret",
    ["slw_0123456789abcdef0123456789", "https://ada:hunter2@example.org/" + "x" * 90,
     "-----BEGIN RSA PRIVATE KEY-----\nhunter2" + "x" * 90, "x" * 75 + " slw_hunter2hunter2"],
)  # fmt: skip
def test_what_looks_like_one_is_not(secret: str) -> None:
    shown = message("size", {"size": secret})
    assert "hunter2" not in shown
    assert "slw_" not in shown


def test_where_nothing_was_expected_nothing_is_shown() -> None:
    assert message("n", {"n": "x"}, "is not known here") == ""


class TestAnswers:
    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            ("/executions?page_size=ten", "page_size must be a whole number; got 'ten'"),
            ("/executions?status=GONE", "got 'GONE'"),
            ("/executions/x/logs?timeout=soon", "got 'soon'"),
            ("/executions/x/logs?levels=99999", "got '99999'"),
        ],
    )
    def test_a_parameter_is_shown(self, quiet: Service, address: str, shown: str) -> None:
        answer = quiet.client.get(address)
        assert answer.status_code == 422
        assert shown in answer.json["detail"]

    @pytest.mark.parametrize("inputs", [{"n": "hunter2"}, {"colour": "hunter2"}])
    def test_an_input_is_not_shown_but_its_type(self, quiet: Service, inputs: Any) -> None:
        for address in (FLOW, f"{FLOW}/run"):
            answer = quiet.client.post(address, json={"inputs": inputs})
            assert answer.status_code == 422
            assert "hunter2" not in answer.text

    def test_what_only_the_service_can_judge_is_shown(self, quiet: Service) -> None:
        key = quiet.client.post("/ssh_keys", json={"algorithm": "rot13"})
        assert "must be one of" in key.json["detail"]
        assert "got 'rot13'" in key.json["detail"]
        [execution] = quiet.client.get("/executions").json["executions"]
        wait = quiet.client.get(f"/executions/{execution['id']}?wait=99h")
        assert "got '99h'" in wait.json["detail"]

    def test_a_definition_is_not_shown(self, quiet: Service) -> None:
        definition = {"id": "new", "steps": [{"id": "a", "type": "hunter2"}], "name": ["hunter3"]}
        answer = quiet.client.post("/workflows", json=definition)
        assert answer.status_code == 422
        assert "hunter3" not in answer.text

    def test_a_header_is_not(self, quiet: Service) -> None:
        answer = quiet.client.post(FLOW, headers={"Idempotency-Key": "x" * 256})
        assert answer.status_code == 422
        assert "xxx" not in answer.text

    @pytest.mark.parametrize(
        ("address", "sent", "shown"),
        [
            ("/workflows", "text/csv", "not 'text/csv'"),
            ("/workflows", "", "does not say what it is"),
            (FLOW, "application/yaml", "not 'application/yaml'"),
            ("/workflows", "a/" + "b" * 200, f"not 'a/{'b' * 78}...'"),
        ],
    )
    def test_a_type_is_shown(self, quiet: Service, address: str, sent: str, shown: str) -> None:
        answer = quiet.client.post(address, data=b"x: 1", headers={"Content-Type": sent})
        assert answer.status_code == 415
        assert shown in answer.json["detail"]

    def test_the_limit_of_a_body_is_named(self, quiet: Service) -> None:
        answer = quiet.client.post(FLOW, data=b" " * 1_048_577, content_type=JSON)
        assert answer.status_code == 413
        assert answer.json["detail"] == "The body must have at most 1048576 bytes."


def deflated(raw: bytes) -> bytes:
    return zlib.compress(raw)[2:-4]


BOMB = gzip.compress(bytes(10_000_000))
ENCODED = {
    "gzip": gzip.compress(b"{}"), "x-gzip": gzip.compress(b"{}"), "GZip": gzip.compress(b"{}"),
    "deflate": deflated(b"{}"), "br": b"\x8b\x00\x80{}\x03", "zstd": b"(\xb5/\xfd", "rot13": b"{}",
    "gzip, gzip": gzip.compress(gzip.compress(b"{}")), "identity, gzip": gzip.compress(b"{}"),
    "gzip;q=1": b"{}", "*": b"{}",
}  # fmt: skip


class TestCodings:
    """A body that is compressed is refused before anybody looks into it, on every door."""

    @pytest.mark.parametrize("coding", ENCODED)
    @pytest.mark.parametrize(
        ("method", "address"),
        [
            ("POST", FLOW), ("POST", "/workflows"), ("PUT", "/workflows/flow"),
            ("POST", "/workflows/flow/run"), ("POST", "/ssh_keys"), ("POST", "/api/workflows"),
            ("POST", "/api/v1/workflows"), ("POST", "/api/v1/executions/x/scale"),
        ],
    )  # fmt: skip
    def test_it_is_refused_and_told_what_is_taken(
        self, quiet: Service, coding: str, method: str, address: str
    ) -> None:
        headers = {"Content-Type": JSON, "Content-Encoding": coding}
        answer = quiet.client.open(address, method=method, data=ENCODED[coding], headers=headers)
        assert answer.status_code == 415, answer.text
        assert answer.headers["Accept-Encoding"] == "identity"
        assert coding in answer.text

    def test_so_is_one_that_would_be_very_large(self, quiet: Service) -> None:
        headers = {"Content-Type": JSON, "Content-Encoding": "gzip"}
        assert quiet.client.post(FLOW, data=BOMB, headers=headers).status_code == 415

    @pytest.mark.parametrize("coding", ["", "identity", "Identity", "identity, identity", ","])
    def test_one_that_is_not_is_read(self, quiet: Service, coding: str) -> None:
        headers = {"Content-Type": JSON, "Content-Encoding": coding}
        body = json.dumps({"inputs": {"n": 100}})
        assert quiet.client.post(FLOW, data=body, headers=headers).status_code == 422

    def test_without_a_body_there_is_nothing_to_decode(self, quiet: Service) -> None:
        headers = {"Content-Encoding": "gzip"}
        answer = quiet.client.post("/workflows/none", headers=headers)
        assert answer.status_code == 404
