"""A training run by a recipe: what it records, and what its command line answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from igaviz.dump import open_dump, read_maps
from igaviz.reference import train as train_module
from igaviz.reference.data import load_chains
from igaviz.reference.layer import IgaSettings
from igaviz.reference.recipes import RECIPES
from igaviz.reference.train import HELD_OUT, main, train

CHAINS = Path(__file__).parents[2] / "sample_data" / "chains.npz"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps of a tiny healthy model."""
    out = tmp_path_factory.mktemp("dumps") / "tiny"
    layer = IgaSettings(c_s=16, c_z=8, c_hidden=8, n_heads=2)
    recipe = RECIPES["healthy"]
    recipe = replace(
        recipe, steps=22, crop=30, model=replace(recipe.model, layer=layer, n_layers=2)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "FIRST_RECORDED_STEP", 2)
        patch.setattr(train_module, "SCALARS_INTERVAL", 10)
        train(recipe, load_chains(CHAINS), out, seed=0)
    return out


def test_full_maps_are_of_one_held_out_chain_at_two_steps(run: Path) -> None:
    entries = open_dump(run).entries
    assert {entry.id.step for entry in entries} == {2, 22}
    assert {entry.id.layer for entry in entries} == {0, 1}
    assert {(entry.id.phase, entry.item, entry.n_residues) for entry in entries} == {
        ("probe", HELD_OUT[0], 84)
    }
    assert all(entry.flow_time == pytest.approx(0.9) for entry in entries)
    assert all(entry.training is False for entry in entries)


def test_the_maps_replay_and_their_structure_is_the_chain(run: Path) -> None:
    chain = next(chain for chain in load_chains(CHAINS) if chain.name == HELD_OUT[0])
    for entry in open_dump(run).entries:
        for attention_map in read_maps(entry):
            structure = attention_map.structure
            assert structure.sequence == chain.sequence
            assert structure.residue_index.tolist() == chain.residue_index.tolist()
            assert structure.ca_reference is not None
            step = np.linalg.norm(np.diff(structure.ca_reference, axis=0), axis=1)
            assert np.median(step) == pytest.approx(3.8, abs=0.05)
            off = np.linalg.norm(structure.ca - structure.ca_reference, axis=1)
            assert np.median(off) < 1.5
            assert attention_map.logits_before is not None
            assert attention_map.geo_bias is not None
            assert attention_map.attention is not None
            logits = attention_map.logits_before + attention_map.geo_bias
            weights = np.exp(logits - logits.max(-1, keepdims=True))
            replayed = weights / weights.sum(-1, keepdims=True)
            # Weights are stored as float16: half of its spacing, 2⁻¹² below 1.
            assert np.abs(replayed - attention_map.attention).max() < 2.5e-4


def test_scalars_come_from_steps_between_the_maps(run: Path) -> None:
    lines = (run / "scalars.rank-00000.jsonl").read_text().splitlines()
    seen = {(line["step"], line["layer"], line["phase"]) for line in map(json.loads, lines)}
    assert {(step, layer, "probe") for step in (10, 20) for layer in (0, 1)} <= seen


def test_the_command_line_refuses_what_it_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main(["--recipe", "healthy", "--out", str(tmp_path / "full")]) == 2
    assert "not empty" in capsys.readouterr().err
    missing = ["--chains", str(tmp_path / "none.npz")]
    assert main(["--recipe", "healthy", "--out", str(tmp_path / "new"), *missing]) == 2
    assert "none.npz" in capsys.readouterr().err


def test_sick_recipes_differ_from_the_healthy_one_in_their_cause_only() -> None:
    healthy = RECIPES["healthy"]
    for name, cause in (
        ("gamma_too_small", {"fixed_gamma": 1e-4}),
        ("diagonal_collapse", {"fixed_gamma": 10.0, "free_centres": False}),
    ):
        sick = RECIPES[name]
        assert sick.model.layer == replace(healthy.model.layer, **cause)
        model = replace(healthy.model, layer=sick.model.layer, sigma=sick.model.sigma)
        assert replace(sick, name=healthy.name, why=healthy.why, model=model) == replace(
            healthy, model=model
        )
