"""Reuse, files, and what drawing must leave alone."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import IdentityTransform
from PIL import Image

import igaviz
from igaviz.errors import OutputError, UsageError
from igaviz.figures import DEFAULT_FIGURES, FIGURES, FORMATS, Painter, View, overview
from igaviz.figures.canvas import Canvas, _stamp
from igaviz.figures.theme import style
from igaviz.metrics import Pairs

OF_MAPS = [name for name, kind in FIGURES.items() if kind.scope == "map"]
FUNCTIONS = {name: getattr(igaviz.figures, name.rsplit("_", 1)[-1]) for name in FIGURES}


def pixels(figure):
    with style():
        figure.set_dpi(50)
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba()).copy()


@pytest.mark.parametrize("name", OF_MAPS)
def test_a_reused_figure_is_a_fresh_one_pixel_for_pixel(name, odd_maps):
    views = [
        View(),
        View(scale="linear", radius=12.0, style="dark"),
        View(relative=True),
        View(style="dark"),
        View(relative=True, scale="linear"),
    ]
    painter = Painter()
    # forwards, then every other one backwards, so that maps follow very different ones
    order = [*odd_maps.items(), *[*reversed(odd_maps.items())][::2]]
    if name not in DEFAULT_FIGURES:  # the three have the more that can be left standing
        order = order[: len(odd_maps) + 4]
    for k, (kind, map) in enumerate(order):
        view = views[k % len(views)]
        if map.n_residues > 80:
            view = View(residues=tuple(range(20, 70)), queries=(3, 40), style=view.style)
        verdict, severity = [("fine", "healthy"), ("sick", "error"), ("", None)][k % 3]
        reused = painter.paint(name, map, None, view, verdict, severity)
        fresh = FUNCTIONS[name](map, view=view, verdict=verdict, severity=severity)
        assert np.array_equal(pixels(reused), pixels(fresh)), kind


def test_the_three_figures_of_a_map_share_what_is_computed(make_map):
    painter = Painter()
    map = make_map(20)
    pairs = Pairs.of(map.structure)
    painter.paint("attention_overview", map, pairs)
    first = painter._profiles
    painter.paint("distance_statistics", map, pairs)
    assert painter._profiles is first
    painter.paint("distance_statistics", map, view=View(radius=12.0))
    assert painter._profiles.pairs.radius == 12
    assert painter.paint("attention_overview", map) is painter.paint("attention_overview", map)


SAVE = """
import sys
from pathlib import Path
sys.path[:0] = [str(Path(sys.argv[1]).parent)]
import conftest
from igaviz.figures import DEFAULT_FIGURES, FIGURES, FORMATS, Painter, View

def formats(name, style):
    "All, but of most pictures no PDF: its fonts take longer than all else."
    as_pdf = name in DEFAULT_FIGURES and style == "light"
    return [format for format in FORMATS if format != "pdf" or as_pdf]

painter = Painter()
map = conftest.build(70, name="<script>$x$</script>")
other = conftest.build(150, chains=2, sign=-1)
for name, kind in FIGURES.items():
    for style in ("light", "dark") if name in DEFAULT_FIGURES else ("dark",):
        view = View(style=style)
        if sys.argv[3] == "reused" and kind.scope == "map":
            painter.paint(name, other, None, view)
        subject = conftest.subject_of(kind.scope, map)
        figure = painter.draw(name, subject, view, verdict="healthy", severity="healthy")
        for format in formats(name, style):
            painter.save(figure, Path(sys.argv[2]) / f"{name}_{style}.{format}", format, 60)
assert "matplotlib.pyplot" not in sys.modules
"""


def test_files_are_the_same_bytes_in_every_process(tmp_path):
    helper = Path(__file__).with_name("conftest.py")
    for run, seed, figures in (("one", "1", "new"), ("two", "2", "reused")):
        (tmp_path / run).mkdir()
        subprocess.run(
            [sys.executable, "-c", SAVE, str(helper), str(tmp_path / run), figures],
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed},
        )
    written = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(written) == 2 * len(FIGURES) + 3 * len(DEFAULT_FIGURES)
    for name in written:
        one, two = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
        assert one == two, name
    drawing = (tmp_path / "one" / "attention_overview_light.svg").read_text()
    assert "Logits before</text>" in drawing
    assert "&lt;script&gt;$x$&lt;/script&gt;" in drawing
    assert "<image" in drawing


def test_a_png_holds_the_pixels_that_were_drawn(tmp_path, make_map):
    figure = Painter().paint("distance_statistics", make_map(40), view=View(style="dark"))
    Painter.save(figure, tmp_path / "picture.png", dpi=50)
    with Image.open(tmp_path / "picture.png") as image:
        image.load()
        assert image.mode == "RGB"
        assert image.info["dpi"] == pytest.approx((50, 50), rel=1e-3)
        np.testing.assert_array_equal(np.asarray(image), pixels(figure)[..., :3])


@pytest.mark.parametrize("angle", [0.0, 90.0, 270.0, 30.0])
def test_words_are_drawn_as_matplotlib_draws_them(angle):
    """At whole pixels, a copied word is the word."""

    def drawn(canvas):
        with style():
            figure = Figure(figsize=(2, 1.2), dpi=100)
            made = canvas(figure)
            words = figure.text(0.5, 0.5, "10⁻³ nat, Ågq", rotation=angle, color="#1f5fae")
            words.set_transform(IdentityTransform())
            words.set_position((60, 40))
            twice = [made.draw() or np.asarray(made.buffer_rgba()).copy() for _ in range(2)]
        np.testing.assert_array_equal(*twice)
        return twice[0].astype(int)

    ours, theirs = drawn(Canvas), drawn(FigureCanvasAgg)
    assert (theirs < 200).any()
    # the layout of a string may end between two pixels: compare where it is, and how much of it
    assert abs(ours - theirs).mean() < 4
    assert ours.sum() == pytest.approx(theirs.sum(), rel=2e-3)


@contextlib.contextmanager
def files_of_at_most(size):
    """A disk that is full after `size` bytes: the system itself refuses to write more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("format", list(FORMATS))
def test_a_file_is_written_whole_or_not_at_all(tmp_path, make_map, format):
    painter = Painter()
    figure = painter.paint("distance_statistics", make_map(10))
    path = tmp_path / f"picture.{format}"
    painter.save(figure, path, format, 40)
    whole = path.read_bytes()
    with files_of_at_most(4096), pytest.raises(OutputError, match="file too large"):
        painter.save(figure, path, format, 40)
    assert path.read_bytes() == whole
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(OutputError, match="nowhere"):
        painter.save(figure, tmp_path / "nowhere" / path.name, format)


def test_what_there_is_not_is_refused(tmp_path, make_map):
    painter = Painter()
    with pytest.raises(UsageError, match="attention_map"):
        painter.paint("attention_map", make_map(5))
    figure = painter.paint("attention_overview", make_map(5))
    with pytest.raises(UsageError, match="bmp"):
        painter.save(figure, tmp_path / "x.bmp", "bmp")
    with pytest.raises(UsageError, match="5000"):
        painter.save(figure, tmp_path / "x.png", dpi=5000)
    assert not list(tmp_path.iterdir())


def test_the_users_settings_are_neither_used_nor_changed(make_map, tmp_path):
    map = make_map(30)
    plain = pixels(overview(map))
    Painter.save(overview(map), tmp_path / "plain.png", dpi=40)
    odd = {
        "lines.linewidth": 9.0,
        "font.family": ["serif"],
        "axes.facecolor": "black",
        "savefig.bbox": "tight",
        "figure.autolayout": True,
        "text.usetex": True,
        "axes.formatter.useoffset": True,
    }
    with matplotlib.rc_context(odd):
        before = dict(matplotlib.rcParams)
        figure = overview(map)
        Painter.save(figure, tmp_path / "odd.png", dpi=40)
        assert dict(matplotlib.rcParams) == before
        assert np.array_equal(pixels(figure), plain)
    assert (tmp_path / "odd.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_a_figure_saved_with_the_users_settings_leaves_nothing_in_later_ones(make_map, tmp_path):
    """Words are kept once they are drawn: those that matplotlib hinted are others."""
    figure = overview(make_map(30))
    figure.savefig(tmp_path / "own.png", dpi=41)  # before ours were ever drawn at these dots
    Painter.save(figure, tmp_path / "after.png", dpi=41)
    _stamp.cache_clear()
    Painter.save(figure, tmp_path / "alone.png", dpi=41)
    assert (tmp_path / "after.png").read_bytes() == (tmp_path / "alone.png").read_bytes()
    assert (tmp_path / "after.png").read_bytes() != (tmp_path / "own.png").read_bytes()
