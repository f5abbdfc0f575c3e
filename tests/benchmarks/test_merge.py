"""Merging shards into one file, against its floor: reading each of their maps once."""

from __future__ import annotations

import bare
import numpy as np
import pytest

from igaviz.dump import open_dump, read_maps
from igaviz.dump.write import ItemRecord, LayerRecord, StepRecord, publish, shard_image
from igaviz.survey.merge import merge

N, STEPS, LAYERS, HEADS = 256, 4, 4, 8


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """As the recorder writes them: 47 MB."""
    folder = tmp_path_factory.mktemp("run")
    ca = bare.helix(N)
    for step in range(STEPS):
        layers = []
        for layer in range(LAYERS):
            terms = bare.terms(ca, HEADS, seed=10 * step + layer)
            terms["attention"] = terms["attention"].astype(np.float16)
            layers.append(LayerRecord(layer, **terms))
        record = StepRecord(step, [ItemRecord(0, ca, layers)])
        image = shard_image([record], length_unit="angstrom", run_id="x")
        publish(folder, f"step-{step:09d}.rank-00000.h5", image)
    return open_dump(folder)


@pytest.mark.benchmark(group="merge")
def test_read(benchmark, dump):
    read = benchmark.pedantic(
        lambda: sum(1 for entry in dump.entries for _ in read_maps(entry)), rounds=3
    )
    assert read == STEPS * LAYERS * HEADS


@pytest.mark.benchmark(group="merge")
def test_merge(benchmark, dump, tmp_path):
    out = tmp_path / "merged.h5"
    made = benchmark.pedantic(lambda: merge(dump, out=out, force=True), rounds=3)
    assert made.maps == STEPS * LAYERS * HEADS
