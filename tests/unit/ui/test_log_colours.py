"""The colours that programs choose for their lines: readable on all that is behind them."""

import re

import pytest

from app.ui._assets import STATIC

_LEAST = 4.5
"""WCAG 2, 1.4.3."""


def colours(path):
    """Variables of a style sheet, by scheme; those for dark in place of those for light."""
    text = (STATIC / "css" / path).read_text(encoding="utf-8")
    light, _, dark = text.partition("prefers-color-scheme: dark")
    pairs = r"--([\w-]+): (#[0-9a-f]{6})\b"
    first = {}
    for name, colour in re.findall(pairs, light):
        first.setdefault(name, colour)
    block = dark[: dark.index("}\n}")]
    return {"light": first, "dark": first | dict(re.findall(pairs, block))}


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("number", range(8))
def test_each_of_the_eight_can_be_read(scheme, number):
    colour = colours("log.css")[scheme][f"ansi-{number}"]
    frame = colours("slipway.css")[scheme]
    assert contrast(colour, frame["panel"]) >= _LEAST
    assert contrast(colour, frame["page"]) >= _LEAST


def test_the_palettes_are_not_the_same():
    found = colours("log.css")
    names = [f"ansi-{number}" for number in range(8)]
    assert all(found["light"][name] != found["dark"][name] for name in names)
