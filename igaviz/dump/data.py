"""What flows out of a dump: frozen data classes over numpy arrays. No file is touched here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from igaviz.format import LayerId, MapId

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Damage:
    """A piece of the input that was skipped: the file, the place inside it, and the reason."""

    path: str
    where: str
    reason: str


@dataclass(frozen=True)
class LayerEntry:
    """One attention call on one batch item, as the index of a dump knows it: no arrays.

    `terms` names the data sets that are recorded, `heads` the model's own head numbers in the
    order in which they are stored, `numbers` the step's further numbers (loss, learning rate).
    """

    id: LayerId
    path: str
    group: str
    item: str
    n_residues: int
    heads: tuple[int, ...]
    terms: frozenset[str]
    length_unit: str
    flow_time: float | None = None
    geo_bias_sign: int = 1
    compute_dtype: str = "float32"
    attention_dtype: str = "float32"
    module: str = ""
    call: int = 0
    training: bool | None = None
    attempt: int = 0
    epoch: int | None = None
    wall_time: float | None = None
    numbers: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Structure:
    """One batch item as one layer saw it, shared by the layer's heads.

    `ca` and `ca_reference` are [N, 3] float64 in Å, whatever the file's unit; `ca_reference` is
    the clean structure where `ca` is noised. `residue_index` and `chain_index` are [N].
    """

    name: str
    ca: npt.NDArray[np.float64]
    residue_index: Integers
    chain_index: Integers
    length_unit: str
    ca_reference: npt.NDArray[np.float64] | None = None
    sequence: str | None = None
    flow_time: float | None = None

    @property
    def n_residues(self) -> int:
        """N, the number of residues."""
        return len(self.ca)


@dataclass(frozen=True)
class Mask:
    """A mask inside the logits of a map: a large negative number, or one that hides whole keys.

    `value` is the largest logit under it, `pairs` how many are; `keys` are masked for every query.
    """

    value: float
    pairs: int
    keys: int


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """One head of one layer of one batch item: [N, N] float32 arrays, axes query and key.

    A term is None where it was not recorded and can't be derived. `attention` is softmax of
    `logits_after` where it was not recorded, and `attention_recorded` says which. `geo_bias` is
    as stored; `effective_bias` is what enters the logits with a plus sign. `log_det_min` is in
    ln nm⁶ whatever the file's unit. `sigma` is [N, 3] in Å. Where there is a `mask`, the logits
    are -∞ under it, and throughout for the queries of keys that it hides, whatever is stored.
    """

    id: MapId
    structure: Structure
    gamma: float | None = None
    logits_before: Floats | None = None
    geo_bias: Floats | None = None
    logits_after_recorded: Floats | None = None
    attention: Floats | None = None
    pair_bias: Floats | None = None
    sigma: Floats | None = None
    attention_recorded: bool = True
    geo_bias_sign: int = 1
    compute_dtype: str = "float32"
    attention_dtype: str = "float32"
    log_det_min: float | None = None
    sigma_floor_share: float | None = None
    mask: Mask | None = None

    @property
    def n_residues(self) -> int:
        """N, the number of residues."""
        return self.structure.n_residues

    @cached_property
    def logits_after(self) -> Floats | None:
        """The logits after geometry, [N, N]: as recorded, else S + G; None where that can't be."""
        if self.logits_after_recorded is not None:
            return self.logits_after_recorded
        if self.logits_before is None or self.geo_bias is None:
            return None
        with np.errstate(all="ignore"):  # non-finite values stay as they are
            if self.geo_bias_sign == 1:
                return self.logits_before + self.geo_bias
            return self.logits_before - self.geo_bias

    @cached_property
    def effective_bias(self) -> Floats | None:
        """`geo_bias_sign × geo_bias`, [N, N]: what every metric works with."""
        if self.geo_bias is None or self.geo_bias_sign == 1:
            return self.geo_bias
        negated: Floats = -self.geo_bias
        return negated
