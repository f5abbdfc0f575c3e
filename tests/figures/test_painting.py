"""Pictures of every kind of map: reused figures are fresh ones, and nothing raises."""

from __future__ import annotations

import subprocess
import sys

import bare
import numpy as np
import pytest

from igaviz.dump.data import AttentionMap, Structure
from igaviz.figures import FIGURES, Painter, View
from igaviz.format import MapId


def example(n=30, *, spoil=None, name="1abc_A", sign=1, chains=1, **left_out):
    ca = bare.helix(n)
    data = {k: v[0] for k, v in bare.terms(ca, 1).items()}
    data["logits_after"] = data["logits_before"] + data["geo_bias"]
    data["geo_bias"] = sign * data["geo_bias"]
    if spoil is not None:
        spoil(data)
    data = {k: v for k, v in data.items() if k not in left_out}
    structure = Structure(
        name=name,
        ca=ca,
        residue_index=np.arange(n) + 5,
        chain_index=(np.arange(n) * chains // max(n, 1)).astype(np.int64),
        length_unit="angstrom",
    )
    return AttentionMap(
        MapId("run", "train", 100, 0, 0, 3, 1), structure, gamma=0.8, geo_bias_sign=sign, **data
    )


def _holes(data):
    for term in data.values():
        term[3:6, 4] = np.nan
        term[7, 8] = np.inf


def _outlier(data):
    data["geo_bias"][0, 1] = -1e8


def _constant(data):
    for term in data.values():
        term[:] = 0.0


def _nothing_finite(data):
    for term in data.values():
        term[:] = np.nan


MAPS = {
    "healthy": example(),
    "one residue": example(1),
    "two residues": example(2),
    "large": example(180, chains=2),
    "holes": example(spoil=_holes),
    "outlier": example(spoil=_outlier),
    "constant": example(spoil=_constant),
    "nothing finite": example(spoil=_nothing_finite),
    "subtracted": example(sign=-1),
    "no bias": example(geo_bias=None, logits_after=None),
    "attention alone": example(geo_bias=None, logits_before=None, logits_after=None),
    "hostile name": example(name="$\\frac{x}$ <script>alert(1)</script> 🧬 " * 20),
}


def pixels(figure):
    figure.set_dpi(40)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


@pytest.mark.parametrize("name", FIGURES)
def test_a_reused_figure_is_a_fresh_one_pixel_for_pixel(name):
    reused = Painter()
    for kind, found in MAPS.items():
        view = View(relative=kind == "outlier", scale="linear" if kind == "holes" else "log")
        verdict = ("geometry has no say", "error") if kind == "constant" else ("healthy", "healthy")
        drawn = pixels(reused.paint(name, found, None, view, *verdict))
        fresh = pixels(Painter().paint(name, found, None, view, *verdict))
        assert drawn.shape == fresh.shape
        assert np.array_equal(drawn, fresh), kind


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text")))


def test_the_title_says_what_is_drawn():
    found = texts(Painter().paint("attention_overview", MAPS["healthy"], verdict="healthy"))
    for part in ("Layer 3", "head 1", "1abc_A", "100", "0.8", "healthy"):
        assert part in found


def test_what_was_not_recorded_is_said_and_not_drawn_as_zeros():
    found = texts(Painter().paint("attention_overview", MAPS["attention alone"]))
    assert "not recorded" in found


def test_the_logits_are_drawn_as_they_are():
    found = MAPS["healthy"]
    figure = Painter().paint("attention_overview", found)
    drawn = [
        np.ma.getdata(image.get_array()) for axes in figure.axes for image in axes.get_images()
    ]
    for term in (found.logits_before, found.geo_bias, found.logits_after, found.attention):
        assert any(
            a.shape == term.shape and np.isclose(a, term, atol=1e-6).mean() > 0.9 for a in drawn
        )


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_bytes_are_the_same_from_run_to_run(format, tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "import importlib.util as u\n"
        "from pathlib import Path\n"
        "s = u.spec_from_file_location('bare', sys.argv[2]); m = u.module_from_spec(s)\n"
        "sys.modules['bare'] = m; s.loader.exec_module(m)\n"
        "s = u.spec_from_file_location('t', sys.argv[1]); t = u.module_from_spec(s)\n"
        "s.loader.exec_module(t)\n"
        f"p = t.Painter(); f = p.paint('distance_statistics', t.MAPS['healthy'])\n"
        f"p.save(f, Path('x.{format}'), '{format}', 60)\n"
    )
    pictures = []
    for run in ("a", "b"):
        folder = tmp_path / run
        folder.mkdir()
        helper = __file__.replace("figures/test_painting.py", "bare.py")
        subprocess.run([sys.executable, "-c", code, __file__, helper], cwd=folder, check=True)
        pictures.append((folder / f"x.{format}").read_bytes())
    assert pictures[0] == pictures[1]
