"""Chains as training items: read, split, cropped, padded, noised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from igaviz.errors import UsageError
from igaviz.reference.data import (
    NOISE_NM,
    Chain,
    draw_batch,
    load_chains,
    make_batch,
    split_chains,
)
from igaviz.reference.frames import frames_of_backbone

CHAINS = Path(__file__).parents[2] / "sample_data" / "chains.npz"


@pytest.fixture(scope="module")
def chains() -> list[Chain]:
    return load_chains(CHAINS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_sample_chains_are_proteins_in_nanometres(chains: list[Chain]) -> None:
    assert len(chains) == 40
    for chain in chains:
        assert len(chain) == len(chain.backbone) == len(chain.residue_index)
        step = (chain.backbone[1:, 1] - chain.backbone[:-1, 1]).norm(dim=-1)
        assert step.median() == pytest.approx(0.38, abs=0.01), chain.name


def test_what_is_no_file_of_chains_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("other.npz", "text.npz", "missing.npz"):
        with pytest.raises(UsageError, match=name):
            load_chains(tmp_path / name)


def test_held_out_chains_are_not_trained_on(chains: list[Chain]) -> None:
    training, held_out = split_chains(chains, ["2xcjA", "1ahsA"])
    assert [chain.name for chain in held_out] == ["2xcjA", "1ahsA"]
    assert {chain.name for chain in training}.isdisjoint({"2xcjA", "1ahsA"})
    assert len(training) == 38
    with pytest.raises(UsageError, match="9zzzZ"):
        split_chains(chains, ["9zzzZ"])


def test_a_batch_holds_crops_and_pads_them_with_a_mask(chains: list[Chain]) -> None:
    by_name = {chain.name: chain for chain in chains}
    long, short = by_name["1or4A"].crop(20, 100), by_name["2xcjA"]
    batch = make_batch([long, short], torch.tensor([1.0, 1.0]), seeded())
    assert batch.mask.sum(dim=1).tolist() == [100, 84]
    assert batch.mask.shape == (2, 100)
    assert batch.sequences == (by_name["1or4A"].sequence[20:120], short.sequence)
    assert batch.residue_index[1, :84].tolist() == short.residue_index.tolist()
    assert torch.isfinite(batch.noised.rotation).all()
    clean = frames_of_backbone(batch.backbone)
    torch.testing.assert_close(batch.noised.rotation, clean.rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(batch.noised.translation, clean.translation)


def test_noise_fades_as_flow_time_nears_one(chains: list[Chain]) -> None:
    for flow_time in (0.0, 0.5, 0.9):
        batch = make_batch(chains, torch.full((40,), flow_time), seeded())
        moves = (batch.noised.translation - batch.backbone[:, :, 1])[batch.mask]
        assert float(moves.std()) == pytest.approx(NOISE_NM * (1 - flow_time), rel=0.03)


def test_drawing_is_repeatable_and_stays_below_the_crop(chains: list[Chain]) -> None:
    first, again = (draw_batch(chains, 4, 90, seeded(3)) for _ in range(2))
    assert first.names == again.names
    assert first.mask.shape[1] <= 90
    assert torch.equal(first.noised.translation, again.noised.translation)
    assert not torch.equal(first.flow_time, draw_batch(chains, 4, 90, seeded(4)).flow_time)
