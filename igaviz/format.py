"""Names of the dump format (docs/format.md) and the identity of a map. Pure: no file is touched."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

FORMAT_NAME = "igaviz"
FORMAT_VERSION = (1, 0)
SHARD_SUFFIX = ".h5"

ANGSTROM_PER_UNIT = {"angstrom": 1.0, "nanometer": 10.0}
"""Å in one `length_unit`."""

LN_ANGSTROM6_PER_NM6 = 6 * math.log(10.0)
"""ln(Å⁶ in one nm⁶): subtract it from a log-determinant in ln Å⁶ to have it in ln nm⁶."""

NUMBERS_END = 10**15
"""Steps, epochs, layers, ranks and attempts are whole numbers from 0 on, below this."""

PHASES = ("train", "val", "sample", "probe")
DEFAULT_PHASE = "train"
PROBE_PHASE = "probe"
DTYPES = ("float32", "float16", "bfloat16")

MAP_TERMS = ("logits_before", "geo_bias", "logits_after", "attention", "pair_bias")
"""The data sets of a layer that hold one [N, N] map per head."""

HEAD_TERMS = ("gamma", "log_det_min", "sigma_floor_share")
"""The data sets of a layer that hold one number per head."""

GAMMA_GRADIENT = "gamma_gradient_norm"
"""The one number of a layer and step: over heads, of the gradient that reached γ."""

METRIC_NAMES = frozenset(
    (
        "gamma", "geo_bias_mean", "geo_bias_std", "geo_bias_absmax", "geo_bias_std_near",
        "geometry_ratio", "geometry_ratio_near", "geometry_effect", "content_effect", "geo_range",
        "neighbour_shift", "bias_trend", "attention_trend", "local_attn", "global_attn",
        "local_global_ratio", "local_mass", "local_enrichment", "local_gain",
        "longrange_enrichment", "longrange_gain", "sequence_share", "self_mass", "saturation",
        "content_saturation", "sink", "entropy", "uniform_kl", "mean_distance", "contact_precision",
        "contact_lift", "row_sum_error", "replay_error", "nonfinite",
    )
)  # fmt: skip
"""What may stand in a line of a scalars file, a number for each head. Other names are free."""


class LayerId(NamedTuple):
    """The identity of one attention call on one batch item; sorts in time order within a run."""

    run: str
    phase: str
    step: int
    rank: int
    batch: int
    layer: int


class MapId(NamedTuple):
    """The identity of one map: one head of one attention call on one batch item."""

    run: str
    phase: str
    step: int
    rank: int
    batch: int
    layer: int
    head: int

    @property
    def layer_id(self) -> LayerId:
        """The call that this map is one head of."""
        return LayerId(*self[:6])

    def __str__(self) -> str:
        return (
            f"{self.run}: {self.phase} step {self.step}, rank {self.rank}, item {self.batch}, "
            f"layer {self.layer}, head {self.head}"
        )


@dataclass(frozen=True)
class ShardName:
    """What the name of a shard says: `step-000000100.val.rank-00000.a01.h5`."""

    step: int
    rank: int = 0
    phase: str = DEFAULT_PHASE
    attempt: int = 0

    def __str__(self) -> str:
        phase = "" if self.phase == DEFAULT_PHASE else f".{self.phase}"
        attempt = "" if self.attempt == 0 else f".a{self.attempt:02d}"
        return f"step-{self.step:09d}{phase}.rank-{self.rank:05d}{attempt}{SHARD_SUFFIX}"


_SHARD_NAME = re.compile(
    r"step-(?P<step>\d{9,})(?:\.(?P<phase>[a-z]+))?\.rank-(?P<rank>\d{5,})"
    r"(?:\.a(?P<attempt>\d{2,}))?\.h5"
)
_RUN_JSON_NAME = re.compile(r"run(?:\.rank-(\d{5,}))?\.json")
_STEP_GROUP = re.compile(r"([0-9]{1,18})(?:\.[a-z][a-z0-9_]{0,31})?")
_SCALARS_NAME = re.compile(r"scalars\.rank-(\d{5,})\.jsonl")


def parse_shard_name(name: str) -> ShardName | None:
    """What `name` says, or None where it isn't a recorder's shard name (any `.h5` is a shard)."""
    match = _SHARD_NAME.fullmatch(name)
    if match is None:
        return None
    return ShardName(
        step=int(match["step"]),
        rank=int(match["rank"]),
        phase=match["phase"] or DEFAULT_PHASE,
        attempt=int(match["attempt"] or 0),
    )


def temporary_name(name: str) -> str:
    """The name under which a shard is written before it is renamed into place."""
    return f".{name}.tmp"


def scalars_name(rank: int) -> str:
    """The scalars file of one rank."""
    return f"scalars.rank-{rank:05d}.jsonl"


def parse_scalars_name(name: str) -> int | None:
    """The rank in the name of a scalars file, or None where it is none."""
    match = _SCALARS_NAME.fullmatch(name)
    return int(match[1]) if match else None


def run_json_name(rank: int) -> str:
    """The provenance file of one rank."""
    return "run.json" if rank == 0 else f"run.rank-{rank:05d}.json"


def parse_run_json_name(name: str) -> int | None:
    """The rank in the name of a provenance file, or None where it is none."""
    match = _RUN_JSON_NAME.fullmatch(name)
    return int(match[1] or 0) if match else None


def step_group(step: int, phase: str = DEFAULT_PHASE) -> str:
    """The name of a step's group below `steps`; `phase` where a file holds several phases."""
    return f"{step:09d}" if phase == DEFAULT_PHASE else f"{step:09d}.{phase}"


def parse_step_group(name: str) -> int | None:
    """The step in the name of a group below `steps`, or None where it is none."""
    match = _STEP_GROUP.fullmatch(name)
    return int(match[1]) if match else None


def chain_label(index: int) -> str:
    """The letter of a chain: A for 0, Z for 25, AA for 26; `?` for a negative number."""
    if index < 0:
        return "?"
    label = ""
    index += 1
    while index > 0:
        index, letter = divmod(index - 1, 26)
        label = chr(ord("A") + letter) + label
    return label
