"""Trying SSH keys and replacing them on the page, in a real browser, with a real sshd."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.fixtures import SETTINGS
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.servers.sshd import HOST, SshServer
from kit.service import Service
from playwright.sync_api import Page
from sqlalchemy import select

from app.store.database import Database
from app.store.schema import operations


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    made = SshServer()
    yield made
    made.end()


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that takes connections and says nothing."""
    with socket.create_server((HOST, 0)) as made:
        yield made


@pytest.fixture
def gateway(
    new_service: Callable[..., Service], server: SshServer, silent: socket.socket, tmp_path: Path
) -> Service:
    """A service with clusters of which only the login is there, if that."""
    found = [server.as_cluster(name, tmp_path) for name in ("hpc", "spare")]
    more = {"port": silent.getsockname()[1], "connect_timeout": "600s"}
    found.append(server.as_cluster("silent", tmp_path, **more))
    return new_service(env={**SETTINGS, "SLIPWAY_ORCHESTRATORS": json.dumps(found)}).start()


def make(service: Service, **metadata: str) -> str:
    """Make a key pair; return its line for authorized_keys."""
    made = service.client().send("POST", "/ssh_keys", json={"metadata": metadata})
    assert made.status_code == 201, made.text
    return f"restrict {made.json()['public_key']}"


def checked(page: Page, scheme: str = "light") -> None:
    assert (page.url, axe(page, scheme), sideways(page)) == (page.url, [], 0)


def titled(page: Page, title: str) -> None:
    page.get_by_role("heading", level=1, name=title).wait_for()


def test_a_key_is_tried_and_replaced(
    gateway: Service, server: SshServer, visits: Callable[..., Visitor]
) -> None:
    server.let_in(make(gateway, name="laptop", cluster="hpc"))
    page = visits(gateway.url, viewport=DESK).open("/ui/keys")
    page.get_by_role("link", name="Test… laptop").click()
    checked(page)
    assert page.get_by_role("radio", name="hpc").is_checked(), "as the metadata say"
    page.get_by_role("button", name="Test key").click()
    titled(page, "The key laptop logs in")
    checked(page)
    logins = server.logins
    page.reload()
    titled(page, "The key laptop logs in")
    assert server.logins == logins, "loading it again tries nothing"

    page.goto("/ui/keys")
    page.get_by_role("link", name="Replace… laptop").click()
    checked(page)
    page.get_by_role("button", name="Make the new key").click()
    titled(page, "The new key for laptop is made")
    checked(page)
    line = page.get_by_role("group", name="Line for authorized_keys").inner_text()
    assert re.fullmatch(r"restrict ssh-ed25519 \S+ slipway-\w{8}", line)
    page.get_by_role("button", name="Copy Line for authorized_keys").click()
    page.get_by_role("button", name="Copy Line for authorized_keys").get_by_text(
        "Copied"
    ).wait_for()
    page.go_back()  # and the same form again: it makes no other one, and tries none
    page.get_by_role("button", name=re.compile("Make the new key|Try the new key")).wait_for()
    page.goto("/ui/keys")
    page.get_by_role("link", name="Replace… laptop").click()
    server.let_in(line)
    page.get_by_role("button", name="Try the new key").click()
    titled(page, "The key laptop is replaced")
    checked(page)
    page.get_by_role("main").get_by_role("link", name="Your keys").click()
    assert page.get_by_role("rowheader", name="laptop").count() == 1
    page.get_by_text("Line for authorized_keys").click()
    assert page.get_by_text(line).is_visible()


def test_what_is_refused_says_why_also_on_a_phone_without_scripts(
    gateway: Service, visits: Callable[..., Visitor]
) -> None:
    line = make(gateway, name="phone", cluster="spare")
    page = visits(gateway.url, viewport=PHONE, java_script_enabled=False).open("/ui/keys")
    page.get_by_role("link", name="Test… phone").click()
    page.get_by_role("button", name="Test key").click()
    titled(page, "The key phone does not log in")
    assert "authorized_keys" in page.get_by_role("alert").inner_text()
    assert page.get_by_text(line).is_visible()
    page.get_by_role("link", name="Test again…").click()
    page.get_by_role("button", name="Test key").click()
    titled(page, "The key phone could not be tried")  # so soon
    page = visits(gateway.url, viewport=PHONE).open(page.url)
    checked(page, "dark")


def test_what_takes_long_is_told_as_it_goes_on(
    gateway: Service, silent: socket.socket, visits: Callable[..., Visitor]
) -> None:
    make(gateway, name="laptop", cluster="silent")
    client = gateway.client()
    key = client.get("/ssh_keys")["ssh_keys"][0]["id"]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.send, "POST", f"/ssh_keys/{key}/test")
        connection, _ = silent.accept()
        page = visits(gateway.url).open(f"/ui/operations/{the_operation(gateway)}")
        titled(page, "Testing the key laptop")
        checked(page)
        page.get_by_role("link", name="Look again").focus()
        silent.close()
        connection.close()
        titled(page, "The key laptop could not be tried")
        assert page.locator("slip-refresh").count() == 0, "nothing changes any more"
        assert page.evaluate("document.activeElement.id") == "main"
        assert asked.result().status_code in (200, 202)


def the_operation(service: Service) -> str:
    """Return the id of the only operation that there is."""
    database = Database(f"sqlite:///{service.data_dir}/slipway.db")
    with database.read() as connection:
        found = connection.execute(select(operations.c.id)).scalar_one()
    database.dispose()
    return str(found)
