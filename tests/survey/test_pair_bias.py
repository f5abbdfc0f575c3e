"""The pair bias is read where a number needs it, and only there."""

from __future__ import annotations

import os

import bare
import h5py
import numpy as np
import pytest

from igaviz import diagnose, open_dump, read_maps, verify
from igaviz.errors import UsageError
from igaviz.survey.kept.cache import Cache
from igaviz.survey.measuring.layers import measure_layers
from igaviz.survey.plan import EVERYTHING, plan
from igaviz.survey.work.workers import Workers

N, HEADS = 30, 2


def write(path, *, fits_without, broken):
    """A dump whose attention is softmax(S + G), or softmax(S − pair bias + G).

    `broken`: the pair bias of head 1 fails its checksum.
    """
    ca = bare.helix(N)
    data = bare.terms(ca, HEADS)
    pair = np.random.default_rng(1).normal(size=(HEADS, N, N)).astype(np.float32)
    if fits_without:
        data["logits_before"] = data["logits_before"] + pair
    with h5py.File(path, "w") as file:
        layer = bare.add_layer(bare.add_item(bare.start(file), 100, 0, ca), 0, **data)
        layer["gamma"] = np.ones(HEADS, np.float32)
        stored = layer.create_dataset("pair_bias", data=pair, chunks=(1, N, N), fletcher32=True)
        place = stored.id.get_chunk_info(1).byte_offset
        bare.finish(file)
    if broken:
        content = bytearray(path.read_bytes())
        content[place + 8] ^= 0xFF
        path.write_bytes(content)
    return open_dump(path)


def measured(dump):
    (group,) = measure_layers(plan(dump, EVERYTHING), radius=8.0)
    return group


def test_a_replay_that_fits_without_it_is_told_so(tmp_path):
    dump = write(tmp_path / "x.h5", fits_without=True, broken=False)
    assert [m.replay.fits for m in measured(dump).measurements] == ["without pair bias"] * HEADS
    (finding,) = [finding for finding in diagnose(dump).findings if finding.id == "D003"]
    assert "without the pair bias" in finding.message


@pytest.mark.parametrize("fits_without", [False, True])
def test_one_that_cannot_be_read_costs_no_number(tmp_path, fits_without):
    broken = write(tmp_path / "broken.h5", fits_without=fits_without, broken=True)
    group = measured(broken)
    whole = measured(write(tmp_path / "whole.h5", fits_without=fits_without, broken=False))
    assert [m.values for m in group.measurements] == [m.values for m in whole.measurements]
    fits = "without pair bias" if fits_without else None
    assert [m.replay.fits for m in group.measurements] == [fits, None]
    assert [piece.where for piece in group.damaged] == (
        ["steps/000000100/batch/0/layers/0/pair_bias (head 1)"] if fits_without else []
    )
    assert [piece.where for piece in verify(broken).damaged] == [
        "steps/000000100/batch/0/layers/0/pair_bias (head 1)"
    ]


def test_whole_is_what_was_read_now(tmp_path):
    """Whatever a cache has of the numbers, which need no pair bias."""
    dump = write(tmp_path / "x.h5", fits_without=False, broken=True)
    os.utime(tmp_path / "x.h5", (1e9, 1e9))
    workers = Workers(cache=Cache(tmp_path / "cache"))
    assert not diagnose(dump, jobs=workers).damaged
    assert verify(dump, jobs=workers).damaged


@pytest.mark.parametrize("terms", ["attention", ("attention", "gamma"), ["atention"]])
def test_what_are_no_terms_is_refused(tmp_path, terms):
    (entry,) = write(tmp_path / "x.h5", fits_without=False, broken=False).entries
    with pytest.raises(UsageError, match="are no terms"):
        next(read_maps(entry, terms=terms))


def test_terms_that_are_not_asked_for_are_as_not_recorded(tmp_path):
    (entry,) = write(tmp_path / "x.h5", fits_without=False, broken=True).entries
    for head, found in enumerate(read_maps(entry, terms=("attention",))):
        assert found.id.head == head
        assert found.pair_bias is found.logits_before is found.geo_bias is None
        assert found.attention_recorded
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        layer = file["steps/000000100/batch/0/layers/0"]
        recorded = layer["attention"][:]
        del layer["attention"]
    (entry,) = open_dump(tmp_path / "x.h5").entries
    for head, found in enumerate(read_maps(entry, terms=("attention",))):
        assert not found.attention_recorded
        np.testing.assert_allclose(found.attention, recorded[head], atol=1e-6)
