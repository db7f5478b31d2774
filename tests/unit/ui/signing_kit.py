"""Somebody at a page of a service that runs within the process of the tests."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from service_kit import PASSWORDS, Service

OWN = {"Origin": "http://localhost"}


class Guest:
    """Somebody with a browser that runs no scripts."""

    def __init__(self, service: Service) -> None:
        self._client = service.web.app.test_client()

    def sign_in(self, name: str) -> Guest:
        answer = self.post("/ui/sign-in", username=name, password=PASSWORDS[name])
        assert answer.status_code == 303, answer.text
        return self

    def get(self, path: str, **more: Any) -> Any:
        return self._client.get(path, **more)

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        """Send a form with exactly these fields."""
        return self._client.post(path, data=fields, headers={**OWN, **(headers or {})})

    def token(self, path: str = "/ui/account") -> str:
        found = re.search(r'name="csrf-token" content="(\w+)"', self.get(path).text)
        assert found, path
        return found[1]

    def send(self, path: str, **fields: Any) -> Any:
        """Send a form as the page has it, with the token of the session."""
        return self.post(path, csrf_token=self.token(), **fields)

    def notice(self, path: str = "/ui/account") -> str:
        """Return what the next page says of what was done."""
        return said(self.get(path).text, "status")


def said(page: str, role: str) -> str:
    """Return what stands in the elements of a role that a page shows."""
    found = re.findall(rf'<(?:p|div) class="banner[^"]*" role="{role}"[^>]*>(.*?)</', page, re.S)
    return unescape(" ".join(found))


def faults(page: str) -> str:
    """Return what stands beside the fields of a page, with a small letter at the beginning."""
    found = re.findall(r'<ul class="faults".*?</ul>', page, re.S)
    texts = re.findall(r"<li>(.*?)</li>", " ".join(found), re.S)
    return unescape(" ".join(text[:1].lower() + text[1:] for text in texts))
