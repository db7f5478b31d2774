from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.execution_names import NAME_LENGTH, is_name, start_of, stem_of

MOMENT = datetime(2023, 12, 9, 14, 30, 22, 999_999, tzinfo=UTC)
STAMP = "20231209-143022"


@pytest.mark.parametrize(
    ("workflow_id", "expected"),
    [
        ("analyze-code", "analyze-code"),
        ("a.b_C-9", "a.b_C-9"),
        ("run", "run"),
        ("app/env/install", "app-env-install"),
        ("grüße 漢字 🚢", "gr--e-------"[: len("grüße 漢字 🚢")]),
        ("a\x00b\nc", "a-b-c"),
        ("..", ".."),
        ("", ""),
        ("w" * 512, "w" * 100),
        ("/" * 101, "-" * 100),
        (STAMP, STAMP),
    ],
)
def test_a_name_is_made_of_the_workflow_and_the_second(workflow_id, expected):
    name = stem_of(workflow_id, MOMENT)
    assert name == f"{expected}-{STAMP}"
    assert is_name(name)
    assert start_of(name) == "2023-12-09T14:30:22Z"


def test_the_second_is_one_of_utc():
    there = MOMENT.astimezone(timezone(timedelta(hours=-11, minutes=-30)))
    assert stem_of("flow", there) == f"flow-{STAMP}"


def test_the_longest_name_fits_into_its_column():
    name = f"{stem_of('w' * 512, datetime.max.replace(tzinfo=UTC))}-{2**63}"
    assert len(name) <= NAME_LENGTH
    assert is_name(name)


@pytest.mark.parametrize("number", ["-2", "-3", "-10", "-123456", "-20231209"])
def test_a_number_may_follow_the_second(number):
    name = f"flow-{STAMP}{number}"
    assert is_name(name)
    assert start_of(name) == "2023-12-09T14:30:22Z"


@pytest.mark.parametrize(
    "text",
    [
        "", "flow", STAMP, f"flow{STAMP}", f"flow-{STAMP}-", f"flow-{STAMP}-x", f"flow-{STAMP}-2-3",
        f"flow-{STAMP}\n", f"fl/ow-{STAMP}", f"grüße-{STAMP}", "flow-20231209143022",
        "flow-2023120-143022", "flow-20231209-14302", f"flow-{STAMP.replace('1', chr(0x661))}",
        f"{'w' * 145}-{STAMP}", "00000000-0000-4000-8000-000000000001",
        "12345678-123456-1234-1234-123456789012", "20231209-1430-4302-8143-022143022143",
    ],
)  # fmt: skip
def test_nothing_else_is_a_name(text):
    assert not is_name(text)
    if len(text) <= NAME_LENGTH:
        with pytest.raises(ValueError, match="is no name"):
            start_of(text)
