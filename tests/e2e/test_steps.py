"""Steps get what their authors wrote; expressions that go wrong harm their own execution only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kit.client import Client
from kit.definitions import script, workflow

DEFINITION = """
id: written
inputs: {e: {type: number}, big: {type: number, default: 1e21}}
outputs: {said: "${{ steps.a.outputs.said }}", given: "${{ steps.b.outputs.given }}"}
steps:
  - id: a
    type: command
    env: {PYTHON: 3.10, COUNT: 1e3, SHA: 12e45, FLAG: True}
    config:
      command: bash
      args: [-c, 'echo "said=$PYTHON $COUNT $SHA $FLAG $*" >> $SLIPWAY_OUTPUT', x, 3.10, 1e-7, 7e2]
  - id: b
    type: command
    config:
      command: bash
      args: [-c, 'echo "given=$INPUT_E $*" >> $SLIPWAY_OUTPUT', x, "${{ inputs.e }}",
        "${{ inputs.big }}"]
"""


@pytest.fixture
def web() -> Iterator[str]:
    """A server that answers 201, sends on from ``/moved``, and tells what it got."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(301 if self.path == "/moved" else 201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Location", "/here")
            self.send_header("X-Token", "t")
            self.end_headers()
            self.wfile.write(json.dumps([self.command, body.decode()]).encode())

        do_POST = do_PUT  # noqa: N815 - the name is that of http.server

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_commands_get_what_the_author_wrote_and_plain_digits(client: Client) -> None:
    response = client.send(
        "PUT",
        "/workflows/written",
        data=DEFINITION.encode(),
        headers={"Content-Type": "application/yaml"},
    )
    assert response.status_code == 201, response.text
    ended = client.wait(client.launch("written", {"e": 0.00001}))
    assert ended["outputs"] == {
        "said": "3.10 1e3 12e45 True 3.10 1e-7 7e2",
        "given": "0.00001 0.00001 1000000000000000000000",
    }


def test_requests_keep_their_method_and_body_and_any_2xx_is_success(
    client: Client, web: str
) -> None:
    moved = {"method": "PUT", "url": f"{web}/moved"}
    definition = workflow(
        "requests",
        {"id": "a", "type": "http", "config": {"method": "POST", "url": f"{web}/", "body": "x"}},
        {"id": "b", "type": "http", "config": {**moved, "body": "y"}},
        {"id": "c", "type": "http", "config": {**moved, "expect_status": [301]}},
        outputs={
            "a": "${{ steps.a.outputs.status }} ${{ steps.a.outputs.headers['X-Token'] }}",
            "b": "${{ steps.b.outputs.body }}",
            "c": "${{ steps.c.outputs.headers.location }}",
        },
    )
    ended = client.wait(client.run(definition))
    assert ended["status"] == "SUCCESS", ended["error"]
    assert ended["outputs"] == {"a": "201 t", "b": ["PUT", "y"], "c": "/here"}


@pytest.mark.parametrize(
    "expression",
    [
        "inputs.v | round(inputs.digits, 'ceil')",
        "inputs.text | replace('', inputs.text)",
        "1e999",
        r"'\ud83d'",
    ],
)
def test_a_greedy_expression_fails_alone_and_says_so(client: Client, expression: str) -> None:
    template = f"${{{{ {expression} }}}}"
    inputs = {
        "v": {"type": "number", "default": 1.5}, "text": {},
        "digits": {"type": "number", "default": 3_000_000_000_000},
    }  # fmt: skip
    in_output = workflow("greedy", script("a", "true"), inputs=inputs, outputs={"o": template})
    in_step = workflow(
        "greedy-step", script("a", "true", env={"A": template}, retries=1), inputs=inputs
    )
    greedy = [client.run(d, {"text": "x" * 90_000}) for d in (in_output, in_step)]
    honest = client.wait(client.run(workflow("honest", script("a", "true"))))
    assert honest["status"] == "SUCCESS"
    for execution in greedy:
        ended = client.wait(execution)
        assert ended["status"] == "FAILED"
        assert f"{template} cannot be evaluated: " in ended["error"]
