"""An API key in every place where one may be sent by mistake: nothing that is kept holds it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
import requests
import websocket
from kit.fixtures import SETTINGS
from kit.patience import PATIENCE_SECONDS
from kit.secrets import command_lines, leaks
from kit.service import Service, run_slipway

UNIT = Path(__file__).parents[1] / "unit"
ROOT = ("root", "the password of root")
DIALECT = """
from dataclasses import replace
from flask import request
from app.resources._permissions import public
from toy_dialect import DIALECT, blueprint

@blueprint.route("/crash", methods=["GET", "POST"])
@public
def crash():
    raise RuntimeError(request.url, request.get_data(), request.headers.get("X-API-Key"))

V1 = replace(DIALECT, name="v1", prefix="/api/v1", takes_query_keys=True)
"""
PATHS = (
    "/api/v1/tallies/executions", "/api/v1/tallies/crash", "/api/v1/nothing", "/executions",
    "/executions/x", "/workflows", "/workflows/x", "/nothing", "/health", "/docs", "/docs/",
    "/api_keys", "/users/x", "/audit", "/executions/x/logs", "/executions/x/ws", "/auth/token",
)  # fmt: skip
"""Answered 200, 401, 404, 405, 422 and 500, by one method or the other."""


@pytest.fixture(scope="module", params=["json", "console"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("kept")
    (folder / "dialect_of_the_test.py").write_text(DIALECT, encoding="utf-8")
    env = {
        **SETTINGS,
        "PYTHONPATH": f"{folder}:{UNIT}",
        "SLIPWAY_API__DIALECTS": "[root, 'dialect_of_the_test:V1']",
        "SLIPWAY_API__AUTH__TYPE": "[basic, api_key]",
        "SLIPWAY_API__MAX_BODY_BYTES": "20000",
        "SLIPWAY_OBSERVABILITY__LOG_FORMAT": request.param,
        "SLIPWAY_OBSERVABILITY__LOG_LEVEL": "DEBUG" if request.param == "json" else "INFO",
        "SLIPWAY_OBSERVABILITY__ACCESS_LOG": "all",
    }
    where = ("--data-dir", folder / "data")
    added = run_slipway("user", "add", "root", "--role", "admin", *where, env=env, typed=ROOT[1])
    assert added.returncode == 0, added.stderr
    made = Service(folder, env=env)
    made.user = ROOT
    try:
        yield made.start()
    finally:
        made.end()


def misplaced(url: str, key: str) -> Iterator[requests.Response]:
    """Send the key wherever one may be sent, and give what is answered."""
    with requests.Session() as session:
        session.trust_env = False

        def send(method: str, path: str, **more: object) -> requests.Response:
            answer = session.request(
                method, url + path, timeout=PATIENCE_SECONDS, allow_redirects=False, stream=True,
                **more,  # type: ignore[arg-type]
            )  # fmt: skip
            if answer.headers["Content-Type"].startswith("text/event-stream"):
                answer._content = next(answer.iter_content(1000))
                answer.close()
            return answer

        queries = (
            f"api_key={key}", f"api%5Fkey={key}", f"api_key={key}&api_key={key}", f"page={key}",
            f"x={key.replace('_', '%5F')}", f"{key}=1", f"ticket={key}",
        )  # fmt: skip
        for path, query, auth in product(PATHS, queries, (None, ROOT)):
            yield send("GET", f"{path}?{query}", auth=auth)
        for path, query in product(PATHS, queries[:3]):
            yield send("POST", f"{path}?{query}", json={}, auth=ROOT)
            yield send("DELETE", f"{path}/{key}?{query}", auth=ROOT)
        for path in PATHS:
            yield send("POST", path, headers={"X-API-Key": key}, json={})
            yield send("POST", path, auth=("root", key), json={})
            yield send("POST", path, auth=(key, key), json={})
            for body in (f'{{"name": "{key}', f'{{"{key}": 1}}', f'{{"roles": ["{key}"]}}'):
                yield send("POST", path, auth=ROOT, data=body)
            yield send("POST", f"{path}?api_key={key}", auth=ROOT, data=key * 1000)  # 413
            yield send("PUT", f"{path}/{key}", auth=ROOT, data=key)
        for field in ("Accept", "Idempotency-Key", "Last-Event-ID", "X-Request-ID", "Origin"):
            yield send("POST", "/workflows/x", auth=ROOT, headers={field: key})
        yield send("GET", f"/executions/events?ticket={key}&api_key={key}")
        yield send("GET", f"/executions/events?api_key={key}", auth=ROOT)
        for _ in range(25):  # until it is 429
            yield send("GET", f"/executions?api_key={key}", headers={"X-API-Key": f"{key[:-1]}!"})


def test_a_key_is_in_nothing_that_is_kept_or_answered(service: Service) -> None:
    client = service.client()
    key = client.send("POST", "/api_keys", json={"name": "kept"}).json()["key"]
    found, statuses = [], set()
    for answer in misplaced(service.url, key):
        statuses.add(answer.status_code)
        found += leaks(answer.request.method or "", f"{answer.text} {answer.headers}", [key])
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(
            f"{service.url.replace('http', 'ws')}/executions/x/ws?api_key={key}",
            timeout=PATIENCE_SECONDS,
        )
    assert {200, 401, 404, 405, 413, 422, 429, 500} <= statuses
    found += leaks("metrics", client.send("GET", "/metrics").text, [key])
    found += leaks("audit", client.send("GET", "/audit?page_size=1000").text, [key])
    found += leaks("log", service.log, [key])
    found += leaks("command lines", command_lines([service.pid, *service.children()]), [key])
    assert "Traceback" in service.log, "the crash is told, without it"
    with closing(sqlite3.connect(service.data_dir / "slipway.db")) as store:
        found += leaks("store", "\n".join(store.iterdump()), [key])
    assert found == []
