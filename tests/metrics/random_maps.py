"""Maps of random walks, some with values that are not finite."""

from __future__ import annotations

import numpy as np

from igaviz.dump.data import AttentionMap, Structure
from igaviz.format import MapId
from igaviz.softmax import softmax

ODD = (np.nan, np.inf, -np.inf)


def random_map(n, seed, spoiled=0):
    rng = np.random.default_rng(seed)
    structure = Structure(
        name="x",
        ca=np.cumsum(rng.normal(0, 2.2, (n, 3)), axis=0),
        residue_index=np.cumsum(rng.integers(1, 3, n)),
        chain_index=np.arange(n) * 2 // max(n, 1),
        length_unit="angstrom",
    )
    logits = rng.normal(0, 1.5, (n, n)).astype(np.float32)
    distance = np.linalg.norm(structure.ca[:, None] - structure.ca[None], axis=-1)
    bias = (-0.02 * distance**2).astype(np.float32)
    attention = softmax(logits + bias)
    for _ in range(spoiled):
        term = (logits, bias, attention)[rng.integers(3)]
        term[tuple(rng.integers(0, n, 2))] = ODD[rng.integers(3)]
    return AttentionMap(
        id=MapId("run", "train", 1, 0, 0, 0, 0),
        structure=structure,
        logits_before=logits,
        geo_bias=bias,
        attention=attention,
    )
