"""What a browser takes along to where it signs in, and what is made of what comes back."""

from __future__ import annotations

import pytest

from app.identity.departures import begin, found_again, is_target, make_secret


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/docs?x=1&y=%2F%2Fz", "/executions/a-b_c.d~1", "/a//b", "/:80", "/@b"]
)
def test_a_path_of_the_service_is_a_target(path):
    assert is_target(path)


@pytest.mark.parametrize(
    "path",
    [
        "", "docs", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
        "/docs\\..", "https://evil.example", "https:/evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/\n/evil.example", "/ /evil", "/docs\r\nSet-Cookie: a=b", "/\x00",
        "/\u2028", "/ü", " /docs", "/docs ", "/" + "a" * 512, "/\x7f",
    ],
)  # fmt: skip
def test_nothing_else_is(path):
    assert not is_target(path)


def test_it_is_found_again_by_the_browser_that_began_it():
    secret = make_secret()
    begun = begin(secret, "/docs?x=1")
    assert found_again(secret, begun.state) == begun
    assert begun.target == "/docs?x=1"
    assert len({begun.state, begun.nonce, begun.verifier}) == 3
    assert 43 <= len(begun.verifier) <= 128  # RFC 7636, 4.1


def test_each_one_is_another():
    secret = make_secret()
    one, other = begin(secret, "/docs"), begin(secret, "/docs")
    assert {one.state, one.nonce, one.verifier}.isdisjoint(
        {other.state, other.nonce, other.verifier}
    )
    assert found_again(secret, one.state) == one
    assert found_again(secret, other.state) == other


def test_what_is_made_up_is_not_found():
    secret = make_secret()
    state = begin(secret, "/docs").state
    number, target, proof = state.split(".")
    other = begin(secret, "//evil").state.split(".")
    for wrong in (
        "", ".", "..", "a.b.c", state[:-1], state + "A", state.upper(), f"{number}.{target}.",
        f"{number}.{other[1]}.{proof}", f"{other[0]}.{target}.{proof}", f"{number}.{proof}",
        f"{number}.{target}.{'A' * 43}", f"{number}.****.{proof}", "ü" * 80, "x" * 100_000,
    ):  # fmt: skip
        assert found_again(secret, wrong) is None
    for nobody in ("", "x", make_secret(), secret[:-1], "ü"):
        assert found_again(nobody, state) is None
