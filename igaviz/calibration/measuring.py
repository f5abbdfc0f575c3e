"""From weights to numbers: every recording is made, read back as users would, and measured."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from igaviz.aside import written_aside
from igaviz.calibration import table
from igaviz.calibration.recordings import FEW, RECORDINGS, Recording, record
from igaviz.calibration.training import checkpoint
from igaviz.checks.cases import with_twins
from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump import open_dump
from igaviz.reference.data import Chain
from igaviz.survey.measuring.layers import measure_layers
from igaviz.survey.plan import EVERYTHING, plan


def measure_all(chains: list[Chain], folder: Path) -> None:
    """Record and measure what is trained and `folder` doesn't hold the numbers of."""
    for recording in RECORDINGS.values():
        for seed in recording.seeds:
            path = measured_path(folder, recording.name, seed)
            if path.exists() or not checkpoint(folder, recording.condition, seed).exists():
                continue
            rows = measure_one(recording, seed, chains, folder)
            with written_aside(path) as aside:
                table.write(rows, aside)
            print(f"{recording.name}, seed {seed}: {len(rows)} maps", file=sys.stderr)


def measure_one(
    recording: Recording, seed: int, chains: list[Chain], folder: Path
) -> list[table.Row]:
    """The rows of one recording, which is made under `folder`/dumps unless it is there."""
    dump = folder / "dumps" / f"{recording.name}-{seed}"
    done = dump.with_name(f"{dump.name}.done")
    if not done.exists():
        shutil.rmtree(dump, ignore_errors=True)
        record(recording, seed, chains, folder, dump)
        done.touch()
    groups = measure_layers(plan(open_dump(dump), EVERYTHING), radius=LOCAL_RADIUS)
    ends = {min(recording.steps), max(recording.steps)} if len(recording.steps) > len(FEW) else ()
    rows = []
    for group in groups:
        for measurement in with_twins(group.measurements):
            # What only trends over many steps need is kept for them alone.
            kept = measurement if group.step in ends else replace(measurement, sketch=None)
            rows.append(table.Row(recording.name, seed, kept))
    return rows


def measured_path(folder: Path, name: str, seed: int) -> Path:
    """Where the numbers of a recording are."""
    return folder / "measured" / f"{name}-{seed}.csv.xz"
