"""Heads differ, layers fall ill: severity by the share of heads."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igaviz.checks import Severity
from igaviz.checks.severity import head_shows, severity_by_share

CAPS = st.sampled_from([Severity.NOTE, Severity.WARNING, Severity.ERROR])


@st.composite
def shares(draw):
    heads = draw(st.integers(1, 64))
    return draw(st.integers(0, heads)), heads


@given(shares(), CAPS)
def test_severity_follows_the_exact_share(share, cap):
    shown, heads = share
    part = Fraction(shown, heads)
    if shown == 0:
        expected = Severity.HEALTHY
    elif shown == 1 or part < Fraction(3, 8):
        expected = Severity.NOTE
    else:
        expected = Severity.ERROR if part >= Fraction(1, 2) else Severity.WARNING
    assert severity_by_share(shown, heads, cap) == min(expected, cap)


@given(shares(), CAPS)
def test_one_more_head_never_makes_it_better(share, cap):
    shown, heads = share
    if shown < heads:
        assert severity_by_share(shown, heads, cap) <= severity_by_share(shown + 1, heads, cap)


@pytest.mark.parametrize(
    ("shown", "heads", "severity"),
    [
        (1, 1, "note"),  # the only recorded head may be a peculiar one
        (1, 2, "note"),
        (2, 2, "error"),
        (2, 8, "note"),
        (3, 8, "warning"),
        (4, 8, "error"),
        (8, 8, "error"),
        (5, 12, "warning"),
    ],
)
def test_small_layers(shown, heads, severity):
    assert str(severity_by_share(shown, heads, Severity.ERROR)) == severity


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_head_shows_it_from_half_of_its_items_on(fired, quiet):
    assert head_shows(fired, fired + quiet) == (fired > 0 and fired >= quiet)
