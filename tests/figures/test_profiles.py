"""The profiles: each query's row as the artists hold it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from igaviz.errors import SelectionError
from igaviz.figures import Painter, View
from igaviz.figures.profiles import ProfilesFigure
from igaviz.metrics import Pairs
from igaviz.metrics.profiles import Profiles
from igaviz.softmax import softmax


@pytest.fixture(scope="module")
def drawn():
    four = ProfilesFigure()

    def draw(map, view=View()):  # noqa: B008
        built = four if view.queries is None else ProfilesFigure(len(view.queries))
        built.update(Profiles(map, Pairs.of(map.structure, view.radius)), view)
        return built

    return draw


def covered(bands, n):
    """Which residues the rectangles of a collection lie over."""
    inside = np.zeros(n, dtype=bool)
    for path in bands.get_paths():
        first, last = path.vertices[:, 0].min(), path.vertices[:, 0].max()
        inside |= (np.arange(n) > first) & (np.arange(n) < last)
    return inside


def test_the_four_default_queries_are_drawn_as_they_are(drawn, make_map):
    map = make_map(80)
    pairs = Pairs.of(map.structure)
    content = softmax(map.logits_before)
    for panel, query in zip(drawn(map).panels, (20, 40, 60, 79), strict=True):
        np.testing.assert_allclose(panel.attention.get_ydata(), map.attention[query])
        np.testing.assert_allclose(panel.bias.get_ydata(), map.geo_bias[query])
        np.testing.assert_allclose(panel.content.get_ydata(), content[query])
        assert list(panel.query.get_xdata()) == [query, query]
        local, longrange = pairs.local[query], pairs.longrange[query]
        assert covered(panel.far_bands, 80).tolist() == (local & longrange).tolist()
        assert covered(panel.near_bands, 80).tolist() == (local & ~longrange).tolist()
        letter = map.structure.sequence[query]
        assert panel.title.get_text() == f"Query {query + 1} ({letter})"
        share = map.attention[query][local].sum()
        assert f"local keys {share:.0%}".replace("%", " %") in panel.aside.get_text()


def test_chosen_queries_fill_the_page(drawn, make_map):
    map = make_map(80)
    panels = drawn(map, View(queries=(7, 70), residues=tuple(range(40)))).panels
    np.testing.assert_allclose(panels[0].attention.get_ydata(), map.attention[7, :40])
    assert panels[0].axes.get_xlim() == (-0.5, 39.5)
    assert "outside the view" in panels[1].aside.get_text()
    assert len(panels[1].query.get_xdata()) == 0
    painter = Painter()
    sizes = []
    for queries in (None, (7,), (7, 70), (7, 70, 71), (7, 70, 71, 72)):
        figure = painter.paint("attention_profiles", map, view=View(queries=queries))
        assert len(figure.axes) == 2 * len(queries or "four")
        sizes.append(figure.get_size_inches().tolist())
    assert sizes[0] == sizes[2] == sizes[4]
    with pytest.raises(SelectionError):
        drawn(map, View(queries=(80,)))


def test_the_name_of_the_bias_keeps_off_its_numbers_and_on_the_page(make_map):
    map = make_map(80)
    near = replace(map, geo_bias=(1e-3 * map.geo_bias - 13.5).astype(np.float32))
    built = ProfilesFigure()
    for drawn, longest in ((near, 6), (map, 1)):  # one after the other, on the same axes
        built.update(Profiles(drawn, Pairs.of(map.structure)), View())
        built.figure.canvas.draw()
        for panel in built.panels:
            numbers = panel.right.get_yticklabels()
            assert max(len(number.get_text()) for number in numbers) >= longest
            name = panel.right.yaxis.label.get_window_extent()
            assert not any(name.overlaps(number.get_window_extent()) for number in numbers)
            assert name.x1 < built.figure.bbox.width
            others = (other.axes.yaxis.label.get_window_extent() for other in built.panels)
            assert not any(name.overlaps(other) for other in others)
            assert panel.axes.get_position().bounds == panel.right.get_position().bounds
    fresh = ProfilesFigure().panels[0].axes.get_position()
    assert built.panels[0].axes.get_position().bounds == fresh.bounds


def test_the_query_itself_does_not_flatten_its_row(drawn, make_map):
    map = make_map(80)
    attention = np.full((80, 80), 0.05 / 79, np.float32)
    np.fill_diagonal(attention, 0.95)
    panel = drawn(replace(map, attention=attention, logits_before=None)).panels[0]
    assert panel.axes.get_ylim()[1] < 0.001
    assert panel.own.get_text() == "↑ 0.95"
    assert not drawn(map).panels[0].own.get_text() or map.attention[20, 20] > 0.1


def test_lines_break_between_chains_and_at_what_is_not_finite(drawn, make_map):
    map = make_map(60, chains=2)
    attention = map.attention.copy()
    attention[15, 50] = np.nan
    panel = drawn(replace(map, attention=attention)).panels[0]
    x, y = panel.attention.get_data()
    assert np.flatnonzero(np.isnan(y)).tolist() == [30, 51]
    assert x[30] == 29.5
    assert panel.breaks.get_xdata()[0] == 29.5
    assert len(panel.fill.get_paths()) == 3
    assert "not finite" not in panel.aside.get_text() or not np.isfinite(attention[15, 14:16]).all()


def test_holes_in_the_numbering_are_marked(drawn, make_map):
    map = make_map(40)
    numbers = map.structure.residue_index.copy()
    numbers[25:] += 9
    structure = replace(map.structure, residue_index=numbers)
    panel = drawn(replace(map, structure=structure)).panels[3]
    assert panel.gaps.get_xdata()[0] == 24.5
    assert panel.title.get_text().startswith("Query 49 ")


def test_what_is_missing_is_said(drawn, make_map):
    map = make_map(40)
    panel = drawn(replace(map, attention=None)).panels[0]
    assert panel.aside.get_text() == "attention not recorded"
    assert len(panel.attention.get_xdata()) == 0
    panel = drawn(replace(map, geo_bias=None)).panels[0]
    assert panel.right.get_ylabel() == "geometric bias not recorded"
    assert len(panel.bias.get_xdata()) == 0
    panel = drawn(replace(map, geo_bias=None, attention=None, logits_before=None)).panels[0]
    assert panel.sentence.get_text().endswith("recorded.")
    panel = drawn(make_map(40, sign=-1)).panels[0]
    assert panel.right.get_ylabel() == "geometric bias (nat, sign −1)"
    one, other, *_ = drawn(make_map(1)).panels
    assert one.attention.get_ydata().tolist() == [1.0]
    assert other.sentence.get_text() == "No further query: the item has 1 residue."
