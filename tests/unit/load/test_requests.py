import email
import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iteration_kit import URL, Ran, http

from app.load.definition import Body, BodyType, HttpConfig
from app.load.requests import compile_request
from app.load.variables import Scope

VARIABLES = {
    "n": 5,
    "q": "a b&c",
    "host": "h:81",
    "list": [1],
    "text": 'say "hi"',
    "evil": "a\r\nX: y",
}


def written(text):
    """What is left of a text in UTF-8, which does not know halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


def sent(variables=VARIABLES, **config):
    ran = Ran(http(config=config), variables=variables)
    return ran.target.requests[0] if ran.target.requests else ran.messages


class TestUrls:
    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            ({"url": "http://h"}, "http://h"),
            ({"url": "http://h/a#part"}, "http://h/a"),
            ({"url": "http://h/a b?c d"}, "http://h/a%20b?c%20d"),
            ({"url": "http://h/ü?ö"}, "http://h/%C3%BC?%C3%B6"),
            ({"url": "http://bücher.example/"}, "http://xn--bcher-kva.example/"),
            ({"url": "http://h/%41?x=%20"}, "http://h/%41?x=%20"),
            ({"url": "http://${host}/${n}"}, "http://h:81/5"),
            ({"url": "http://h/?q=${q}"}, "http://h/?q=a%20b&c"),
            ({"url": "http://h/${nobody}"}, "http://h/${nobody}"),
            ({"url": "/x", "domain_base_url": "http://b"}, "http://b/x"),
            ({"url": "x/${n}", "domain_base_url": "http://b/v1/"}, "http://b/v1/x/5"),
            ({"url": "?x", "domain_base_url": "http://b/v1"}, "http://b/v1?x"),
            ({"url": "http://h/", "domain_base_url": "http://b"}, "http://h/"),
            ({"url": "x", "domain_base_url": "http://${host}"}, "http://h:81/x"),
            ({"params": {"a": "1", "b c": "d&e=f"}}, "http://h/?a=1&b%20c=d%26e%3Df"),
            ({"params": {"a": "${q}"}}, "http://h/?a=a%20b%26c"),
            ({"query": [{"key": "a", "value": 1}]}, "http://h/?a=1"),
            ({"url": "http://h/?x=1", "params": {"a": "2"}}, "http://h/?x=1&a=2"),
            ({"url": "http://h/?", "params": {"a": "2"}}, "http://h/?a=2"),
            ({"url": "http://h/#x", "params": {"a": "2"}}, "http://h/?a=2"),
        ],
    )
    def test_what_is_asked(self, config, expected):
        assert sent(**config).url == expected

    @pytest.mark.parametrize(
        ("url", "variables"),
        [("${u}", {"u": "ftp://h/"}), ("${u}", {"u": ""}), ("${u}/x", {}),
         ("http://${u}/", {"u": ""}), ("http://${u}/", {"u": "a b"}),
         ("http://${u}/", {"u": "h\r\nX: y"}), ("http://[${u}/", {"u": "x"})],
    )  # fmt: skip
    def test_what_is_no_address_fails_the_step(self, url, variables):
        ran = Ran(http(config={"url": url}), variables=variables)
        assert (ran.steps, ran.target.requests) == ([("s", "failure")], [])
        assert ran.messages[0].startswith("the URL ")

    @given(st.text(max_size=30), st.dictionaries(st.text(min_size=1, max_size=5),
                                                 st.text(max_size=8), max_size=3))  # fmt: skip
    def test_whatever_variables_hold_one_line_of_ascii_is_asked_of_one_host(self, path, params):
        config = HttpConfig("http://h/${p}", params=tuple(
            (name, f"${{v{i}}}") for i, name in enumerate(params)))  # fmt: skip
        values = {f"v{i}": value for i, value in enumerate(params.values())} | {"p": path}
        prepare = compile_request(config, wants_body=False, wants_headers=False)
        url = prepare(Scope(values)).url
        assert url.isascii()
        assert url.isprintable()
        assert " " not in url
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("http", "h")
        if not {"?", "#"} & set(path):
            read = dict(parse_qsl(parts.query, keep_blank_values=True))
            assert read == {written(name): written(value) for name, value in params.items()}


class TestHeaders:
    def headers(self, **config):
        return dict(sent(**config).headers)

    def test_what_stands_where_nothing_is_written(self):
        assert self.headers() == {"Accept": "*/*", "User-Agent": "slipway"}

    def test_what_is_written_goes_before(self):
        assert self.headers(headers={"accept": "a", "user-agent": "b", "X": "${n}"}) == {
            "accept": "a", "user-agent": "b", "X": "5",
        }  # fmt: skip

    def test_several_of_a_name(self):
        items = [{"key": "X", "value": "1"}, {"key": "X", "value": "2"}]
        assert sent(headers=items).headers[-2:] == (("X", "1"), ("X", "2"))

    def test_other_characters_are_utf_8(self):
        assert self.headers(headers={"X": "ü"})["X"].encode("latin-1").decode() == "ü"

    def test_a_line_break_fails_the_step(self):
        assert sent(headers={"X": "${evil}"}) == [
            "the value of the header 'X' is not one line of text"
        ]


class TestBodies:
    def body(self, body, variables=VARIABLES, **config):
        request = sent(variables, method="POST", body=body, **config)
        return dict(request.headers).get("Content-Type"), request.body

    @pytest.mark.parametrize(
        ("body", "content_type", "content"),
        [
            (None, None, b""),
            ({"type": "none"}, None, b""),
            ('{"a": ${n}}', "application/json", b'{"a": 5}'),
            ({"type": "json", "raw": '{"a": "${nobody}"}'}, "application/json",
             b'{"a": "${nobody}"}'),
            ({"type": "xml", "raw": "<a>${n}</a>"}, "application/xml", b"<a>5</a>"),
            ({"type": "text", "raw": "ü ${n}"}, "text/plain; charset=utf-8", "ü 5".encode()),
            ({"a": "${n}", "b": ["${list}", "${n}!"]}, "application/json",
             b'{"a":5,"b":[[1],"5!"]}'),
            ({"a": "${text}"}, "application/json", b'{"a":"say \\"hi\\""}'),
            ([1, 2.5, None, True], "application/json", b"[1,2.5,null,true]"),
            ({"type": "json", "raw": {"x": "${n}"}}, "application/json", b'{"x":5}'),
            ({"type": "x-www-form-urlencoded", "urlencoded": {"a b": "c&d", "e": "${q}"}},
             "application/x-www-form-urlencoded", b"a+b=c%26d&e=a+b%26c"),
            ({"type": "graphql", "raw": "{ hero { name } }"}, "application/json",
             b'{"query":"{ hero { name } }"}'),
            ({"type": "graphql", "raw": '{"query": "q", "variables": {"n": ${n}}}'},
             "application/json", b'{"query": "q", "variables": {"n": 5}}'),
        ],
    )  # fmt: skip
    def test_of_each_type(self, body, content_type, content):
        assert self.body(body) == (content_type, content)

    def test_a_header_says_another_type(self):
        headers = {"content-type": "text/csv"}
        request = sent(method="POST", body="a,b", headers=headers)
        assert [value for name, value in request.headers if name.lower() == "content-type"] == [
            "text/csv"
        ]

    @pytest.mark.parametrize("headers", [{}, {"Content-Type": "multipart/form-data"}])
    def test_a_form_of_parts_is_one(self, headers):
        fields = {"a": "1\r\n2", 'b"c': "${q}", "n": 5}
        content_type, content = self.body(
            {"type": "form-data", "formData": fields}, headers=headers
        )
        message = email.message_from_bytes(
            f"Content-Type: {content_type}\r\n\r\n".encode() + content
        )
        parts = message.get_payload()
        assert [part.get_payload(decode=True) for part in parts] == [b"1\r\n2", b"a b&c", b"5"]
        names = [part.get_param("name", header="content-disposition") for part in parts]
        assert names == ["a", "b%22c", "n"]

    def test_its_boundary_is_no_secret_of_its_variables(self):
        first, second = (
            self.body({"type": "form-data", "formData": {"a": "1"}})[0] for _ in range(2)
        )
        assert first != second

    @given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=10), max_size=4))
    def test_forms_are_read_as_they_were_written(self, fields):
        encodable = {written(name): written(value) for name, value in fields.items()}
        body = Body(BodyType.URLENCODED, fields=tuple(encodable.items()))
        prepare = compile_request(HttpConfig(URL, body=body), wants_body=False, wants_headers=False)
        read = parse_qsl(prepare(Scope({})).body.decode(), keep_blank_values=True)
        assert dict(read) == encodable

    def test_json_keeps_numbers(self):
        big = 123456789012345678901234567890
        assert json.loads(self.body({"a": "${big}"}, {"big": 2**60})[1]) == {"a": 2**60}
        request = compile_request(
            HttpConfig(URL, body=Body(BodyType.VALUE, value={"a": "${big}"})),
            wants_body=False,
            wants_headers=False,
        )(Scope({"big": big}))
        assert json.loads(request.body) == {"a": big}


def test_a_request_without_variables_is_the_same_object():
    prepare = compile_request(HttpConfig(URL), wants_body=False, wants_headers=False)
    assert prepare(Scope({})) is prepare(Scope({"a": 1}))
