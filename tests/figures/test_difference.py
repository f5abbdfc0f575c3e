"""The figure of two maps: its colours, and data that break careless drawing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from igaviz.figures import Painter, View
from igaviz.figures.difference import Compared, DifferenceFigure, Scales
from igaviz.metrics.difference import Difference


def of(a, b, scales=None):
    difference = Difference.of(a, b)
    return Compared(difference, scales or Scales.of(difference), "one", "other")


def pixels(figure):
    """The figure, drawn small: quick, and as sharp a test."""
    figure.set_dpi(40)
    drawn = figure.canvas.pixels().copy()
    figure.set_dpi(150)
    return drawn


def test_odd_data_is_drawn_and_a_reused_figure_is_a_fresh_one(odd_maps):
    painter = Painter()
    for k, map in enumerate([*odd_maps.values(), *list(odd_maps.values())[:2]]):
        other = next(
            (m for m in (odd_maps["constant"], odd_maps["holes"]) if m.structure is map.structure),
            map,
        )
        view = View(scale=("log", "linear")[k % 2], style=("light", "dark")[k % 2])
        subject = of(other, map)
        said = ("sick", "error") if k % 2 else ("", None)
        reused = pixels(painter.draw("difference", subject, view, *said))
        if k % 3 == 0:
            fresh = pixels(Painter().draw("difference", subject, view, *said))
            assert np.array_equal(reused, fresh)


def test_colours_are_symmetric_and_a_constant_of_a_row_is_no_difference(make_map):
    map = make_map(30)
    offset = np.linspace(-50, 50, 30, dtype=np.float32)[:, None]
    moved = replace(map, geo_bias=map.geo_bias + offset, attention=map.attention[::-1].copy())
    built = DifferenceFigure()
    built.update(of(map, moved), View())
    (_, _, attention), biases = built.rows
    assert attention.image.norm.vmax == -attention.image.norm.vmin > 0
    assert len({panel.image.norm.vmax for panel in biases}) == 1
    assert np.abs(biases[2].image.get_array()).max() < 1e-4
    halves = 0.5 * np.abs(moved.attention - map.attention).sum(axis=1)
    assert Difference.of(map, moved).moved == pytest.approx(halves.mean(), rel=1e-5)
    # scales of another picture hold here too
    built.update(of(map, moved, Scales(1.0, 0.5, 300.0)), View())
    assert (attention.image.norm.vmax, biases[0].image.norm.vmax) == (0.5, 300.0)


def test_maps_of_other_residues_have_no_difference(make_map):
    one = make_map(30)
    renumbered = replace(one.structure, residue_index=one.structure.residue_index + 1)
    renamed = replace(one.structure, name="other")
    for other, words in (
        (make_map(31), "30 and 31 residues"),
        (replace(one, structure=renumbered), "other residue numbers"),
        (replace(one, structure=renamed), "two names"),
    ):
        with pytest.raises(ValueError, match=words):
            Difference.of(one, other)
