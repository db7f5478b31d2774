import pytest

from app.resources._arguments import lookalike

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
