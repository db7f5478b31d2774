"""What users give is data on every path: it arrives unchanged or is refused, and never runs."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.patience import PATIENCE_SECONDS
from kit.service import Service

KIB = 1024

WRITE_ARGUMENT = "import sys; open('argument', 'w', newline='').write(sys.argv[1])"
CARRY = workflow(
    "carry",
    script("script", 'printf %s "$INPUT_VALUE" > script; printf %s "$INPUT_MY_DATA" > data'),
    script("env", 'printf %s "$VALUE" > env', env={"VALUE": "${{ inputs.value }}"}),
    {
        "id": "command", "type": "command",
        "config": {"command": "python3", "args": ["-c", WRITE_ARGUMENT, "${{ inputs.value }}"]},
    },
    script(
        "again",
        'printf %s "$GIVEN" > again',
        needs=["hand-on"],
        env={"GIVEN": "${{ steps['hand-on'].outputs.value }}"},
    ),
    {
        "id": "hand-on", "type": "script",
        "config": {
            "shell": "python3",
            "script": (
                "import json, os\n"
                "with open(os.environ['SLIPWAY_OUTPUT'], 'a') as out:\n"
                "    print(json.dumps({'value': os.environ['INPUT_VALUE']}), file=out)\n"
            ),
        },
    },
    inputs={"value": {"type": "string"}, "my-data": {"type": "object", "default": {}}},
    outputs={"direct": "${{ inputs.value }}", "handed": "${{ steps['hand-on'].outputs.value }}"},
)  # fmt: skip


def attacks(canary: Path) -> list[str]:
    """Texts of which one at least would make the canary, if anything read them as code."""
    touch = f"touch {canary}"
    return [
        f"$({touch})", f"`{touch}`", f"; {touch}", f"| {touch}", f"&& {touch}", f"& {touch} &",
        f"\n{touch}\n", f"x\r\n{touch}\r\n", f'"; {touch}; "', f"'; {touch}; '", f"'\"`$({touch})",
        f"> {canary}", f"$'\\n'{touch}", f"${{IFS}}{touch}", f"x[$({touch})]", f"a=$({touch})",
        f"() {{ :; }}; {touch}", f"-c {touch}", "--help", "-", "--", "${{ inputs.value }}",
        f"${{{{ '{touch}' }}}}", "{{ 7 * 7 }}", "{% raw %}", "}}", "#{7*7}", "%s%n%d", "\\", "*",
        "~", "!!", "", " lead and trail\t ", "a\tb\x07\x1b[31m", "$HOME", "$INPUT_VALUE",
        "héé \u0085\u2028\u202e", "😀 👩‍🚀 \U00010348", "\x7f", "x" * (90 * KIB),
        f"__import__('os').system('{touch}')", f"'''{touch}'''",
    ]  # fmt: skip


def ask(client: Client, method: str, target: str, **headers: str) -> tuple[int, str]:
    """Send a request whose target nobody tidies up before."""
    address = urlsplit(client.url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=PATIENCE_SECONDS
    )
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


@pytest.fixture
def canary(shared_service: Service, tmp_path: Path) -> Iterator[Path]:
    """A file that nobody may make."""
    path = tmp_path / "canary"
    before = len(shared_service.log)
    yield path
    assert not path.exists(), "something was executed"
    said = shared_service.log[before:]
    assert "request crashed" not in said
    assert "observation failed" not in said


class Received:
    """A small web server that keeps the requests that it gets."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                received.requests.append((self.path, dict(self.headers.items()), body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Received]:
    received = Received()
    thread = threading.Thread(target=received.server.serve_forever, args=(0.05,))
    thread.start()
    yield received
    received.server.shutdown()
    thread.join()
    received.server.server_close()


def test_inputs_reach_commands_unchanged_and_unread(
    shared_service: Service, client: Client, canary: Path
) -> None:
    client.upload(CARRY)
    launched = {
        client.launch("carry", {"value": text, "my-data": {text[:99]: [text[:99], None]}}): text
        for text in attacks(canary)
    }
    for execution, text in launched.items():
        ended = client.wait(execution)
        assert ended["status"] == "SUCCESS", (text[:200], ended["error"])
        folder = shared_service.work(execution)
        assert ended["inputs"]["value"] == text
        assert ended["outputs"] == {"direct": text, "handed": text}
        written = {
            name: (folder / name).read_bytes().decode()
            for name in ("script", "env", "argument", "again")
        }
        assert written == dict.fromkeys(written, text)
        data = json.loads((folder / "data").read_text(encoding="utf-8"))
        assert data == {text[:99]: [text[:99], None]}
        assert {path.name for path in folder.iterdir()} == {*written, "data"}


def test_inputs_reach_web_servers_unchanged_and_unread(
    client: Client, canary: Path, receiver: Received
) -> None:
    definition = workflow(
        "send",
        {
            "id": "body", "type": "http",
            "config": {
                "method": "POST",
                "url": f"{receiver.url}/body",
                "body": {"value": "${{ inputs.value }}", "in": ["<${{ inputs.value }}>"]},
            },
        },
        {
            "id": "header", "type": "http", "allow_failure": True,
            "config": {
                "method": "POST", "url": f"{receiver.url}/header",
                "headers": {"X-Value": "${{ inputs.value }}"},
            },
        },
        {
            "id": "path", "type": "http", "allow_failure": True,
            "config": {"method": "POST", "url": f"{receiver.url}/path/${{{{ inputs.value }}}}"},
        },
        inputs={"value": {}},
    )  # fmt: skip
    texts = [
        f"$(touch {canary})", f"'; touch {canary}; \"", "x\r\nX-Injected: yes\r\n\r\nPOST /evil",
        "@127.0.0.1:1/", "../../evil?x#y", "${{ inputs.value }}", "{{ 7 * 7 }}", "😀 é\n",
    ]  # fmt: skip
    client.upload(definition)
    launched = [client.launch("send", {"value": text}) for text in texts]
    for execution in launched:
        ended = client.wait(execution)
        assert ended["status"] == "SUCCESS", ended["error"]
    by_path: dict[str, list[tuple[str, dict[str, str], bytes]]] = {}
    for request in receiver.requests:
        by_path.setdefault(request[0].split("/")[1].partition("?")[0], []).append(request)
        assert "X-Injected" not in request[1]
    bodies = [json.loads(body) for _, _, body in by_path["body"]]
    assert sorted(body["value"] for body in bodies) == sorted(texts)
    assert all(body["in"] == [f"<{body['value']}>"] for body in bodies)
    headers = {headers["X-Value"] for _, headers, _ in by_path["header"]}
    assert {texts[0], texts[1], texts[3], texts[4]} <= headers <= set(texts)
    assert {path.split("?")[0] for path, _, _ in by_path["header"]} == {"/header"}
    assert len(by_path["path"]) <= len(texts)


@pytest.mark.parametrize(
    "value", ['"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff x"', f'"{"x" * (200 * KIB)}"',
              f'"{"😀" * (30 * KIB)}"', "7", "null", '["x"]', '{"a": "b"}', "NaN", "1e999"],
)  # fmt: skip
@pytest.mark.usefixtures("canary")
def test_values_that_no_command_can_get_are_refused(client: Client, value: str) -> None:
    client.upload(CARRY)
    for body in (f'{{"inputs": {{"value": {value}}}}}', f'{{"inputs": {{"value{value}": "x"}}}}'):
        answer = client.send(
            "POST", "/workflows/carry", data=body.encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        # 400 where the text is no JSON at all: lone surrogates and NaN, or two quotes in a row.
        assert answer.status_code in {400, 422}, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert len(answer.text) < 4 * KIB, "values are not repeated"


def test_hidden_places_of_objects_are_looked_at_too(client: Client, canary: Path) -> None:
    client.upload(CARRY)
    for data in ({"a": {"b": ["\0"]}}, {"\0": 1}, {"a": "x" * (200 * KIB)}):
        answer = client.send(
            "POST", "/workflows/carry", json={"inputs": {"value": "x", "my-data": data}}
        )
        assert answer.status_code == 422, answer.text
        assert "inputs.my-data" in answer.text


def test_names_of_inputs_cannot_set_other_variables(client: Client, canary: Path) -> None:
    client.upload(CARRY)
    for name in ("PATH", "LD_PRELOAD", "BASH_ENV", f"x=$(touch {canary})", "VALUE", "", "a\nb"):
        answer = client.send(
            "POST", "/workflows/carry", json={"inputs": {"value": "x", name: f"{canary}"}}
        )
        assert answer.status_code == 422, (name, answer.text)


def test_commands_see_nothing_of_the_services_own_settings(
    shared_service: Service, client: Client
) -> None:
    execution = client.run(workflow("environment", script("env", "env -0 > env")))
    client.wait(execution)
    names = {
        pair.partition("=")[0]
        for pair in (shared_service.work(execution) / "env").read_text().split("\0")
    }
    own = {name for name in names if name.startswith("SLIPWAY_")}
    assert own == {
        "SLIPWAY_ATTEMPT", "SLIPWAY_EXECUTION_ID", "SLIPWAY_OUTPUT", "SLIPWAY_TASK"
    }  # fmt: skip
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & names


def test_metadata_of_ssh_keys_comes_back_unchanged(client: Client, canary: Path) -> None:
    texts = [text for text in attacks(canary) if len(text) < 1000]
    metadata = {f"m{i}": text for i, text in enumerate(texts)}
    metadata |= {text[:200]: "as a name" for text in texts if text}
    answer = client.send("POST", "/ssh_keys", json={"metadata": {**metadata, "privateKey": "mine"}})
    assert answer.status_code == 201, answer.text
    key = answer.json()["id"]
    listed = client.get("/ssh_keys")["ssh_keys"]
    assert listed[0]["metadata"] == metadata
    for reference in ("%00", "..%2f..", quote(f"$(touch {canary})", safe=""), "'%20OR%201=1%20--"):
        assert ask(client, "DELETE", f"/ssh_keys/{reference}")[0] in {404, 405}
    assert client.send("DELETE", f"/ssh_keys/{key}").status_code == 204
    for strange in ('{"metadata": {"a": "\\ud800"}}', '{"metadata": {"\\u0000": "\\u0000"}}'):
        answer = client.send(
            "POST", "/ssh_keys", data=strange, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {201, 400, 422}
    assert client.send("POST", "/ssh_keys", json={"algorithm": "$(id)"}).status_code == 422


def test_names_in_addresses_lead_nowhere_else(client: Client, canary: Path) -> None:
    texts = [text for text in attacks(canary) if 0 < len(text) < 1000]
    names = [quote(text, safe="") for text in texts] + [
        "..", "%2e%2e", "..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "hello%00", "%00",
        "hello%2f..", ".%2fhello", "%ff%fe", "%ed%a0%80", "hello.yaml", "..%5c..", "x" * 5000, "%",
        "%zz", "';DROP%20TABLE%20executions;--",
    ]  # fmt: skip
    for name in names:
        for method, target in (
            ("GET", f"/workflows/{name}"),
            ("POST", f"/workflows/{name}"),
            ("DELETE", f"/workflows/{name}"),
            ("GET", f"/executions/{name}"),
            ("GET", f"/executions/{name}/logs?timeout=0"),
            ("DELETE", f"/executions/{name}"),
        ):
            status, body = ask(client, method, target, Content_Length="0")
            assert 300 < status < 500, (method, target, status, body)
    assert {w["id"] for w in client.get("/workflows")["workflows"]} >= {"hello", "diamond"}


def test_filters_are_compared_and_not_read(client: Client, canary: Path) -> None:
    client.wait(client.launch("hello"))
    for text in attacks(canary)[:-3]:
        if not text.strip() or len(text) > 512:
            continue
        for path, parameter, field in (
            ("/workflows", "name", "workflows"),
            ("/executions", "workflow", "executions"),
            ("/executions", "owner", "executions"),
        ):
            answer = client.send("GET", path, params={parameter: text})
            assert answer.status_code == 200, (path, text, answer.text)
            assert answer.json()[field] == []
        assert client.send("GET", "/workflows", params={"q": text}).status_code == 200
        assert client.send("GET", "/executions", params={"status": text}).status_code == 422
        assert client.send("GET", "/executions", params={"page": text}).status_code == 422
    for injected in ("' OR '1'='1", "x' UNION SELECT 1 --", "%", "_"):
        assert client.get("/executions", workflow=injected)["executions"] == []
        assert client.get("/executions", owner=injected)["executions"] == []
    for target in ("/executions?workflow=%00", "/workflows?q=%00", "/executions?owner=%ed%a0%80"):
        assert ask(client, "GET", target)[0] in {200, 422}


def test_idempotency_keys_are_compared_and_not_read(client: Client, canary: Path) -> None:
    keys = [
        f"$(touch${{IFS}}{canary})",
        f"`{canary}`",
        "'--",
        "../../x",
        "{{7*7}}",
        "x" * 255,
        "%00",
    ]
    for key in keys:
        first = client.launch("hello", {"name": "key"}, key=key)
        assert client.launch("hello", {"name": "key"}, key=key) == first
        other = client.send(
            "POST", "/workflows/hello", json={"inputs": {"name": "x"}},
            headers={"Idempotency-Key": key},
        )  # fmt: skip
        assert other.status_code == 409
    for key in ("", "x" * 256, "two words", "caf\u00e9", "a\tb"):
        status, body = ask(
            client, "POST", "/workflows/hello", Idempotency_Key=key, Content_Length="0"
        )
        assert status == 422, (key, body)


def test_definitions_cannot_write_outside_of_their_folders(client: Client, canary: Path) -> None:
    good = script("a", "true")
    for faulty in (
        workflow("../evil", good),
        workflow("/etc/evil", good),
        workflow("a\0b", good),
        workflow(f"$(touch {canary})", good),
        workflow("evil", script("../../evil", "true")),
        workflow("evil", script("a/b", "true")),
        workflow("evil", script("..", "true")),
        workflow("evil", good, files={"../evil": "x"}),
        workflow("evil", good, files={"/etc/evil": "x"}),
        workflow("evil", good, files={"a/../../../evil": "x"}),
        workflow("evil", script("a", "echo ${{ inputs.x }}"), inputs={"x": {}}),
        workflow("evil", script("a", "true", env={"A=B": "x"})),
        workflow("evil", script("a", "true", env={"A": "x\0"})),
    ):
        answer = client.send("POST", "/workflows", json=faulty)
        assert answer.status_code == 422, (faulty, answer.text)
    assert "evil" not in {w["id"] for w in client.get("/workflows")["workflows"]}
