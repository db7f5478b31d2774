"""Ten executions open in ten tabs, by somebody who may send sixty requests a minute."""

from __future__ import annotations

import json
from collections.abc import Callable

from kit.pages import Visitor
from kit.service import Service
from kit.stress import scaled
from playwright.sync_api import Response

TABS = 10
USERS = {"ada": "ada has a long password", "root": "root has a longer password"}
LINES = {
    "id": "talks",
    "name": "Talks",
    "steps": [
        {"id": "talk", "type": "script",
         "config": {"script": "while true; do echo line; sleep 0.5; done"}},
    ],
}  # fmt: skip


def test_ten_executions_stay_open_within_the_limit(
    start: Callable[..., Service], visits: Callable[..., Visitor]
) -> None:
    users = [
        {"username": name, "password": password, "roles": ["admin"]}
        for name, password in USERS.items()
    ]
    service = start(
        API__RATE_LIMIT__REQUESTS_PER_MINUTE=60, API__AUTH__TYPE="basic",
        API__AUTH__USERS=json.dumps(users), ENGINE__MAX_PARALLEL_TASKS=TABS,
    )  # fmt: skip
    client = service.client("ada", USERS["ada"])  # whose requests are counted apart
    client.upload(LINES)
    visitor = visits(service.url)
    refused: list[str] = []

    def note(response: Response) -> None:
        if response.status == 429:
            refused.append(response.url)

    visitor.context.on("response", note)
    visitor.sign_in("root", USERS["root"])
    tabs = []
    for number in range(TABS):
        execution = client.launch("talks")
        client.wait(execution, "RUNNING")
        page = visitor.page if number == 0 else visitor.context.new_page()
        page.goto(f"/ui/executions/{execution}" + ("/log" if number % 2 else ""))
        tabs.append(page)
    tabs[0].wait_for_timeout(scaled(300, 15) * 1000)
    assert refused == []
    for page in tabs:
        page.bring_to_front()
        page.locator("#live.on").wait_for()
