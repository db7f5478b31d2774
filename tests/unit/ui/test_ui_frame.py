"""The frame of all pages: where it leads, what it lets nobody do, and its assets."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from service_kit import Service

from app.ui._assets import STATIC, version

TEMPLATES = STATIC.parent / "templates"
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
REPOSITORY = Path(__file__).parents[3]


def test_the_entrance_leads_to_the_page(opened: Service) -> None:
    assert opened.client.get("/").headers["Location"] == "/ui/"
    assert opened.client.get("/ui/").headers["Location"] == "/ui/workflows"


def test_what_is_not_there_is_a_page(opened: Service) -> None:
    answer = opened.client.get("/ui/nothing")
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert "<h1>Not found</h1>" in answer.text
    assert "There is no such page." in answer.text


@pytest.mark.parametrize("status", [HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.BAD_REQUEST])
def test_what_the_server_refuses_by_itself_is_a_page(opened: Service, status: HTTPStatus) -> None:
    answer = opened.web.dialects.refuse("/ui/new-definition", status, "It is too large.")
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert "It is too large." in answer.get_data(as_text=True)
    assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_page_may_load_nothing_from_elsewhere_and_is_kept_nowhere(opened: Service) -> None:
    headers = opened.client.get("/ui/nothing").headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", list(TEMPLATES.rglob("*.html")), ids=lambda p: p.name)
def test_templates_hold_nothing_inline(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""\s(style|on[a-z]+|hx-on[^=]*)\s*=\s*["']""", text)
    assert not re.search(r"<style|javascript:|hx-vals=.js:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r"hx-trigger=[^>]*\[", text), "filters fail open without eval"
    assert "|safe" not in text.replace(" ", "")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_scripts_make_no_html_of_texts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)


def test_assets_are_kept_for_good_and_compressed(browser_of: FlaskClient) -> None:
    address = f"/ui/assets/{version()}/css/slipway.css"
    plain = browser_of.get(address)
    packed = browser_of.get(address, headers={"Accept-Encoding": "gzip"})
    assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert browser_of.get("/ui/assets/old/css/slipway.css").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "name",
    ["../__init__.py", "css/../../__init__.py", "css", "no.css", "", "css/slipway.css%00.js",
     "x" * 300, "..%2f__init__.py", "%2fetc%2fpasswd", "..%5c__init__.py", "%ff",
     "css/./slipway.css"],
)  # fmt: skip
def test_assets_are_nothing_else(browser_of: FlaskClient, name: str) -> None:
    assert browser_of.get(f"/ui/assets/{version()}/{name}").status_code == 404


def test_assets_of_others_are_those_that_were_fetched() -> None:
    check = [sys.executable, REPOSITORY / ".ci" / "vendor-assets", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_no_page_of_others_signs_somebody_in(opened: Service) -> None:
    elsewhere = {"Origin": "http://localhost:1"}
    form = {"username": "ada", "password": "a password"}
    answer = opened.client.post("/ui/sign-in", data=form, headers=elsewhere)
    assert answer.status_code == 403
    assert answer.mimetype == "text/html"
