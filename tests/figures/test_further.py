"""The further figures: what the artists hold, odd data, reuse, and how a notebook shows them."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle

import bare
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_rgba

import igaviz
from igaviz import figures
from igaviz.checks.table import CHECKS
from igaviz.errors import UsageError
from igaviz.figures import FIGURES, Painter, View, theme
from igaviz.figures.contacts import ContactsFigure
from igaviz.figures.effect import EffectFigure
from igaviz.figures.grid import GridFigure
from igaviz.figures.heads import HeadsFigure
from igaviz.figures.overview import OverviewFigure
from igaviz.figures.separation import SeparationFigure
from igaviz.figures.terms import TermsFigure
from igaviz.figures.theme import style
from igaviz.figures.trajectory import TrajectoryFigure
from igaviz.figures.trajectory_map import trajectory_figure
from igaviz.metrics import Pairs, measure
from igaviz.metrics.combine import combine
from igaviz.metrics.contact_map import ContactMap
from igaviz.metrics.heads import HeadTable
from igaviz.metrics.history import History, Moment, telling, tracks_of
from igaviz.metrics.profiles import Profiles
from igaviz.metrics.sheet import Sheet
from igaviz.percent import percent


def drawn(build, subject, view=View(), layout=()):  # noqa: B008
    with style(view.style):
        built = build(*layout)
        built.update(subject, view)
    return built


def of(map, radius=8.0):
    return Profiles(map, Pairs.of(map.structure, radius))


def pixels(figure):
    with style():
        figure.set_dpi(40)
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba()).copy()


ODD = (
    "one residue",
    "holes",
    "no residue",
    "nothing",
    "huge",
    "two residues",
    "all NaN",
    "no bias",
    "subtracted",
    "two chains",
)


@pytest.mark.parametrize(
    "name", [name for name, kind in FIGURES.items() if kind.scope in ("layer", "step", "run")]
)
def test_odd_data_is_drawn_and_a_reused_figure_is_a_fresh_one(name, odd_maps, make_subject):
    painter = Painter()
    for k, kind in enumerate([*ODD, *ODD[:3]]):
        subject = make_subject(FIGURES[name].scope, odd_maps[kind])
        said = [("fine", "healthy"), ("sick", "error"), ("", None)][k % 3]
        view = View(style=("light", "dark")[k % 2])
        reused = painter.draw(name, subject, view, *said)
        assert np.array_equal(pixels(reused), pixels(Painter().draw(name, subject, view, *said))), (
            kind
        )


@pytest.mark.parametrize("name", list(FIGURES))
def test_every_type_says_its_question_and_follows_the_style(name, make_map, make_subject):
    subject = make_subject(FIGURES[name].scope, make_map(25))
    assert FIGURES[name].question.endswith("?")
    light, dark = (
        pixels(Painter().draw(name, subject, View(style=style))).astype(int)
        for style in ("light", "dark")
    )
    assert light.shape == dark.shape
    assert light[0, 0, :3].min() > 200
    assert dark[0, 0, :3].max() < 60
    assert (np.abs(light - dark).sum(axis=2) > 0).mean() > 0.9


def test_a_notebook_shows_a_figure_by_itself(make_map):
    figure = figures.effect(make_map(12))
    before = pixels(figure)
    figure.set_dpi(50)
    data, about = DisplayFormatter().format(figure)
    assert data["image/png"].startswith(b"\x89PNG\r\n")
    assert about["image/png"]["width"] == round(72 * figure.get_figwidth())
    assert igaviz.figures is figures
    assert np.array_equal(pixels(figure), before)


def test_the_effect_is_the_difference_with_the_share_beside_it(make_map):
    map = make_map(40)
    built = drawn(EffectFigure, of(map))
    shown = built.geometry.image.get_array()
    content = built.content.image.get_array()
    mean = measure(map, Pairs.of(map.structure)).values
    halves = 0.5 * np.abs(shown).sum(axis=1)
    assert float(halves.mean()) == pytest.approx(mean["geometry_effect"], rel=0.02)
    assert float(0.5 * np.abs(content).sum(axis=1).mean()) == pytest.approx(
        mean["content_effect"], rel=0.02
    )
    bars = built.by_query[0].bars.get_paths()
    assert len(bars) == 40
    assert bars[7].vertices[:, 0].max() == pytest.approx(halves[7], rel=0.05)
    assert built.by_query[0].mean.get_xdata()[0] == pytest.approx(mean["geometry_effect"])
    assert shown.max() > 0 > shown.min()
    assert built.geometry.image.norm.vmax == -built.content.image.norm.vmin


def test_shares_are_stacked_and_what_is_below_zero_hangs_down(make_map):
    map = make_map(40)
    against = replace(map, geo_bias=-0.4 * map.logits_before)
    built = drawn(TermsFigure, of(against))
    panel = built.shares[0]
    content = [path.vertices[:, 1] for path in panel.bars["Q·K"].get_paths()]
    geometry = [path.vertices[:, 1] for path in panel.bars["geometry"].get_paths()]
    assert np.ptp(content[3]) == pytest.approx(1 / 0.6, rel=1e-4)
    assert geometry[3].min() == pytest.approx(-0.4 / 0.6, rel=1e-4)
    assert geometry[3].max() == 0
    said = [word.get_text() for row in built.numbers[0].rows for word in row]
    assert "167 %" in said
    assert "−67 %" in said
    assert any("−1.00" in note.get_text() for note in built.numbers[0].notes)
    assert not panel.bars["pair bias"].get_paths()


def test_separations_are_drawn_with_blind_attention(make_map):
    map = make_map(60)
    built = drawn(SeparationFigure, of(map), View(scale="linear"))
    x, y = built.every.mean.get_data()
    assert x.tolist() == list(range(60))
    for apart in (0, 3, 20):
        wanted = np.concatenate([np.diagonal(map.attention, k) for k in {apart, -apart}])
        assert y[apart] == pytest.approx(wanted.mean(), rel=1e-4)
    assert len(built.near.mean.get_xdata()) == 33
    assert np.isfinite(built.every.content.get_ydata()).all()


def test_contacts_lie_below_the_diagonal_and_scores_above(make_map):
    map = make_map(60)
    found = ContactMap.of(map, Pairs.of(map.structure))
    built = drawn(ContactsFigure, of(map))
    shown = built.map.image.get_array()
    assert np.triu(shown, 1).sum() == pytest.approx(shown.sum())
    i, j = np.nonzero(np.triu(found.candidates & (found.scores > 0), 1))
    inside = found.scores[i, j] < built.map.image.norm.vmax
    np.testing.assert_allclose(shown[i, j][inside], found.scores[i, j][inside], rtol=1e-4)
    for marks, kept in (
        (built.map.found, found.attention.hit),
        (built.map.missed, ~found.attention.hit),
    ):
        x, y = marks.get_data()
        assert len(x) == kept.sum()
        assert all(np.asarray(y) > np.asarray(x))
    assert built.precision.attention.get_ydata()[-1] == pytest.approx(found.precision)
    assert f"{100 * found.precision:.3g} %" in built.map.aside.get_text()


def test_each_head_has_its_map_its_verdict_and_one_scale(make_map):
    maps = [
        replace(make_map(20, gamma=g), id=make_map(20).id._replace(head=h))
        for h, g in ((7, 1e-5), (2, 4.0))
    ]
    sheet = Sheet.of(maps)
    tiles = [sheet.tiles[0].judged("it is sick", "error"), sheet.tiles[1].judged("", None)]
    built = drawn(GridFigure, sheet.with_tiles(tiles), layout=(2,))
    assert [t.title.get_text() for t in built.tiles] == ["✖ head 2", "head 7"]
    assert built.tiles[0].below.get_text() == "it is sick"
    assert built.tiles[1].below.get_text().startswith("blind")
    norms = {(t.image.norm.vmin, t.image.norm.vmax) for t in built.tiles}
    assert len(norms) == 1
    np.testing.assert_allclose(
        built.tiles[1].image.get_array(), np.clip(maps[0].attention, 1e-4, norms.pop()[1])
    )


@pytest.mark.parametrize("n_heads", [4, 8, 32])
def test_the_longest_verdicts_on_a_sheet_are_told_in_full(make_map, n_heads):
    maps = [replace(make_map(9), id=make_map(9).id._replace(head=h)) for h in range(n_heads)]
    sheet = Sheet.of(maps)
    longest = sorted((check.title for check in CHECKS), key=len, reverse=True)
    verdicts = [verdict for verdict, _ in zip(cycle(longest), maps, strict=False)]
    tiles = [tile.judged(v, "error") for tile, v in zip(sheet.tiles, verdicts, strict=True)]
    built = drawn(GridFigure, sheet.with_tiles(tiles), layout=(n_heads,))
    assert [panel.below.get_text().replace("\n", " ") for panel in built.tiles] == verdicts


def test_the_structure_of_a_sheet_is_the_overviews(make_map):
    map = make_map(40)
    sheet = Sheet.of([map], [3, 4, 5, 30])
    built = drawn(GridFigure, sheet, View(residues=(3, 4, 5, 30)), layout=(1,))
    overview = drawn(OverviewFigure, of(map), View(residues=(3, 4, 5, 30))).distance
    image, there = built.structure.image, overview.image
    assert image.get_cmap() == there.get_cmap()
    assert (image.norm.vmin, image.norm.vmax) == (there.norm.vmin, there.norm.vmax)
    np.testing.assert_array_equal(image.get_array(), there.get_array())
    for line, same in (
        (built.structure.outline, overview.outline),
        (built.structure.breaks, overview.breaks),
    ):
        np.testing.assert_array_equal(line.get_xydata(), same.get_xydata())


@pytest.mark.parametrize("n_heads", [1, 2, 3, 5, 8, 16, 32])
def test_a_sheet_fills_its_page_and_says_residues_at_its_left_and_below(make_map, n_heads):
    maps = [replace(make_map(9), id=make_map(9).id._replace(head=h)) for h in range(n_heads)]
    built = drawn(GridFigure, Sheet.of(maps), layout=(n_heads,))
    panels = [built.structure, *built.tiles]
    boxes = [panel.axes.get_position() for panel in panels]
    area = sum(box.width * box.height for box in boxes)
    assert area > (0.55 if n_heads == 1 else 0.36)
    assert max(box.x1 for box in boxes) > 0.85
    for panel, box in zip(panels, boxes, strict=True):
        numbers = [t.get_text() for t in panel.axes.get_xticklabels()]
        under = any(b.y1 < box.y0 and abs(b.x0 - box.x0) < 1e-6 for b in boxes)
        assert any(numbers) != under
        beside = any(b.x1 < box.x0 for b in boxes)
        assert any(t.get_text() for t in panel.axes.get_yticklabels()) != beside


def test_what_the_scale_of_a_sheet_cuts_off_is_counted(make_map):
    sheet = Sheet.of([make_map(30, gamma=30.0)])
    built = drawn(GridFigure, sheet, layout=(1,))
    below = np.count_nonzero(sheet.tiles[0].cells < 1e-4)
    assert below > 9
    assert built.bar.below.get_text() == f"{percent(below / 900)} below"
    assert built.bar.under.get_visible()


def test_a_matrix_tells_types_numbers_and_what_is_not_there(make_map):
    pairs = Pairs.of(make_map(30).structure)
    measured = [
        measure(replace(make_map(30, gamma=g), id=make_map(30).id._replace(layer=y, head=h)), pairs)
        for y, h, g in ((0, 0, 1e-5), (0, 1, 60.0), (1, 1, 0.3))
    ]
    built = drawn(HeadsFigure, HeadTable.of(measured), layout=(2, 2))
    said = [word.get_text() for word in built.matrix.axes.texts]
    assert {"blind", "one-hot"} <= set(said)
    assert "blind (1)" in [t.get_text() for t in built.types.key.legend.get_texts()]
    table = HeadTable.of(measured, "entropy", {(0, 0): "error"})
    built = drawn(HeadsFigure, table, layout=(2, 2))
    assert "✖" in [word.get_text() for word in built.matrix.axes.texts]
    assert built.layers.points.get_ydata() == pytest.approx(table.values[np.isfinite(table.values)])
    assert built.header.caption.get_text().startswith("How does entropy differ from head to head")
    trend = replace(table, metric="bias_trend", values=np.full((2, 2), -1.0))
    built = drawn(HeadsFigure, trend, layout=(2, 2))
    ticks = [tick.get_text() for tick in built.layers.axes.get_yticklabels()]
    assert (ticks[0], ticks[-1]) == ("−1.00", "−0.90")
    for numbers, scale in ((np.eye(2) + 1, "linear"), (10.0 ** np.diag([-4, 1]), "log")):
        named = replace(table, metric="gamma", values=numbers)
        built = drawn(HeadsFigure, named, layout=(2, 2))
        assert (built.layers.axes.get_yscale(), built.matrix.title.get_text()) == (scale, "γ")
    missing = built.matrix.image.get_array()[1, 0]
    with style():
        assert tuple(missing) == (1, 1, 1)


@pytest.mark.parametrize(
    ("metric", "low", "high", "name"),
    [
        ("bias_trend", -1.0, -0.976, "bias trend"),
        ("bias_trend", -0.9953, -0.9948, "bias trend (× 10⁻³)"),
        ("geo_bias_mean", -41.45, -41.4, "bias mean (nat)"),
        ("geometry_effect", 1e-4, 6e-3, "geometry effect (× 10⁻³)"),
        ("longrange_enrichment", 1e-7, 9e-6, "long-range enrichment (× 10⁻⁶)"),
    ],
)
def test_names_of_scales_keep_off_their_numbers_and_say_what_they_are_in(
    make_map, metric, low, high, name
):
    table = replace(
        HeadTable.of([measure(make_map(9), Pairs.of(make_map(9).structure))]),
        metric=metric,
        layers=(0,),
        heads=tuple(range(32)),
        values=np.linspace(low, high, 32)[None],
        words={},
        recorded=frozenset((0, head) for head in range(32)),
    )
    built = drawn(HeadsFigure, table, layout=(1, 32))
    with style():
        built.figure.canvas.draw()
        names, boxes = [], []
        for axes in (built.bar.axes, built.layers.axes):
            label = axes.yaxis.label
            names.append(label.get_text())
            boxes.append(label.get_window_extent())
            for tick in axes.get_yticklabels():
                assert not boxes[-1].overlaps(tick.get_window_extent())
        above = built.bar.above
        assert not above.get_text() or not boxes[0].overlaps(above.get_window_extent())
    assert not boxes[0].overlaps(boxes[1])
    assert boxes[0].x1 < boxes[1].x0
    assert names[0] == name
    assert names[1] == name


def test_types_in_narrow_cells_are_letters_all_of_them_and_many_points_hide_no_name(make_map):
    measured = measure(make_map(9), Pairs.of(make_map(9).structure))
    cells = [(layer, head) for layer in range(20) for head in range(16)]
    table = replace(
        HeadTable.of([measured]),
        layers=tuple(range(20)),
        heads=tuple(range(16)),
        words={cell: "geometric" if cell == (3, 3) else "blind" for cell in cells},
        recorded=frozenset(cells),
        **{name: np.full((20, 16), 0.05) for name in ("values", "geometry", "content")},
    )
    built = drawn(HeadsFigure, table, layout=(20, 16))
    said = [word.get_text() for word in built.matrix.axes.texts]
    assert (said.count("b"), said.count("g"), said.count("blind")) == (319, 1, 0)
    assert all(name.get_zorder() > built.types.points.get_zorder() for name in built.types.names)


def test_a_trajectory_says_when_items_differ_and_what_is_left_out(make_map, make_history):
    history = replace(make_history(make_map(25)), items=("n" * 300, "m" * 300, "1abc", "2xyz"))
    built = drawn(TrajectoryFigure, history, layout=(2, 5))
    details = built.header.details.get_text()
    assert "ITEMS DIFFER" in details
    assert "5 left out" in details
    panel = built.panels[0][1]
    assert panel.median.get_xdata().tolist() == [100, 200, 700]
    assert panel.median.get_ydata() == pytest.approx(history.tracks[0].median["geometry_effect"])
    (span,) = panel.spans["error"].get_paths()
    assert (span.vertices[:, 0].min(), span.vertices[:, 0].max()) == (150, 700)
    assert not panel.spans["warning"].get_paths()
    assert built.names[0].get_text() == "✖ layer 0"
    unknown = drawn(TrajectoryFigure, replace(history, items_differ=None), layout=(2, 5))
    assert "ITEMS MAY DIFFER" in unknown.header.details.get_text()
    calm = drawn(TrajectoryFigure, replace(history, items_differ=False), layout=(2, 5))
    assert "DIFFER" not in calm.header.details.get_text()
    one = make_history(make_map(25), steps=(5,), layers=1, metrics="entropy")
    assert drawn(TrajectoryFigure, one, layout=(1, 1)).panels[0][0].maps.get_xdata() == [5]


def test_rounding_fills_no_axis_and_ticks_are_short():
    """Steps with maps in turn with others, of which numbers have six digits."""
    numbers = {
        "gamma": (float(np.float32(5e-4)), 5e-4),
        "geometry_effect": (4.2e-4, 4.1e-4),
        "content_effect": (2e-19, 7e-20),
        "saturation": (1.0, 1.0),
        "self_mass": (0.488, 0.499),
    }
    moments = [
        Moment(0, step, [combine([{name: both[step % 2] for name, both in numbers.items()}])], True)
        for step in range(6)
    ]
    history = History("run", "probe", telling(None), tracks_of(moments), 6, 6, False)
    (panels,) = drawn(TrajectoryFigure, history, layout=(1, 5)).panels
    axes = dict(zip(numbers, (panel.axes for panel in panels), strict=True))
    for name, panel in zip(numbers, panels, strict=True):
        drawn_part = np.ptp(panel.median.get_ydata()) / np.ptp(axes[name].get_ylim())
        assert drawn_part < 0.02 or name == "self_mass"
    labels = {n: [t.get_text() for t in a.get_yticklabels()] for n, a in axes.items()}
    assert all(len(label) <= 5 for found in labels.values() for label in found)
    assert labels["content_effect"] == ["0.0", "0.5", "1.0"]
    assert labels["saturation"][-1] == "1.00"
    assert labels["self_mass"] == ["0.490", "0.495"]
    assert labels["gamma"] == ["450", "500", "550"]
    assert [panel.power.get_text() for panel in panels] == ["×10⁻⁶", "×10⁻³", "", "", ""]


def test_a_trajectory_of_one_head_names_it(tmp_path):
    bare.write(tmp_path / "a.h5", steps=(0, 100), layers=2, heads=3)
    dump = igaviz.open_dump(tmp_path)
    (of_all,), (of_one,) = (
        igaviz.histories(dump, igaviz.Choice.of(head=head)) for head in ("all", 2)
    )
    assert (of_all.heads, of_one.heads) == ((0, 1, 2), (2,))
    built = drawn(TrajectoryFigure, of_one, layout=(2, 5))
    assert "Line: head 2; large dots" in built.header.caption.get_text().replace("\n", " ")


def test_many_layers_over_the_steps_are_rows_of_maps(make_map, make_history):
    assert isinstance(trajectory_figure(16, 5), TrajectoryFigure)
    history = make_history(make_map(25), steps=(0, 100, 500), layers=17)
    gappy = replace(history.tracks[4], median={"gamma": np.array([np.nan, 0.2, np.nan])})
    unknown = replace(history.tracks[5], median={"gamma": np.full(3, np.nan)})
    unjudged = replace(history.tracks[6], severities=(None, None, None))
    history = replace(
        history,
        metrics=history.metrics[:1],
        tracks=(*history.tracks[:4], gappy, unknown, unjudged, *history.tracks[7:]),
    )
    built = drawn(trajectory_figure, history, layout=(17, 1))
    verdicts = np.asarray(built.verdicts.image.get_array())
    left, right, bottom, top = built.verdicts.image.get_extent()
    assert (bottom, top) == (16.5, -0.5)
    at = {step: int((step - left) / (right - left) * verdicts.shape[1]) for step in (40, 60, 500)}
    with style():
        error, healthy = to_rgba(theme.VERDICTS["error"][1]), to_rgba(theme.FIELD)
    assert [tuple(verdicts[0, at[step]]) for step in (40, 60, 500)] == [healthy, error, error]
    assert not verdicts[6].any()
    assert (np.delete(verdicts[1:], 5, axis=0) == healthy).all()
    key = [text.get_text() for text in built.verdicts.axes.get_legend().get_texts()]
    assert key == ["error", "warning", "not sick", "not judged"]
    gamma = np.asarray(built.panels[0].image.get_array())
    assert (gamma[4] == gamma[4, 0]).all()
    assert gamma[4, 0, 3] == 1
    assert not gamma[5].any()
    assert built.verdicts.maps.get_xdata() == [0]


def test_what_can_not_be_drawn_is_said(make_map):
    with pytest.raises(UsageError, match="no metric"):
        figures.heads([], metric="beauty")
    with pytest.raises(UsageError, match="none"):
        figures.heads([])
    with pytest.raises(UsageError, match="none"):
        figures.grid([])
    built = drawn(EffectFigure, of(replace(make_map(9), attention=None)))
    assert built.geometry.sentence.get_text() == "Attention not recorded."
    built = drawn(ContactsFigure, of(make_map(4)))
    assert "No pair is 6 residues apart." in built.map.sentence.get_text()
