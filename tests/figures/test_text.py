"""Words from strangers, and numbers as people write them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from igaviz.figures import text


@settings(deadline=None)
@given(st.text(max_size=300))
@example("$x^2$ \\frac{1}{2}\n<script>alert(1)</script>\x00\x1b[31m🧬")
@example("W" * 2000)
@example("Z̸̡͓a̷l̸g̷o̶" * 20)
@example("\u202edesrever\u202c")
def test_any_name_fits_on_one_line(name):
    fitted = text.fit(name, 3.0, 15.0, bold=True)
    assert text.width(fitted, 15.0, bold=True) <= 3.0
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Mn", "Zl", "Zp") for c in fitted)


def test_harmless_names_stay_as_they_are():
    name = "7xyz_A (chain β, 2.1 Å) $5 <b> naïve"
    assert text.fit(name, 9.0, 12.0) == name


def test_without_room_nothing_is_written():
    assert text.fit("a name", 0.01, 12.0) == ""
    assert text.fit("a name", -1.0, 12.0) == ""


def test_a_long_name_keeps_its_beginning_and_its_end():
    fitted = text.fit("beginning-" + "x" * 500, 2.0, 12.0)
    assert fitted.startswith("begin")
    assert "…" in fitted
    fitted = text.fit("a" * 60 + "_chain_B", 2.0, 12.0)
    assert fitted.endswith("B")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (0.018304, "0.0183"),
        (0.0001, "0.0001"),
        (0.35, "0.35"),
        (-3.5, "−3.5"),
        (1234.4, "1,234"),
        (2.4e7, "2.4×10⁷"),
        (-1e8, "−10⁸"),
        (6.58e-5, "6.58×10⁻⁵"),
        (9.9999e-13, "10⁻¹²"),
        (99999.7, "10⁵"),
        (0.09999, "0.1"),
        (float("nan"), "not finite"),
    ],
)
def test_numbers_are_written_short(value, said):
    assert text.decimal(value) == said
