"""The overview: what its panels show, as the artists hold it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from igaviz.figures import View
from igaviz.figures.interaction import MOST_POINTS
from igaviz.figures.overview import OverviewFigure
from igaviz.metrics import Pairs
from igaviz.metrics.profiles import Profiles


@pytest.fixture(scope="module")
def drawn():
    built = OverviewFigure()

    def draw(map, view=View(), verdict="", severity=None):  # noqa: B008
        pairs = Pairs.of(map.structure, view.radius)
        built.update(Profiles(map, pairs), view, verdict, severity)
        return built

    return draw


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def test_the_maps_are_the_terms(drawn, make_map):
    map = make_map(30)
    figure = drawn(map)
    distance = np.linalg.norm(map.structure.ca[:, None] - map.structure.ca[None], axis=-1)
    for panel, wanted in (
        (figure.before, map.logits_before),
        (figure.bias, map.geo_bias),
        (figure.after, map.logits_after),
        (figure.distance, distance),
    ):
        np.testing.assert_allclose(panel.image.get_array(), wanted, rtol=1e-6)
    weights = figure.attention.image.get_array()
    shown = (map.attention > 1e-4) & (map.attention < weights.max())
    np.testing.assert_allclose(weights[shown], map.attention[shown], rtol=1e-6)
    assert weights.min() == pytest.approx(1e-4)
    for panel in figure.maps:
        box = panel.axes.get_window_extent()
        assert box.width == pytest.approx(box.height)
        assert panel.axes.get_ylim() == (29.5, -0.5)
        assert list(panel.image.get_extent()) == [-0.5, 29.5, 29.5, -0.5]


def test_the_line_goes_around_the_local_pairs_and_nothing_else(drawn, make_map):
    map = make_map(30)
    figure = drawn(map, View(radius=11.0))
    inside = Pairs.of(map.structure).distance < 11
    x, y = figure.distance.outline.get_data()
    between = np.stack([x, y], axis=1).reshape(-1, 3, 2)[:, :2].mean(axis=1)
    found = {(float(a), float(b)) for a, b in between}
    wanted = set()
    for i in range(30):
        for j in range(30):
            if i + 1 < 30 and inside[i, j] != inside[i + 1, j]:
                wanted.add((j, i + 0.5))
            if j + 1 < 30 and inside[i, j] != inside[i, j + 1]:
                wanted.add((j + 0.5, i))
    assert found == wanted


def test_titles_say_the_sign_and_what_the_logits_hold(drawn, make_map):
    figure = drawn(make_map(30))
    assert figure.after.title.get_text() == "③ Logits after = ① + ②"
    figure = drawn(make_map(30, sign=-1))
    assert figure.after.title.get_text() == "③ Logits after = ① − ②"
    assert "sign −1" in figure.bias.aside.get_text()
    assert "sign −1" in figure.header.details.get_text()
    map = make_map(30)
    figure = drawn(replace(map, pair_bias=map.logits_before * 0))
    assert "pair bias" in figure.before.aside.get_text()
    figure = drawn(replace(map, attention_recorded=False))
    assert "softmax of ③" in figure.attention.aside.get_text()


def test_attention_is_logarithmic_unless_asked_otherwise(drawn, make_map):
    map = make_map(50)
    figure = drawn(map)
    assert type(figure.attention.image.norm).__name__ == "LogNorm"
    assert figure.interaction.axes.get_yscale() == "log"
    assert figure.attention.image.norm.vmin == 1e-4
    np.testing.assert_allclose(figure.interaction.uniform.get_ydata(), 1 / 50)
    mark = figure.attention.bar.level.get_ydata()
    assert mark == pytest.approx([figure.attention.image.norm(1 / 50)] * 2)
    figure = drawn(map, View(scale="linear"))
    assert type(figure.attention.image.norm).__name__ == "Normalize"
    assert figure.interaction.axes.get_yscale() == "linear"
    assert figure.attention.image.norm.vmin == 0


def test_relative_logits_lie_between_minus_ten_and_zero(drawn, make_map):
    map = make_map(60, gamma=3.0, sign=-1)
    figure = drawn(map, View(relative=True))
    for panel, logits in (
        (figure.before, map.logits_before),
        (figure.bias, -map.geo_bias),
        (figure.after, map.logits_after),
    ):
        wanted = np.maximum(logits - logits.max(axis=1, keepdims=True), -10)
        np.testing.assert_allclose(panel.image.get_array(), wanted, rtol=1e-5, atol=1e-5)
        assert panel.image.get_cmap().name == "Blues_r"
    assert figure.bias.bar.below.get_text().endswith("% below")
    assert figure.bias.bar.under.get_visible()
    assert "minus its maximum" in figure.header.caption.get_text()


def test_an_outlier_is_clipped_and_said(drawn, make_map):
    map = make_map(40)
    logits = map.logits_before.copy()
    logits[3, 9] = 1e8
    figure = drawn(replace(map, logits_before=logits))
    assert figure.before.image.norm.vmax < 10
    assert figure.before.bar.above.get_text() == "1 above"
    assert not figure.before.bar.below.get_text()


def test_what_is_not_finite_is_marked_and_counted(drawn, make_map):
    map = make_map(40)
    logits = map.logits_before.copy()
    logits[3, 9], logits[4, 9], logits[5, 1] = np.nan, np.inf, -np.inf
    figure = drawn(replace(map, logits_before=logits))
    mask = np.ma.getmaskarray(figure.before.image.get_array())
    assert np.argwhere(mask).tolist() == [[3, 9], [4, 9], [5, 1]]
    assert np.column_stack(figure.before.marks.get_data()).tolist() == [[9, 3], [9, 4], [1, 5]]
    caption = figure.header.caption.get_text()
    assert "logits before 1 NaN, 1 +∞, 1 −∞" in caption
    assert not drawn(map).header.caption.get_text()


def test_few_pairs_are_points_and_many_an_image(drawn, make_map):
    map = make_map(30)
    panel = drawn(map).interaction
    longrange = Pairs.of(map.structure).longrange
    assert len(panel.far_points.get_offsets()) == longrange.sum()
    assert len(panel.near_points.get_offsets()) == 30 * 29 - longrange.sum()
    assert len(panel.near_points.get_facecolor()) == 0  # open marks
    assert len(panel.far_points.get_facecolor()) == longrange.sum()
    assert not panel.image.get_visible()

    large = make_map(120)
    assert MOST_POINTS < 120 * 119
    panel = drawn(large).interaction
    assert panel.image.get_visible()
    assert not panel.far_points.get_visible()
    cells = np.asarray(panel.image.get_array())
    distance = Pairs.of(large.structure).distance
    off_diagonal = ~np.eye(120, dtype=bool)
    width = math.ceil(distance.max()) / cells.shape[1]
    filled = np.unique(np.minimum(distance[off_diagonal] // width, cells.shape[1] - 1))
    assert np.flatnonzero(cells[..., 3].any(axis=0)).tolist() == filled.tolist()


def test_local_and_global_means_are_marked(drawn, make_map):
    map = make_map(60)
    panel = drawn(map, View(radius=10.0)).interaction
    pairs = Pairs.of(map.structure, 10.0)
    assert panel.local_mean.get_ydata()[0] == pytest.approx(map.attention[pairs.local].mean())
    assert panel.global_mean.get_ydata()[0] == pytest.approx(map.attention[pairs.distant].mean())
    assert panel.border.get_xdata() == [10, 10]
    said = " ".join(text.get_text() for text in panel.key.legend.get_texts())
    assert "local: < 10 Å" in said
    everything = drawn(map, View(radius=1e3)).interaction
    assert "no global pair" in [t.get_text() for t in everything.key.legend.get_texts()]


def test_a_cut_changes_the_view_and_no_number(drawn, make_map):
    map = make_map(90, chains=2)
    panel = drawn(map).interaction
    whole = panel.longrange.get_ydata().copy(), panel.content.get_ydata().copy()
    norm = drawn(map).before.image.norm.vmax
    figure = drawn(map, View(residues=tuple(range(30, 60))))
    np.testing.assert_allclose(
        figure.before.image.get_array(), map.logits_before[30:60, 30:60], rtol=1e-6
    )
    assert figure.before.image.norm.vmax == norm
    np.testing.assert_array_equal(figure.interaction.longrange.get_ydata(), whole[0])
    np.testing.assert_array_equal(figure.interaction.content.get_ydata(), whole[1])
    assert labels(figure.before.axes.xaxis) == ["A/35", "A/40", "A/45", "B/50", "B/55", "B/60"]
    assert set(figure.before.breaks.get_xdata()[:2]) == {-0.5, 29.5}
    assert figure.before.breaks.get_ydata()[0] == 14.5
    assert "30 of 90 residues" in figure.header.caption.get_text()


def test_what_is_missing_is_said_and_never_drawn(drawn, make_map):
    map = make_map(30)
    figure = drawn(replace(map, geo_bias=None, logits_after_recorded=None, gamma=None))
    for panel in (figure.bias, figure.after):
        assert panel.sentence.get_text().endswith("not recorded.")
        assert not panel.image.get_visible()
        assert not panel.bar.axes.get_visible()
        assert not labels(panel.axes.xaxis)
    assert "γ not recorded" in figure.header.details.get_text()
    assert figure.interaction.no_bias.get_text() == "geometric bias not recorded"
    figure = drawn(replace(map, attention=None))
    assert figure.attention.sentence.get_text() == "Attention not recorded."
    assert figure.interaction.sentence.get_text() == "Attention not recorded."
    assert not figure.interaction.key.legend.get_visible()
    assert drawn(make_map(1)).interaction.sentence.get_text() == "One residue: there is no pair."
    assert drawn(make_map(0)).before.sentence.get_text() == "The item has no residues."
    assert not drawn(map).bias.sentence.get_text()


@pytest.mark.parametrize("severity", ["healthy", "note", "warning", "error", None])
def test_the_title_tells_everything(drawn, make_map, severity):
    header = drawn(make_map(30, phase="val"), View(), "geometry has no say", severity).header
    assert header.head.get_text() == "Layer 3 · head 5 · 1abc"
    for part in ("step 1,200", "phase val", "γ = 0.3", "30 residues", "< 8 Å"):
        assert part in header.details.get_text()
    verdict = header.verdict.get_text()
    assert verdict.endswith("geometry has no say")
    assert (len(verdict.split()[0]) == 1) == (severity is not None)  # the glyph
    assert "phase" not in drawn(make_map(30)).header.details.get_text()


def test_hostile_names_are_text_on_one_line_and_stay_in_their_place(drawn, make_map):
    for name in ("$\\frac{1}{2$ \n<script>\x07 🧬", "W" * 5000, "$", "", "a$b$c^{"):
        figure = drawn(make_map(10, name=name), View(), name, "warning")
        figure.figure.canvas.draw()
        head, verdict = figure.header.head, figure.header.verdict
        for words in (head, verdict):
            assert not words.get_parse_math()
            assert "\n" not in words.get_text()
        assert head.get_window_extent().x1 < verdict.get_window_extent().x0
        assert verdict.get_window_extent().x1 <= figure.figure.bbox.width
    assert "item 0" in drawn(make_map(10, name="")).header.head.get_text()


def test_the_name_of_the_bias_keeps_on_the_page_whatever_its_numbers(drawn, make_map):
    """A bias that hardly varies has numbers of eight digits."""
    map = make_map(30)
    bar = drawn(map).interaction.bar.axes
    places = [axes.get_position().extents.tolist() for axes in (bar, drawn(map).interaction.axes)]
    for varies in (1e-3, 1e-4, 1e-5, 3e-6):
        bias = (-1234 * (1 + varies * map.geo_bias / np.ptp(map.geo_bias))).astype(np.float32)
        figure = drawn(replace(map, geo_bias=bias))
        figure.figure.canvas.draw()
        name = bar.yaxis.label.get_window_extent()
        assert name.x1 < figure.figure.bbox.width
        numbers = [number.get_window_extent() for number in bar.get_yticklabels()]
        assert not any(name.overlaps(number) for number in numbers)
    assert max(number.x1 for number in numbers) > bar.get_window_extent().x1 + 40
    figure = drawn(map)
    for axes, place in zip((bar, figure.interaction.axes), places, strict=True):
        assert axes.get_position().extents.tolist() == place
