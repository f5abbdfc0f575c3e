"""What a measurement of one map is: plain numbers that cross processes and feed the checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from igaviz.dump.data import Mask
from igaviz.format import MapId

Value = float | int | str | None
"""A metric: a number, the word `beyond` (`geo_range`), or None where it has no value."""


@dataclass(frozen=True)
class Replay:
    """How well softmax(S + G) gives the recorded attention, judged row by row.

    `failed_rows` of `judged_rows` exceed their tolerance; `error` is the largest deviation among
    the judged, and `tolerance` the largest tolerance of those that are off by more than 5e-3, or
    5e-3 where none is. `coarse_rows` more are finite and not judged: their tolerance is too wide to
    say anything. `error_of_all` is the largest deviation over both. `fits` names the reading of the
    terms that does give the recorded attention where softmax(S + G) doesn't: `"without geometry"`,
    `"geometry subtracted"`, `"geometry alone"`, `"without pair bias"`, `"later keys masked"` (by a
    mask between residues), `"keys masked"` (softmax(S + G) without `masked_keys` of the keys), or
    None where none does.
    """

    error: float
    failed_rows: int
    judged_rows: int
    tolerance: float
    fits: str | None = None
    coarse_rows: int = 0
    error_of_all: float = 0.0
    masked_keys: int = 0


@dataclass(frozen=True)
class Unplaced:
    """Residues of an item without a place of their own, in `ca` or in the clean structure.

    `missing` have no finite coordinates, `piled` lie on one point with others, and `local_share`
    is the share of local pairs that one of these is in. Where all that have coordinates lie on one
    point in `ca`, `no_extent` says so, and these are not among `piled`.
    """

    missing: int
    piled: int
    local_share: float
    no_extent: bool


@dataclass(frozen=True)
class Measurement:
    """Every number of one map, and what the checks must know to judge it.

    `values` holds each metric of `igaviz.metrics.METRICS` by name; `reasons` says why a None is
    None, where there is a reason to give. `ca_step` and `reference_step` are the median Cα–Cα
    distances in Å of residues that follow each other in sequence (same chain, consecutive
    numbers), of `ca` and of the clean structure where there is one; `step_spread` is the distance
    between the quartiles by the median, of the clean structure where there is one.
    `log_det_min` is in ln nm⁶. `mask` is the one inside the logits, if there is one; `unplaced` are
    the residues without a place of their own, None where each has one.
    `sketch` stands for the map where maps are compared (`igaviz.metrics.sketch`); `twin_cosine` is
    the largest cosine with another head of the same item, once a layer's maps were compared.
    """

    id: MapId
    item: str
    n_residues: int
    length_unit: str
    values: Mapping[str, Value]
    reasons: Mapping[str, str] = field(default_factory=dict)
    attention_recorded: bool = True
    attention_dtype: str = "float32"
    compute_dtype: str = "float32"
    flow_time: float | None = None
    ca_step: float | None = None
    reference_step: float | None = None
    step_spread: float | None = None
    replay: Replay | None = None
    mask: Mask | None = None
    unplaced: Unplaced | None = None
    log_det_min: float | None = None
    sigma_floor_share: float | None = None
    sketch: tuple[float, ...] | None = None
    twin_cosine: float | None = None

    def number(self, name: str) -> float | None:
        """The metric `name` as a float, None where it has no finite value or is a word."""
        value = self.values.get(name)
        return None if value is None or isinstance(value, str) else float(value)
