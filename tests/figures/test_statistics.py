"""The distance statistics: curves, spreads and distributions as the artists hold them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from igaviz.dump.masks import with_masks_read
from igaviz.figures import View
from igaviz.figures.separation import SeparationFigure
from igaviz.figures.statistics import StatisticsFigure
from igaviz.figures.text import decimal
from igaviz.metrics import Pairs, measure
from igaviz.metrics.profiles import Profiles
from igaviz.softmax import softmax


@pytest.fixture(scope="module")
def drawn():
    built = StatisticsFigure()

    def draw(map, view=View()):  # noqa: B008
        built.update(Profiles(map, Pairs.of(map.structure, view.radius)), view)
        return built

    return draw


def said(panel):
    return [text.get_text() for text in panel.key.legend.get_texts()]


def test_medians_are_drawn_at_the_middle_of_their_bin_and_empty_bins_are_gaps(drawn, make_map):
    map = make_map(60)
    # the second half is far away: bins in between are empty
    ca = map.structure.ca + np.where(np.arange(60) >= 30, 200.0, 0.0)[:, None]
    map = replace(map, structure=replace(map.structure, ca=ca))
    panel = drawn(map, View(scale="linear")).bias
    x, y = panel.far.get_data()
    np.testing.assert_array_equal(np.diff(x), 1)
    pairs = Pairs.of(map.structure)
    for middle, median in zip(x, y, strict=True):
        inside = pairs.longrange & (pairs.bins == int(middle))
        if inside.any():
            assert median == pytest.approx(np.median(map.geo_bias[inside]))
        else:
            assert np.isnan(median)
    assert np.isnan(y).sum() > 50
    assert len(panel.far_band.get_paths()) >= 2
    for path in panel.far_band.get_paths():
        first, last = path.vertices[:, 0].min(), path.vertices[:, 0].max()
        for k in range(int(first), int(last)):
            assert (pairs.longrange & (pairs.bins == k)).any()


def test_groups_are_told_apart_and_counted(drawn, make_map):
    map = make_map(60)
    longrange = int(Pairs.of(map.structure).longrange.sum())
    figure = drawn(map)
    for panel in (figure.attention, figure.bias):
        assert f"long-range (n = {longrange:,})" in said(panel)
        assert f"|Δ residue| < 6 (n = {60 * 59 - longrange:,})" in said(panel)
        assert panel.near.get_markerfacecolor() != panel.far.get_markerfacecolor()
    content = figure.attention.content.get_ydata()
    assert np.isfinite(content).any()


def test_attention_below_the_axis_is_drawn_at_its_end(drawn, make_map):
    map = make_map(60, gamma=5.0)
    panel = drawn(map).attention
    assert np.nanmin(panel.far.get_ydata()) == 1e-4
    lowest = panel.axes.yaxis.get_ticklabels()[0].get_text()
    assert lowest == "≤10⁻⁴"
    assert panel.axes.get_yscale() == "log"
    assert drawn(map, View(scale="linear")).attention.axes.get_yscale() == "linear"


def test_the_range_of_geometry_is_marked(drawn, make_map):
    map = make_map(80, gamma=1.0)
    wanted = measure(map, Pairs.of(map.structure)).values["geo_range"]
    panel = drawn(map).bias
    assert panel.reach.get_xdata() == pytest.approx([wanted, wanted])
    assert any(label.startswith("geo_range ") and "Å" in label for label in said(panel))
    panel = drawn(make_map(80, gamma=1e-5)).bias
    assert len(panel.reach.get_xdata()) == 0
    assert "geo_range: beyond" in said(panel)
    assert "10⁻⁶ nat" in panel.axes.get_ylabel()
    subtracted = drawn(make_map(80, gamma=1.0, sign=-1)).bias
    assert subtracted.reach.get_xdata() == pytest.approx([wanted, wanted])
    assert "sign −1" in subtracted.title.get_text()


def test_bars_are_per_cent_of_their_group_with_what_lies_beyond_said(drawn, make_map):
    map = make_map(80, gamma=1.5)
    pairs = Pairs.of(map.structure)
    panel = drawn(map).distribution
    heights, edges, _ = panel.distant.get_data()
    np.testing.assert_array_equal(edges, panel.local.get_data().edges)
    values = map.attention[pairs.distant]
    below = (values < 1e-4).mean()
    above = (values > edges[-1]).mean()
    assert heights.sum() / 100 + below + above == pytest.approx(1)
    assert f"global {100 * below:.0f} %" in panel.below.get_text()
    far = panel.local_far.get_data().values
    assert (far <= panel.local.get_data().values).all()
    assert panel.local_mean.get_xdata()[0] == pytest.approx(map.attention[pairs.local].mean())
    assert f"local (n = {pairs.local.sum():,})" in said(panel)
    assert f"global (n = {pairs.distant.sum():,})" in said(panel)
    assert panel.uniform.get_xdata()[0] == 1 / 80


def test_a_group_without_pairs_is_said(drawn, make_map):
    map = make_map(30)
    panel = drawn(map, View(radius=0.5)).distribution
    assert "no local pair" in said(panel)
    assert not panel.local.get_visible()
    assert panel.distant.get_visible()
    panel = drawn(map, View(radius=500.0)).distribution
    assert "no global pair" in said(panel)
    assert not panel.distant.get_visible()


def test_panels_without_data_hold_a_sentence(drawn, make_map, odd_maps):
    figure = drawn(odd_maps["nothing"])
    assert figure.attention.sentence.get_text() == "Attention not recorded."
    assert figure.bias.sentence.get_text() == "Geometric bias not recorded."
    assert figure.distribution.sentence.get_text() == "Attention not recorded."
    figure = drawn(make_map(1))
    for panel in (figure.attention, figure.bias, figure.distribution):
        assert panel.sentence.get_text() == "One residue: there is no pair."
        assert not panel.key.legend.get_visible()
    figure = drawn(odd_maps["nowhere"])
    assert figure.bias.sentence.get_text() == "No pair below 1,024 Å has a finite value."
    assert "no logits recorded" in said(drawn(odd_maps["no logits"]).attention)
    assert not drawn(make_map(30)).bias.sentence.get_text()


def padded(map, n):
    """The map as a writer without a mask records it whose last `n` residues are padding."""
    logits = map.logits_before.copy()
    logits[:, -n:] = -1e9
    after = logits + map.geo_bias
    given = replace(
        map, logits_before=logits, logits_after_recorded=after, attention=softmax(after)
    )
    return with_masks_read(given)


def test_padding_is_left_out_as_of_the_metrics_and_called_masked(drawn, make_map):
    map = padded(make_map(60), 9)
    values = measure(map).values
    figure = drawn(map)
    for key in ("local", "global"):
        mean = decimal(values[f"{key}_attn"])
        assert f"{key} mean {mean}" in said(figure.distribution)
    assert figure.header.caption.get_text() == f"Masked: {60 * 9 + 51 * 9:,} of 3,600 pairs."
    logits = map.logits_before.copy()
    logits[3, 4] = np.nan
    broken = drawn(replace(map, logits_before=logits)).header.caption.get_text()
    assert broken.endswith("of 3,600 pairs; not finite: logits before 1 NaN.")


def test_what_is_left_out_has_a_line_of_its_own_where_the_caption_is_long(make_map):
    map = make_map(60)
    logits = map.logits_before.copy()
    logits[3] = np.nan
    attention = map.attention.copy()
    attention[3] = np.nan
    figure = SeparationFigure()
    for shown, lines in (
        (map, 1),
        (replace(map, logits_before=logits, attention=attention), 2),
        (map, 1),
    ):
        figure.update(Profiles(shown, Pairs.of(map.structure)), View())
        texts = [figure.header.above.get_text(), figure.header.caption.get_text()]
        assert sum(map_text != "" for map_text in texts) == lines
        assert not any("…" in text for text in texts)
    assert "Pairs of one chain." in texts[-1]
