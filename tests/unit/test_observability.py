"""What never stands in a log, however it got there."""

from __future__ import annotations

import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.observability import _SECRET_TEXTS, configure_logging, redact

KEY = "slw_" + "aB3" * 15 + "c"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjF9.c2lnbmF0dXJlLW9mLWl0"
SECRETS = [KEY, KEY[:20], KEY.replace("_", "%5F"), TOKEN, TOKEN.rpartition(".")[0] + "."]


@pytest.fixture
def logged(capsys):
    """Return what a service writes down, in a form, of what is logged by a function."""
    before, level = logging.getLogger().handlers, logging.getLogger().level

    def logged(log_format, log):
        structlog.reset_defaults()
        configure_logging("DEBUG", log_format)
        log()
        return capsys.readouterr().err

    yield logged
    structlog.reset_defaults()
    logging.getLogger().handlers = before
    logging.getLogger().setLevel(level)


def test_the_form_of_a_key_is_what_is_hidden():
    assert len(KEY) == 50
    for secret in SECRETS:
        assert redact(f"/x?api_key={secret}&a=b") == "/x?api_key=***&a=b"
        assert redact(f"got '{secret}', expected") == "got '***', expected"
    assert redact(TOKEN.encode().hex()) == TOKEN.encode().hex()


PIECES = [
    "slw", "sls", "?code=", "&state=", "_", "%5f", "aB3cD9eF", "eyJhbGciOi", "ew", ".", "://",
    "ada", ":", "@", "/", " ", "hvs.", "hvb", "k" * 20, "/ssh_keys/", "-----BEGIN ",
    "RSA PRIVATE KEY-----", "-----END ", "\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_a_text_is_let_through_unread_only_without_any_secret(text):
    hidden = text
    for _, pattern in _SECRET_TEXTS:
        hidden = pattern.sub("***", hidden)
    assert redact(text) == hidden


@pytest.mark.parametrize(
    "text", ["slw_abcd", "app.identity.authenticators.py", "eyes.only.please", "1.2.3", "ewe.lamb"]
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("secret", SECRETS)
class TestLogs:
    def test_texts_fields_and_what_is_nested_in_them(self, logged, log_format, secret):
        def log():
            structlog.get_logger("a").info(
                f"said {secret}", text=secret, data={"x": [secret, {"y": (secret,)}]},
                raw=secret.encode(), error=ValueError(secret), count=7,
            )  # fmt: skip

        written = logged(log_format, log)
        assert secret not in written
        assert "***" in written
        assert "7" in written

    def test_tracebacks(self, logged, log_format, secret):
        def log():
            try:
                raise ValueError(f"cannot take {secret}") from KeyError(secret)
            except ValueError:
                structlog.get_logger("a").exception("failed")
                logging.getLogger("library").exception("failed with %s", secret)

        written = logged(log_format, log)
        assert secret not in written
        assert "ValueError: cannot take ***" in written

    def test_libraries(self, logged, log_format, secret):
        written = logged(
            log_format, lambda: logging.getLogger("library").warning("%s and %r", secret, [secret])
        )
        assert secret not in written
        assert "***" in written


def test_values_that_hold_no_secret_are_written_as_they_are(logged):
    written = logged(
        "json", lambda: structlog.get_logger("a").info("x", a=[1, None], b={"c": True}, password=1)
    )
    event = json.loads(written)
    assert (event["a"], event["b"], event["password"]) == ([1, None], {"c": True}, "***")
