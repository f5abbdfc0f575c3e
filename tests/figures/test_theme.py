"""Colours that tell things apart: for colour-blind people, in print, in both styles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties, findfont, get_font

from igaviz.checks import Severity
from igaviz.figures import text, theme
from igaviz.signs import SIGNS, UNKNOWN

# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB
SIGHT = {
    "all colours": np.eye(3),
    "no red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
WHITE = [0.9505, 1.0, 1.089]
STYLES = ["light", "dark"]


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(colour, sight):
    """CIE L*a*b* of what somebody with this `sight` sees."""
    seen = np.clip(np.array(SIGHT[sight]) @ linear(colour), 0, 1)
    t = np.array(XYZ) @ seen / WHITE
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other):
    """The contrast of WCAG 2: 1 to 21."""
    light = sorted(float(np.dot(XYZ[1], linear(colour))) + 0.05 for colour in (one, other))
    return light[1] / light[0]


TOGETHER = [
    ("ATTENTION", "BIAS", "QUERY", "LOCAL"),  # the profiles; CONTENT is thinner than they are
    ("LOCAL", "DISTANT", "INK"),  # ⑥ and the distributions
    ("BIAS", "QUERY", "LOCAL", "INK"),  # the bias by distance
]


@pytest.mark.parametrize("sight", list(SIGHT))
@pytest.mark.parametrize("style", STYLES)
def test_lines_of_one_panel_are_told_apart(style, sight):
    with theme.style(style):
        for panel in TOGETHER:
            for one, other in itertools.combinations(panel, 2):
                colours = getattr(theme, one), getattr(theme, other)
                apart = np.linalg.norm(lab(colours[0], sight) - lab(colours[1], sight))
                assert apart > 25, (one, other, sight, apart)


@pytest.mark.parametrize("style", STYLES)
def test_words_are_readable_and_maps_grow_away_from_zero(style):
    with theme.style(style):
        paper = theme.PAPER
        for ink in (theme.INK, theme.FAINT, theme.ATTENTION, theme.BIAS):
            assert contrast(ink, paper) > 4.5, ink
        for glyph, ink in theme.VERDICTS.values():
            assert contrast(ink, paper) > 4.5, glyph
        for name, zero_first in (("Reds", True), ("Blues_r", False)):
            # printed without colour, more is still more
            shades = [lab(c, "all colours")[0] for c in theme.MAPS[name](np.linspace(0, 1, 32))]
            towards = np.diff(shades if zero_first else shades[::-1])
            assert (towards < 0).all() if style == "light" else (towards > 0).all()


def test_a_style_holds_where_it_is_named_and_nowhere_else():
    light = theme.PAPER
    with theme.style("dark"):
        dark = theme.PAPER
        with theme.style("light"):
            assert light == theme.PAPER
        assert dark == theme.PAPER != light
    assert light == theme.PAPER
    with pytest.raises(AttributeError):
        _ = theme.PINK


@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_signs_differ_in_shape_and_the_font_has_them(weight):
    assert set(SIGNS) == {str(severity) for severity in Severity}
    font = get_font(findfont(FontProperties(family=text.FONT, weight=weight)))
    marks = [sign.mark for sign in SIGNS.values()]
    assert len({*marks, UNKNOWN}) == 5
    assert all(font.get_char_index(ord(mark)) for mark in marks)
    replacements = {sign.ascii for sign in SIGNS.values()} | {UNKNOWN}
    assert len(replacements) == 5
    assert all(sign.isascii() for sign in replacements)
