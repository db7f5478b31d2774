from collections.abc import Iterator
from typing import Any

import marshmallow as ma
import pytest

from app.resources._arguments import JsonBoolean, lookalike

KNOWN = ["from", "size", "timeout", "levels", "after", "follow", "ticket", "page_size", "q"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("From", "from"), ("form", "from"), ("fromIndex", "from"), ("sizes", "size"),
        ("timout", "timeout"), ("TIMEOUT", "timeout"), ("time-out", "timeout"), ("time", "timeout"),
        ("level", "levels"), ("lvels", "levels"), ("pageSize", "page_size"), ("Q", "q"),
        ("tickets", "ticket"),
    ],
)  # fmt: skip
def test_a_slip_is_told_from_its_likeness(name, meant):
    assert lookalike(name, KNOWN) == meant


@pytest.mark.parametrize(
    "name", ["", "_", "x", "utm_source", "access_token", "comment", "fr", "-", "x" * 10_000, "é"]
)
def test_what_is_like_nothing_is_no_slip(name):
    assert lookalike(name, KNOWN) is None


def bodies(app: Any) -> Iterator[ma.Schema]:
    """The schemas of all JSON bodies, of every API."""
    for view in app.view_functions.values():
        known = vars(view).get("_apidoc", {})
        for parameter in known.get("arguments", {}).get("parameters", ()):
            if parameter["in"] == "json":
                yield parameter["schema"]


def booleans(schema: ma.Schema) -> Iterator[tuple[str, ma.fields.Field[Any]]]:
    for name, field in schema.load_fields.items():
        inner = field.inner if isinstance(field, ma.fields.List) else field
        if isinstance(inner, ma.fields.Boolean):
            yield name, inner
        if isinstance(inner, ma.fields.Nested):
            yield from booleans(inner.schema)


def test_no_body_of_any_api_takes_text_or_numbers_for_booleans(service):
    schemas = list(bodies(service.web.app))
    found = [field for schema in schemas for field in booleans(schema)]
    assert len(schemas) > 3
    assert {name for name, _ in found} >= {"again", "disabled"}
    assert [name for name, field in found if not isinstance(field, JsonBoolean)] == []


@pytest.mark.parametrize("value", ["yes", "true", "false", "", 1, 0, 1.0, [], {}])
def test_a_boolean_of_a_body_is_one_of_json(value):
    with pytest.raises(ma.ValidationError, match="Not a valid boolean"):
        JsonBoolean().deserialize(value)


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_of_a_body_is_taken_as_it_is(value):
    assert JsonBoolean().deserialize(value) is value
