"""Pages of somebody else in a real browser, which reach the service of its user."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from kit.browser import FOREIGN_NAME, Chromium, ForeignSite
from kit.client import Client
from kit.definitions import script as step
from kit.definitions import workflow
from kit.service import Service

# A form cannot send JSON as such, but text that is JSON.
FORM = """<form method="post" enctype="text/plain" action="{url}/workflows/hello">
<input name='{{"inputs": {{"name": "x' value='"}}}}'></form>
<script>document.forms[0].submit()</script>"""

SCRIPT = """<script>
const seen = {{}};
const send = (name, path, options) => fetch("{url}" + path, {{mode: "no-cors", ...options}})
  .then((answer) => {{ seen[name] = answer.type; }}, () => {{ seen[name] = "failed"; }});
const read = send("read", "/executions", {{mode: "cors"}});
const socket = new Promise((done) => {{
  const ws = new WebSocket("{socket}/executions/{execution}/ws");
  ws.onopen = () => {{ seen.socket = "open"; done(); }};
  ws.onerror = () => {{ seen.socket = "failed"; done(); }};
}});
Promise.all([
  read, socket,
  send("empty", "/workflows/hello", {{method: "POST"}}),
  send("text", "/workflows/hello", {{method: "POST", body: '{{"inputs": {{"name": "x"}}}}'}}),
  send("beacon", "/ssh_keys", {{method: "POST", keepalive: true, body: "{{}}"}}),
  send("remove", "/executions/{execution}", {{method: "DELETE", mode: "cors"}}),
]).then(() => fetch("/", {{method: "POST", body: JSON.stringify(seen)}}));
</script>"""


INPUTS = {"name": {"type": "string", "default": "nobody"}}


def done(client: Client) -> tuple[int, int]:
    """Number of executions, and of SSH keys."""
    executions = client.send("GET", "/executions?page_size=1").headers["X-Pagination"]
    return json.loads(executions)["total"], len(client.get("/ssh_keys")["ssh_keys"])


def posts_refused(client: Client) -> int:
    """Number of POST requests that were answered with 403."""
    metrics = client.send("GET", "/metrics").text
    counted = re.search(
        r'^slipway_requests_total\{method="POST",status="403"\} ([0-9.]+)$', metrics, re.M
    )
    return int(float(counted[1])) if counted else 0


def script(service: Service, execution: str) -> str:
    socket = service.url.replace("http:", "ws:")
    return SCRIPT.format(url=service.url, socket=socket, execution=execution)


def test_a_form_of_a_foreign_page_launches_nothing(
    shared_service: Service, client: Client, chromium: Chromium
) -> None:
    before = done(client)
    with ForeignSite(FORM.format(url=shared_service.url)) as site:
        shown = html.unescape(chromium.show(site.url))
    assert "foreign_origin" in shown
    assert site.url in shown, "it says whose page it was"
    assert done(client) == before


def test_a_script_of_a_foreign_page_does_nothing_and_reads_nothing(
    shared_service: Service, client: Client, chromium: Chromium
) -> None:
    execution = client.launch("hello")
    client.wait(execution)
    before, refused = done(client), posts_refused(client)
    with ForeignSite(script(shared_service, execution)) as site:
        seen = json.loads(chromium.visit(site))
    assert set(seen.values()) == {"failed"}, "it may not know that there was an answer, either"
    assert posts_refused(client) == refused + 3, "they were sent"
    assert done(client) == before


@pytest.mark.usefixtures("no_faults")
def test_a_page_of_a_listed_origin_may(
    new_service: Callable[..., Service], chromium: Chromium
) -> None:
    with ForeignSite() as site:
        service = new_service(env={"SLIPWAY_API__ALLOWED_ORIGINS": f"[{site.url}]"}).start()
        client = service.client()
        first = client.run(workflow("hello", step("a", "true"), inputs=INPUTS))
        before = done(client)
        site.page = script(service, first)
        seen = json.loads(chromium.visit(site))
    assert (seen["read"], seen["socket"]) == ("failed", "open")
    assert done(client) == (before[0] + 2, before[1] + 1)


def test_a_foreign_name_that_leads_here_gets_nothing(
    shared_service: Service, chromium: Chromium
) -> None:
    port = urlsplit(shared_service.url).port
    shown = chromium.show(f"http://{FOREIGN_NAME}:{port}/workflows")
    assert "unknown_host" in shown
    assert "hello" not in shown
