"""The numbers of every map that was recorded, as one small table on disk."""

from __future__ import annotations

import csv
import io
import lzma
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from igaviz.format import MapId
from igaviz.metrics.data import Measurement, Replay, Value
from igaviz.metrics.table import BEYOND

VALUES = (
    "gamma",
    "geometry_effect",
    "content_effect",
    "geo_bias_std_near",
    "geometry_ratio",
    "geometry_ratio_near",
    "geo_range",
    "neighbour_shift",
    "bias_trend",
    "local_enrichment",
    "self_mass",
    "saturation",
    "content_saturation",
    "sink",
    "uniform_kl",
    "row_sum_error",
    "nonfinite",
)
"""The metrics that are kept: those that checks judge, and those that their messages name."""

_FIELDS = (
    "ca_step",
    "reference_step",
    "step_spread",
    "flow_time",
    "log_det_min",
    "sigma_floor_share",
    "twin_cosine",
)
_WORDS = ("attention_dtype", "compute_dtype", "length_unit")
_REPLAY = ("failed_rows", "judged_rows", "coarse_rows", "error", "tolerance", "error_of_all")
_PLACE = ("recording", "seed", "step", "item", "layer", "head", "n_residues")
COLUMNS = (*_PLACE, *VALUES, *_FIELDS, *_WORDS, *_REPLAY, "fits", "sketch")


@dataclass(frozen=True)
class Row:
    """One map: what it was recorded of, and its measurement."""

    recording: str
    seed: int
    measurement: Measurement


def write(rows: Iterable[Row], path: Path) -> None:
    """Write the table to `path`, compressed, numbers with four significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_cells(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text.getvalue().encode("utf-8"), preset=9))


def read(path: Path) -> Iterator[Row]:
    """The rows of the table at `path`."""
    with lzma.open(path, "rt", encoding="utf-8", newline="") as lines:
        for cells in csv.DictReader(lines):
            yield _row(cells)


def _cells(row: Row) -> list[str]:
    m = row.measurement
    place = (row.recording, row.seed, m.id.step, m.item, m.id.layer, m.id.head, m.n_residues)
    replay = [None if m.replay is None else getattr(m.replay, name) for name in _REPLAY]
    fits = m.replay.fits if m.replay and m.replay.fits else ""
    values: list[Value] = [
        *place,
        *(m.values.get(name) for name in VALUES),
        *(getattr(m, name) for name in (*_FIELDS, *_WORDS)),
        *replay,
        fits,
        " ".join(_text(number) for number in m.sketch or ()),
    ]
    return [_text(value) for value in values]


def _text(value: Value) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(cells: dict[str, str]) -> Row:
    numbers = {name: _number(cells[name]) for name in (*_FIELDS, *_REPLAY)}
    values: dict[str, Value] = {
        name: cells[name] if cells[name] == BEYOND else _number(cells[name]) for name in VALUES
    }
    replay = None
    if numbers["judged_rows"] is not None:
        replay = Replay(
            error=_known(numbers["error"]),
            failed_rows=int(_known(numbers["failed_rows"])),
            judged_rows=int(numbers["judged_rows"]),
            tolerance=_known(numbers["tolerance"]),
            fits=cells["fits"] or None,
            coarse_rows=int(_known(numbers["coarse_rows"])),
            error_of_all=_known(numbers["error_of_all"]),
        )
    recording, seed = cells["recording"], int(cells["seed"])
    run = f"{recording}-{seed}"
    step, layer, head = (int(cells[name]) for name in ("step", "layer", "head"))
    measurement = Measurement(
        # The item's name tells it apart as well as its number would.
        id=MapId(run, "probe", step, 0, _ITEMS.setdefault(cells["item"], len(_ITEMS)), layer, head),
        item=cells["item"],
        n_residues=int(cells["n_residues"]),
        length_unit=cells["length_unit"],
        values=values,
        attention_dtype=cells["attention_dtype"],
        compute_dtype=cells["compute_dtype"],
        flow_time=numbers["flow_time"],
        ca_step=numbers["ca_step"],
        reference_step=numbers["reference_step"],
        step_spread=numbers["step_spread"],
        replay=replay,
        log_det_min=numbers["log_det_min"],
        sigma_floor_share=numbers["sigma_floor_share"],
        twin_cosine=numbers["twin_cosine"],
        sketch=tuple(float(number) for number in cells["sketch"].split()) or None,
    )
    return Row(recording, seed, measurement)


_ITEMS: dict[str, int] = {}


def _number(text: str) -> float | None:
    return float(text) if text else None


def _known(value: float | None) -> float:
    return math.nan if value is None else value
