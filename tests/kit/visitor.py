"""Somebody with a browser that knows no script: follows redirects, keeps cookies, sends forms."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests

_REFUSES = frozenset({"abort"})
_MOST_PAGES = 10


class _Forms(HTMLParser):
    """Reads the first form of a page with the fields that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.method = "get"
        self.fields: dict[str, str] = {}
        self.buttons: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action, self.method = given.get("action", ""), given.get("method", "get").lower()
        elif tag in ("input", "button") and "name" in given:
            found = self.buttons if tag == "button" else self.fields
            found[given["name"]] = given.get("value", "")


class Visitor:
    """One browser with its cookies.

    Args:
        login: The name that is written into forms.

    Attributes:
        session: What it keeps.
        pages: Every page that it was shown, with those that sent it elsewhere.
    """

    def __init__(self, login: str = "ada") -> None:
        self._filled = {"login": login, "password": "any"}
        self.session = requests.Session()
        self.session.trust_env = False
        self.pages: list[requests.Response] = []

    def open(self, url: str, **options: Any) -> requests.Response:
        """Open an address, following redirects."""
        return self._note(self.session.get(url, timeout=60, **options))

    def sign_in(self, url: str, *, until: str | None = None) -> requests.Response:
        """Open an address, and send each form that comes until there is none.

        Args:
            url: The address.
            until: Stop where a redirect leads to an address that begins so, without opening it.

        Returns:
            The last answer; with ``until`` the redirect.
        """
        answer = self._follow("GET", url, until)
        for _ in range(_MOST_PAGES):
            form = self._form(answer)
            if answer.is_redirect or form is None:
                return answer
            method, action, fields = form
            answer = self._follow(method, action, until, data=fields)
        raise AssertionError(f"forms without end, at {answer.url}")

    def _follow(self, method: str, url: str, until: str | None, **options: Any) -> Any:
        answer = self.session.request(method, url, timeout=60, allow_redirects=False, **options)
        for _ in range(_MOST_PAGES):
            self._note(answer)
            if not answer.is_redirect:
                return answer
            target = urljoin(answer.url, answer.headers["Location"])
            if until is not None and target.startswith(until):
                return answer
            answer = self.session.get(target, timeout=60, allow_redirects=False)
        raise AssertionError(f"redirects without end, at {answer.url}")

    def _form(self, answer: requests.Response) -> tuple[str, str, dict[str, str]] | None:
        if "html" not in answer.headers.get("Content-Type", ""):
            return None
        forms = _Forms()
        forms.feed(answer.text)
        if forms.action is None or forms.method != "post":
            return None
        pressed = {n: v for n, v in list(forms.buttons.items())[:1] if n not in _REFUSES}
        filled = {n: self._filled.get(n, v) for n, v in forms.fields.items()}
        return "POST", urljoin(answer.url, forms.action), {**filled, **pressed}

    def _note(self, answer: requests.Response) -> requests.Response:
        self.pages += [*answer.history, answer]
        return answer
