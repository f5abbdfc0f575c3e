"""The pictures of docs/gallery.md: `python tests/gallery.py` makes them anew in docs/images.

Each is drawn by `igaviz.survey.render` from a recorded dump: the sample data, and assemblies of
its chains seen by the reference model after a short training.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import assembly  # of this folder
import torch
from PIL import Image

from igaviz.dump import open_dump
from igaviz.figures import View
from igaviz.selection import Numbers
from igaviz.survey.drawing.pictures import Style
from igaviz.survey.plan import Choice
from igaviz.survey.render import render

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
DPI = 150
WIDTH = 840
"""Pixels of a picture on the page: its figure is drawn at 150 dpi and made smaller."""

COLOURS = 256
TRAINED = 300


@dataclass(frozen=True)
class Shot:
    """One picture: which head of which dump, as which figure."""

    name: str
    dump: str
    figure: str
    layer: int = 2
    head: int = 3
    style: str = "light"


SHOTS = (
    Shot("healthy_overview", "healthy", "attention_overview"),
    Shot("healthy_profiles", "healthy", "attention_profiles"),
    Shot("healthy_statistics", "healthy", "distance_statistics"),
    Shot("dark_overview", "healthy", "attention_overview", style="dark"),
    Shot("dark_statistics", "healthy", "distance_statistics", style="dark"),
    Shot("blind_overview", "gamma_too_small", "attention_overview"),
    Shot("blind_statistics", "gamma_too_small", "distance_statistics"),
    Shot("collapsed_overview", "diagonal_collapse", "attention_overview"),
    Shot("collapsed_profiles", "diagonal_collapse", "attention_profiles"),
    Shot("saturated_overview", "saturated", "attention_overview"),
    Shot("large_overview", "600 residues", "attention_overview"),
    Shot("large_profiles", "600 residues", "attention_profiles"),
    Shot("large_statistics", "600 residues", "distance_statistics"),
    Shot("small_overview", "30 residues", "attention_overview"),
    Shot("pair_overview", "2 residues", "attention_overview"),
    Shot("nan_overview", "a residue without coordinates", "attention_overview", layer=0),
)


def main() -> None:
    """Make every picture."""
    with tempfile.TemporaryDirectory() as folder:
        dumps = make_dumps(Path(folder))
        for shot in SHOTS:
            drawn = draw(shot, dumps[shot.dump], Path(folder) / "drawn")
            smaller(drawn, IMAGES / f"gallery_{shot.name}.png")
            print(shot.name, file=sys.stderr)
    total = sum(path.stat().st_size for path in IMAGES.glob("gallery_*.png"))
    print(f"{len(SHOTS)} pictures, {total / 1e6:.2f} MB", file=sys.stderr)


def make_dumps(folder: Path) -> dict[str, Path]:
    """The dumps by what they show; those that are not sample data are recorded in `folder`."""
    torch.set_num_threads(1)
    trained = assembly.model_after(TRAINED)
    saturated = assembly.model_after(60, fixed_gamma=5.0)

    def record(name: str, n: int, model, **more) -> Path:
        return assembly.record(folder / name, [n], model, step=TRAINED, **more)

    runs = ("healthy", "gamma_too_small", "diagonal_collapse")
    return {run: ROOT / "sample_data" / run for run in runs} | {
        "2 residues": record("two", 2, trained),
        "30 residues": record("thirty", 30, trained),
        "600 residues": record("large", 600, trained),
        "saturated": assembly.record(folder / "saturated", [150], saturated, step=60),
        "a residue without coordinates": record("nan", 85, trained, missing=40),
    }


def draw(shot: Shot, dump: Path, out: Path) -> Path:
    """The picture of `shot`, below `out`."""
    choice = Choice(
        step=Numbers.parse("last"),
        layer=Numbers.parse(str(shot.layer)),
        head=Numbers.parse(str(shot.head)),
    )
    style = Style(figures=(shot.figure,), view=View(style=shot.style), dpi=DPI)
    rendering = render(open_dump(dump), choice, out=out / shot.name, style=style)
    (picture,) = rendering.pictures
    return picture.path


def smaller(drawn: Path, path: Path) -> None:
    """Write the picture `drawn` to `path` in fewer pixels and colours: it is for a page."""
    with Image.open(drawn) as image:
        size = (WIDTH, round(WIDTH * image.height / image.width))
        small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    # by coverage, for the sake of the thin lines' colours, then moved to where the pixels are
    few = small.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


if __name__ == "__main__":
    main()
