"""What a page shows whose reader may not see it any longer."""

from __future__ import annotations

from collections.abc import Callable

from kit.accounts import EVE
from kit.definitions import script, workflow
from kit.pages import Visitor
from kit.service import Service
from playwright.sync_api import expect

USERS = "[{username: root, password: the password of root, roles: [admin]}]"
TICKS = workflow("ticks", script("tick", "while sleep 0.2; do echo tick; done"))


def test_what_somebody_may_not_see_any_more_ends_and_that_is_said(
    new_service: Callable[..., Service], visits: Callable[..., Visitor]
) -> None:
    service = new_service(
        env={
            "SLIPWAY_API__AUTH__TYPE": "basic", "SLIPWAY_API__AUTH__USERS": USERS,
            "SLIPWAY_API__AUTH__RECHECK": "1s",
        }
    )  # fmt: skip
    service.user = ("root", "the password of root")
    service.start()
    client = service.client()
    body = {"username": "eve", "password": EVE, "roles": ["operator"]}
    assert client.send("POST", "/users", json=body).status_code == 201
    execution = client.run(TICKS)
    client.wait(execution, "RUNNING")
    visitor = visits(service.url)
    page = visitor.sign_in("eve", EVE, f"/ui/executions/{execution}")
    log = visitor.context.new_page()
    log.goto(f"/ui/executions/{execution}/log")
    for each in (page, log):
        expect(each.locator("#live")).to_have_text("live")
        expect(each.locator("#let-go")).to_be_hidden()
    expect(log.get_by_text("tick", exact=True).nth(3)).to_be_visible()
    assert client.send("PATCH", "/users/eve", json={"roles": ["user"]}).status_code == 200
    for each in (page, log):
        expect(each.locator("#let-go")).to_contain_text("not live any more")
    shown = log.get_by_text("tick", exact=True).count()
    page.wait_for_timeout(1000)
    assert log.get_by_text("tick", exact=True).count() == shown
    answer = page.reload()
    assert answer is not None
    assert answer.status == 404
    visitor.forgive("status of 404")
    client.cancel(execution)
