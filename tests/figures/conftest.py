"""Maps to draw: a folded helix-like chain, and attention as the layer would give it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from igaviz.dump.data import AttentionMap, Structure
from igaviz.format import MapId
from igaviz.metrics import Pairs, measure
from igaviz.metrics.heads import HeadTable
from igaviz.metrics.history import History, Moment, telling, tracks_of
from igaviz.metrics.profiles import Profiles
from igaviz.metrics.sheet import Sheet
from igaviz.softmax import softmax


def coil(n):
    """Cα of helices of 12 residues that run back and forth side by side; 3.8 Å steps."""
    t = np.arange(n)
    strand, along = t // 12, t % 12
    rise = np.where(strand % 2 == 0, along, 11 - along) * 1.5
    turn = np.deg2rad(100.0) * t
    return np.column_stack(
        [2.3 * np.cos(turn) + 9.0 * (strand % 4), 2.3 * np.sin(turn) + 9.0 * (strand // 4), rise]
    )


def build(n, *, gamma=0.3, chains=1, sign=1, seed=0, phase="train", name="1abc"):
    rng = np.random.default_rng(seed)
    ca = coil(n)
    distance = np.linalg.norm(ca[:, None] - ca[None], axis=-1)
    offset = np.abs(np.arange(n)[:, None] - np.arange(n)[None])
    logits = (1.5 * np.exp(-offset / 4) + 0.5 * rng.standard_normal((n, n))).astype(np.float32)
    bias = (gamma * (4 - distance**2 / 30)).astype(np.float32)
    after = logits + bias
    chain_index = np.arange(n) * chains // max(n, 1)
    return AttentionMap(
        id=MapId("run", phase, 1200, 0, 0, 3, 5),
        structure=Structure(
            name=name,
            ca=ca,
            residue_index=np.arange(1, n + 1, dtype=np.int32),
            chain_index=chain_index.astype(np.int32),
            length_unit="nanometer",
            sequence=("ACDEFGHIKLMNPQRSTVWY" * (n // 20 + 1))[:n],
        ),
        gamma=gamma,
        logits_before=logits,
        geo_bias=sign * bias,
        logits_after_recorded=after,
        attention=softmax(after),
        geo_bias_sign=sign,
    )


def heads_of(map, n=3):
    """Heads of one call: `map`, weaker and weaker."""
    heads = []
    for head in range(n):
        bias = None if map.geo_bias is None else map.geo_bias * np.float32(0.5**head)
        heads.append(replace(map, id=map.id._replace(head=head), geo_bias=bias))
    return heads


def history_of(map, steps=(100, 200, 700), layers=2, metrics=None):
    """A history whose numbers are those of `map`'s heads, sick from the second step on."""
    pairs = Pairs.of(map.structure)
    values = [measure(head, pairs).values for head in heads_of(map)]
    moments = [
        Moment(layer, step, values[: 1 + k], k == 0, "error" if layer == 0 and k else "healthy")
        for k, step in enumerate(steps)
        for layer in range(layers)
    ]
    known = telling(metrics)
    tracks = tracks_of(moments, [m.name for m in known])
    return History("run", "train", known, tracks, len(steps) + 5, len(steps), True, ("1abc",))


def subject_of(scope, map):
    """What a figure of this scope is drawn from, made of `map`."""
    if scope == "map":
        return Profiles(map, Pairs.of(map.structure))
    if scope == "layer":
        return Sheet.of(heads_of(map))
    if scope == "run":
        return history_of(map)
    pairs = Pairs.of(map.structure)
    measured = [
        measure(replace(head, id=head.id._replace(layer=layer)), pairs)
        for layer in (2, 5)
        for head in heads_of(map)
    ]
    return HeadTable.of(measured[:-1], severities={(2, 0): "error", (5, 1): "note"})


def spoil(map, **terms):
    """`map` with other terms, or another structure."""
    return replace(map, **terms)


@pytest.fixture(scope="session")
def make_map():
    return build


@pytest.fixture(scope="session")
def make_subject():
    return subject_of


@pytest.fixture(scope="session")
def make_history():
    return history_of


@pytest.fixture(scope="session")
def odd_maps():
    """Maps that break careless drawing, by what is odd about them."""
    plain = build(40)
    nowhere = replace(plain.structure, ca=np.full((40, 3), np.nan))
    far = replace(plain.structure, ca=plain.structure.ca * 1e6)
    nan = np.full((40, 40), np.nan, np.float32)
    zero = np.zeros((40, 40), np.float32)
    holes = plain.logits_before.copy()
    holes[3, 7], holes[5] = np.nan, np.inf
    huge = plain.logits_before.copy()
    huge[4, 20], huge[20, 4] = 3e38, -3e38
    one_hot = np.eye(40, dtype=np.float32)[np.roll(np.arange(40), 3)]
    return {
        "no residue": build(0),
        "one residue": build(1),
        "two residues": build(2),
        "no attention": spoil(plain, attention=None),
        "no logits": spoil(plain, logits_before=None, logits_after_recorded=None),
        "no bias": spoil(plain, geo_bias=None, logits_after_recorded=None, gamma=None),
        "nothing": spoil(
            plain, attention=None, geo_bias=None, logits_before=None, logits_after_recorded=None
        ),
        "all NaN": spoil(
            plain, attention=nan, geo_bias=nan, logits_before=nan, logits_after_recorded=nan
        ),
        "constant": spoil(
            plain,
            attention=zero + 1 / 40,
            geo_bias=zero,
            logits_before=zero + 3,
            logits_after_recorded=zero,
        ),
        "all zero": spoil(plain, attention=zero, geo_bias=zero, logits_before=zero),
        "holes": spoil(plain, logits_before=holes, attention=softmax(holes)),
        "huge": spoil(plain, logits_before=huge, geo_bias=huge, logits_after_recorded=huge),
        "one-hot": spoil(plain, attention=one_hot),
        "nowhere": spoil(plain, structure=nowhere),
        "far": spoil(plain, structure=far),
        "subtracted": build(40, sign=-1, phase="val"),
        "two chains": build(90, chains=2),
        "large": build(150),
    }
