"""What every address of the page has in common, whatever it is asked and by whom."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from access_kit import AUTH, Endpoint, Things, endpoints, new_session
from kit.stress import scaled
from service_kit import PASSWORDS, Service, basic, open_service
from signing_kit import OWN

from app.resources._every_answer import POLICY as NOTHING
from app.ui import _assets
from app.ui._render import POLICY

LISTED = "https://listed.example"
"""An origin whose pages may use the API."""
FORM = "application/x-www-form-urlencoded"
FOREIGN = [LISTED, "https://evil.example", "null", "http://localhost:1", "http://localhost.evil"]
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICIES = {True: [[POLICY]], False: [[NOTHING], [POLICY], [_assets.POLICY]]}
"""The policies of what is a page, and of what is none."""
TRICKS = [
    {}, {"HX-Request": "true"}, {"X-Requested-With": "slipway-page"},
    {"Accept": "application/json"}, {"If-None-Match": "*"}, {"Range": "bytes=0-0"},
    {"HX-Request": "true", "HX-Target": '"><script>', "HX-Current-URL": "https://evil.example"},
    {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "//evil.example"},
]  # fmt: skip
"""What somebody may send beside an address."""
TEXTS = [
    "", " ", "0", "-1", "1", "9" * 30, "1e999", "NaN", "true", "null", "[]", "{}", "\0", "\x1b[31m",
    "\u202e", "\ud800", "ü", "😀", "%", "%00", "%ff", "..", "../..", "//evil.example", "<script>",
    "javascript:alert(1)", "'\"`", "a\r\nSet-Cookie: x=y", "x" * 5000, "[" * 5000, '{"a":' * 2000,
    "2026-13-45T99:99:99Z", "2026-11-27", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "P1D",
    "mine", "all", "RUNNING", "SUCCESS", "first", "int:", "$(id)", "${{ inputs.x }}", "- a: [",
    "&a [*a]", "!!python/object:os.system x", "id: x\nsteps: 7\n", "١٢", "½", "1_0", "+1", " 1",
    "upload", "yes", "rich",
]  # fmt: skip
RICH = """
id: rich
inputs:
  text: {type: string, pattern: "[a-z]+", maxLength: 9}
  whole: {type: integer, minimum: 1, maximum: 9}
  part: {type: number, required: false}
  flag: {type: boolean}
  one: {type: string, enum: [a, b]}
  list: {type: array, items: {type: integer}}
  pair: {type: object, default: {}}
steps:
  - {id: first, type: script, config: {script: "true"}}
"""
UI = Path(_assets.__file__).parent
_READ = re.compile(r"""(?:posted|posted_all|_whole|_number|args\.get(?:list)?)\("(\w+)""")
NAMES = sorted(
    {name for path in UI.glob("*.py") for name in _READ.findall(path.read_text(encoding="utf-8"))}
    | {f"{part}:{name}" for part in ("input", "given", "kind")
       for name in ("text", "whole", "part", "flag", "one", "list", "pair", "")}
    | {"status", "owner", "since", "until", "workflow", "label", "action", "actor", "target"}
)  # fmt: skip
"""What pages read, and the filters of lists."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = open_service(
        tmp_path_factory.mktemp("guarded"), api__auth=AUTH, api__cors__origins=[LISTED],
    )  # fmt: skip
    (made.settings.workflows_dir / "rich.yaml").write_text(RICH, encoding="utf-8")
    yield made
    made.close()


@pytest.fixture(scope="module")
def pages(service: Service) -> list[Endpoint]:
    return [each for each in endpoints(service) if each.is_page]


@pytest.fixture(scope="module")
def things(service: Service) -> Things:
    return Things(service)


def address(each: Endpoint, things: Things, owner: str = "root") -> str:
    """Return one of an address that leads to something."""
    return each.fill(things.of(each.place, owner)[0] if each.place else "")


def session(service: Service) -> dict[str, str]:
    return new_session(service, basic("root", PASSWORDS["root"]))


def ask(service: Service, each: Endpoint, path: str, **more: Any) -> Any:
    client = service.web.app.test_client(use_cookies=False)
    return client.open(path, method=each.method, **more)


def test_every_answer_says_what_browsers_must_not_do_with_it(
    service: Service, pages: list[Endpoint], things: Things
) -> None:
    wrong = []
    held = {**session(service), **OWN}
    for each in pages:
        for headers in [{**by, **trick} for by in ({}, held) for trick in TRICKS]:
            path = address(each, things)
            answer = ask(service, each, path, headers=headers)
            if each.method != "GET" and answer.status_code < 400:
                things.used_up(each.place or "", "root")
                held = {**session(service), **OWN}
            wrong += [f"{each.method} {path} {headers}: {fault}" for fault in faults(answer)]
    assert not wrong, "\n".join(wrong)


def faults(answer: Any) -> Iterator[str]:
    """Tell what an answer lacks, or has too much."""
    headers = answer.headers
    for name, value in HEADERS.items():
        if headers.getlist(name) != [value]:
            yield f"{answer.status}: {name}: {headers.getlist(name)}"
    if headers.getlist("Content-Security-Policy") not in POLICIES[is_page(answer)]:
        yield f"{answer.status}: policy {headers.getlist('Content-Security-Policy')}"
    kept = headers.get("Cache-Control", "")
    if "/ui/assets/" not in answer.request.path and kept != "no-store":
        yield f"{answer.status}: kept: {kept!r}"
    for name in ("WWW-Authenticate", "Access-Control-Allow-Credentials"):
        if name in headers:
            yield f"{answer.status}: {name}"
    if not headers.get("Location", "/ui/").startswith("/ui/"):
        yield f"{answer.status}: leads to {headers['Location']}"
    if answer.status_code >= 500:
        yield answer.status


def is_page(answer: Any) -> bool:
    """Whether an answer is one that a browser shows as a page."""
    return answer.mimetype == "text/html" and bool(answer.data)


def test_no_form_is_taken_that_the_page_has_not_sent(
    service: Service, pages: list[Endpoint], things: Things
) -> None:
    wrong = []
    for each in pages:
        if each.method == "GET":
            continue
        held = session(service)
        token = held.pop("X-CSRF-Token")
        cookie = held["Cookie"]
        tries = [
            (OWN, {}), (OWN, {"csrf_token": ""}), (OWN, {"csrf_token": "0" * 64}), ({}, {}),
            *(({"Origin": origin}, {"csrf_token": token}) for origin in FOREIGN),
            ({"Sec-Fetch-Site": "cross-site"}, {"csrf_token": token}),
            ({"Sec-Fetch-Site": "same-site"}, {"csrf_token": token}),
        ]  # fmt: skip
        if each.rule == "/ui/sign-in":  # nobody has a session yet
            tries = tries[4:]
        for headers, fields in tries:
            path = address(each, things)
            answer = ask(service, each, path, headers={**headers, "Cookie": cookie}, data=fields)
            if answer.status_code != 403:
                wrong.append(f"{path} {headers} {fields}: {answer.status}")
    assert not wrong, "\n".join(wrong)


def test_where_nobody_signs_in_forms_of_others_are_refused_too(
    tmp_path: Path, pages: list[Endpoint]
) -> None:
    service = open_service(tmp_path, api__cors__origins=[LISTED])
    wrong = []
    for each in pages:
        if each.method == "GET":
            continue
        for origin in FOREIGN:
            path = each.fill("x")
            answer = ask(service, each, path, headers={"Origin": origin})
            if answer.status_code != 403:
                wrong.append(f"{path} {origin}: {answer.status}")
    service.close()
    assert not wrong, "\n".join(wrong)


def test_no_query_and_no_form_breaks_a_page(
    service: Service, pages: list[Endpoint], things: Things
) -> None:
    chance = random.Random(16)
    wrong = []
    held = {**session(service), **OWN}
    for each in pages:
        for _ in range(scaled(2000, 8)):
            words = [*things.of(each.place, "root"), *TEXTS] if each.place else [""]
            given = {
                chance.choice(NAMES): chance.choice(TEXTS) for _ in range(chance.randint(0, 5))
            }
            sent = {"query_string" if each.method == "GET" else "data": written(given)}
            headers = {**held, **chance.choice(TRICKS), "Content-Type": FORM}
            path = each.fill(quote(chance.choice(words), safe="", errors="surrogatepass"))
            answer = ask(service, each, path, headers=headers, **sent)
            if each.method != "GET" and answer.status_code < 400:
                things.used_up(each.place or "", "root")
                held = {**session(service), **OWN}
            wrong += [f"{each.method} {path} {given}: {fault}" for fault in faults(answer)]
    assert not wrong, "\n".join(wrong)


def written(fields: dict[str, str]) -> str:
    """Write a form, also what no browser could (URL standard, 5.2)."""
    return "&".join(
        f"{quote(name)}={quote(text, errors='surrogatepass')}" for name, text in fields.items()
    )
