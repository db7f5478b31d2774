"""Secrets are hidden in what is given to others, and what is none is not."""

from __future__ import annotations

import pytest

from app.domain import LogEntry
from app.services.hiding import Hiding

KEY = [
    "-----BEGIN OPENSSH PRIVATE KEY-----", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU" * 2, "AAAABG5vbmUAAAA",
    "-----END OPENSSH PRIVATE KEY-----",
]  # fmt: skip


def entry(content, task="a", stream=1):
    return LogEntry(0, 2, 0, task, content, stream)


def hidden(hiding, *contents):
    return [hiding.entry(entry(content)).content for content in contents]


class TestTexts:
    def test_what_is_given_to_names_of_secrets_is_hidden_wherever_it_stands(self):
        hiding = Hiding({"password": "geheim", "n": 3}, {"login": {"api_token": ["other one"]}})
        assert hiding.text("x geheim y geheim, other one") == "x *** y ***, ***"
        assert hidden(hiding, "geheim!") == ["***!"]

    def test_the_longer_of_two_that_begin_alike_is_hidden_as_a_whole(self):
        hiding = Hiding({"password": "geheim", "secret": "geheimer"})
        assert hiding.text("geheimer geheim") == "*** ***"

    def test_short_ones_stand_everywhere(self):
        assert Hiding({"password": "abc"}).text("abcde") == "abcde"

    def test_what_looks_like_a_secret_is_hidden(self):
        text = Hiding().text("postgresql://ada:pass@db/x slw_abcdefghijk hvs." + "a" * 24)
        assert text == "postgresql://***@db/x *** ***"

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("API_TOKEN: abc", "API_TOKEN: ***"),
            ("env: {DB_PASSWORD: abc, X: y}", "env: {DB_PASSWORD: ***, X: y}"),
            ('{"api_key": "a b", "n": 1}', '{"api_key": ***, "n": 1}'),
            ("my-secret='a b' x", "my-secret=*** x"),
            ("password: {type: string}", "password: {type: string}"),
            ("token:\n  type: string", "token:\n  type: string"),
            ("token: ${{ inputs.token }}", "token: ${{ inputs.token }}"),
            ('"token": "${{ inputs.token }}"', '"token": "${{ inputs.token }}"'),
            ("counts tokens fast", "counts tokens fast"),
        ],
    )
    def test_definitions_are_looked_through_for_what_they_give_to_such_names(self, text, shown):
        assert Hiding().definition(text) == shown

    def test_a_long_word_takes_no_longer_than_its_length_says(self):
        # Where the time grew with the square of the length, this would take minutes.
        for word in ("a" * 500_000, "a." * 250_000, "password" * 60_000, "token: " * 70_000):
            Hiding().definition(word)


class TestValues:
    def test_names_of_secrets_and_looks_of_them_are_hidden_at_any_depth(self):
        value = {"a": [{"Password": 5, "b": "slw_abcdefgh"}], "n": 1, "none": None, "t": True}
        shown = {"a": [{"Password": "***", "b": "***"}], "n": 1, "none": None, "t": True}
        assert Hiding().value(value) == shown

    def test_nothing_else_is_changed(self):
        value = {"x": ["y", 1.5, {"z": ""}]}
        assert Hiding({"password": "geheim"}).value(value) == value


class TestPrivateKeys:
    def test_a_key_that_goes_on_over_lines_is_hidden_to_its_end(self):
        assert hidden(Hiding(), "before", *KEY, "behind") == [
            "before", "***", "***", "***", "***", "behind",
        ]  # fmt: skip

    def test_a_key_within_one_entry_is(self):
        assert hidden(Hiding(), "\n".join(KEY), "behind") == ["***", "behind"]

    def test_what_others_say_meanwhile_is_not(self):
        hiding = Hiding()
        assert hiding.entry(entry(KEY[0])).content == "***"
        assert hiding.entry(entry("fine", task="b")).content == "fine"
        assert hiding.entry(entry("fine", stream=2)).content == "fine"
        assert hiding.entry(entry(KEY[1])).content == "***"

    def test_a_key_that_began_before_is_hidden_from_where_it_shows(self):
        entries = [entry("before"), entry(KEY[1]), entry("fine", task="b"), *map(entry, KEY[2:])]
        shown = [each.content for each in Hiding().entries([*entries, entry("behind")])]
        assert shown == ["before", "***", "fine", "***", "***", "behind"]
        assert Hiding().text("\n".join(["exit code 1:", *KEY[1:], "x"])) == "exit code 1:\n***\nx"

    def test_of_a_text_no_more_than_a_key_has_is_hidden_before_its_end(self):
        def hidden_of(*lines):
            return Hiding().text("\n".join([*lines, KEY[-1]]))

        line = "A" * 64
        assert hidden_of("x y", *[line] * 201) == "x y\n***"
        assert hidden_of(*[line] * 202) == f"{line}\n***"
        assert hidden_of("A" * 101) == "A" * 101 + "\n***"
        assert hidden_of(line, "A" * 39) == "***"
        assert hidden_of("A" * 39, line) == "A" * 39 + "\n***"
        assert hidden_of(f"{KEY[-1]}rest", line) == "***rest\n***"
        assert hidden_of(f"{KEY[-1]}rest") == "***rest\n***"

    def test_many_lines_are_looked_at_once(self):
        # Where each was tried as the first of as many as a key may have, this would take long.
        text = ("A" * 64 + "\n") * 100_000 + "PRIVATE KEY-----"
        assert Hiding().text(text) == text

    def test_what_hides_anew_knows_the_secrets_and_no_key_that_others_began(self):
        hiding = Hiding({"password": "geheim"})
        assert hidden(hiding, KEY[0]) == ["***"]
        assert hidden(hiding.anew(), "geheim", "plain") == ["***", "plain"]
        assert hidden(hiding, "plain") == ["***"]

    def test_a_key_without_an_end_hides_no_more_than_a_key_has(self):
        shown = hidden(Hiding(), KEY[0], *["line"] * 500)
        assert shown[:201] == ["***"] * 201
        assert shown[201:] == ["line"] * 300
