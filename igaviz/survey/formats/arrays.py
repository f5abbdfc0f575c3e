"""A map as an `.npz` file, which `numpy.load` opens without pickle."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from igaviz.dump import AttentionMap
from igaviz.metrics.received import Received


def npz(map: AttentionMap, queries: Sequence[int] | None = None) -> bytes:
    """The terms of `map` that exist, its structure in Å, its identity, and what keys receive.

    The keys are those of docs/export.md. `received` is by `queries` (positions; None for all).
    """
    structure = map.structure
    arrays: dict[str, object] = {
        **map.id._asdict(),
        "item": structure.name,
        "ca": structure.ca,
        "ca_reference": structure.ca_reference,
        "residue_index": structure.residue_index,
        "chain_index": structure.chain_index,
        "sequence": structure.sequence,
        "length_unit": "angstrom",
        "recorded_length_unit": structure.length_unit,
        "flow_time": structure.flow_time,
        "logits_before": map.logits_before,
        "geo_bias": map.geo_bias,
        "logits_after": map.logits_after_recorded,
        "attention": map.attention,
        "pair_bias": map.pair_bias,
        "gamma": map.gamma,
        "sigma": map.sigma,
        "geo_bias_sign": map.geo_bias_sign,
        "attention_recorded": map.attention_recorded,
        "queries": None if queries is None else np.asarray(queries, dtype=np.int64),
    }
    if map.attention is not None:
        arrays["received"] = Received.of(map.attention, queries).values
    held: dict[str, Any] = {
        name: np.asarray(value) for name, value in arrays.items() if value is not None
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **held)
    return buffer.getvalue()
