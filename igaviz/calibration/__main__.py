"""`python -m igaviz.calibration train | measure | table | page`: one step each, in this order."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from igaviz.calibration import table
from igaviz.calibration.measuring import measure_all, measured_path
from igaviz.calibration.page import introduction, sections
from igaviz.calibration.recordings import RECORDINGS
from igaviz.calibration.scoring import layers
from igaviz.calibration.training import train_all
from igaviz.errors import IgavizError
from igaviz.reference.data import load_chains
from igaviz.report.explain import checks_markdown, metrics_markdown

TABLE = Path("sample_data/calibration.csv.xz")
PAGE = Path("docs/checks.md")
METRICS_PAGE = Path("docs/metrics.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command line."""
    parser = argparse.ArgumentParser(prog="python -m igaviz.calibration", description=__doc__)
    parser.add_argument("what", choices=("train", "measure", "table", "page"))
    parser.add_argument(
        "--folder", type=Path, help="where weights, dumps and numbers go: not needed for page"
    )
    parser.add_argument("--chains", type=Path, default=Path("sample_data/chains.npz"))
    parser.add_argument("--part", default="1/1", help="2/3: the second of three shares of train")
    chosen = parser.parse_args(arguments)
    if chosen.what != "page" and chosen.folder is None:
        parser.error("--folder is needed")
    torch.set_num_threads(1)
    try:
        _do(chosen)
    except IgavizError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _do(chosen: argparse.Namespace) -> None:
    if chosen.what == "train":
        part, parts = (int(number) for number in chosen.part.split("/"))
        train_all(load_chains(chosen.chains), chosen.folder, part=part - 1, parts=parts)
    elif chosen.what == "measure":
        measure_all(load_chains(chosen.chains), chosen.folder)
    elif chosen.what == "table":
        paths = [
            path
            for recording in RECORDINGS.values()
            for seed in recording.seeds
            if (path := measured_path(chosen.folder, recording.name, seed)).exists()
        ]
        table.write((row for path in paths for row in table.read(path)), TABLE)
        print(f"{TABLE}: {len(paths)} recordings, {TABLE.stat().st_size:,} bytes")
    else:
        known = layers(table.read(TABLE))
        PAGE.write_text(checks_markdown(introduction(known), sections(known)), encoding="utf-8")
        METRICS_PAGE.write_text(metrics_markdown(), encoding="utf-8")
        print(PAGE, METRICS_PAGE, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
