"""Names of the tasks of elements."""

import pytest

from app.elements import by_step, name_of, parts_of, with_elements, without_steps

NAMES = ["fit", "fit[0]", "fit[1]", "other", "lone[0]"]


def test_a_name_tells_its_step_and_its_place():
    assert parts_of(name_of("fit", 12)) == ("fit", 12)


@pytest.mark.parametrize("name", ["fit", "fit[]", "fit[-1]", "fit[01]", "fit[1", "[1]", "a[b[1]"])
def test_other_names_are_of_no_element(name):
    assert parts_of(name) is None


def test_elements_are_found_by_their_step_where_there_is_one():
    assert by_step(NAMES) == {"fit": ["fit[0]", "fit[1]"]}
    assert without_steps(NAMES) == {"fit[0]", "fit[1]", "other", "lone[0]"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"fit"}, {"fit", "fit[0]", "fit[1]"}),
        ({"fit", "fit[1]"}, {"fit", "fit[1]"}),
        ({"fit[0]", "other"}, {"fit", "fit[0]", "other"}),
        ({"other", "lone[0]"}, {"other", "lone[0]"}),
    ],
)
def test_a_choice_is_completed(wanted, found):
    assert with_elements(wanted, NAMES) == found
