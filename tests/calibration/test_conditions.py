"""Each condition really trained, for two steps: what was done to it shows in what is recorded."""

from dataclasses import replace

import numpy as np
import pytest

from igaviz.calibration.conditions import CONDITIONS, SINK_NATS
from igaviz.calibration.labels import LABELS
from igaviz.calibration.recordings import RECORDINGS, joined, record
from igaviz.calibration.training import train, trained
from igaviz.dump import open_dump, read_maps
from igaviz.metrics import Pairs, measure
from igaviz.reference.data import load_chains

STEPS = 2
FAULTS = [recording for recording in RECORDINGS.values() if recording.name not in CONDITIONS]


LENGTH = 30
"""Residues of each chain: what was done to a condition shows in as few."""


@pytest.fixture(scope="module", name="chains")
def _chains(sample_data):
    return [chain.crop(0, LENGTH) for chain in load_chains(sample_data / "chains.npz")]


def small(condition):
    layer = replace(condition.model.layer, n_heads=2, c_s=16)
    return replace(condition, model=replace(condition.model, layer=layer, n_layers=2))


@pytest.fixture(scope="module", name="maps_of")
def _maps_of(chains, tmp_path_factory):
    """A function from a recording's name to the maps of its last step, of a small network."""
    folder = tmp_path_factory.mktemp("calibration")

    def maps_of(name):
        recording = RECORDINGS[name]
        condition = small(CONDITIONS[recording.condition])
        if not (folder / "weights" / f"{condition.name}-0.pt").exists():
            train(condition, 0, chains, folder, steps=STEPS)
        short = replace(recording, steps=(STEPS,))
        out = folder / name
        if not out.exists():
            record(short, 0, chains, folder, out, condition)
        return [m for entry in open_dump(out).entries for m in read_maps(entry)]

    return maps_of


def test_every_recording_has_a_label_and_every_label_a_recording():
    assert LABELS.keys() == RECORDINGS.keys()


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_a_condition_holds_shows_in_the_maps(maps_of, name):
    held = CONDITIONS[name].model.layer
    for m in maps_of(name):
        if held.fixed_gamma is not None:
            assert m.gamma == pytest.approx(held.fixed_gamma)
        assert m.geo_bias_sign == held.geo_sign
        if name in ("sigma_at_floor", "sigma_without_bounds"):
            assert m.sigma_floor_share == 1.0
        if name == "blank":
            assert not m.logits_before.any()
            assert np.ptp(m.geo_bias) == 0
        if name == "sink":
            assert m.pair_bias[:, 0].mean() - m.pair_bias[:, 1:].mean() > SINK_NATS / 2


def test_frozen_weights_stay(chains, tmp_path):
    condition = small(CONDITIONS["frozen"])
    train(condition, 0, chains, tmp_path, steps=STEPS)
    models = trained(condition, 0, tmp_path)
    moved = {
        name
        for name, tensor in models[0].state_dict().items()
        if not tensor.equal(models[STEPS].state_dict()[name])
    }
    assert moved == {"blocks.1.frame_update.weight", "blocks.1.frame_update.bias"}


@pytest.mark.parametrize(
    ("steps", "stay"),
    [
        # Two maps on the way out start at zero, the layer's output and the frame update: nothing
        # gets through to what makes the attention before both have taken a step.
        (2, {"geo_scale", "query.weight", "key_gaussians.weight", "geo_bias", "pair_bias.bias"}),
        # One number for all keys of a row changes no attention, so it has no gradient to speak of.
        (8, {"pair_bias.bias"}),
    ],
)
def test_trained_weights_move_where_nothing_is_held(chains, tmp_path, steps, stay):
    condition = small(CONDITIONS["healthy"])
    train(condition, 0, chains, tmp_path, steps=steps)
    models = trained(condition, 0, tmp_path)
    before, after = models[0].attention_layers[0], models[steps].attention_layers[0]
    moved = {
        name: float((tensor - after.get_parameter(name)).detach().abs().max())
        for name, tensor in before.named_parameters()
    }
    assert all(moved[name] == 0 for name in stay)
    if steps > 2:
        assert {name for name, by in moved.items() if by < 1e-6} == stay | {"geo_bias"}


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("gamma_left_out", lambda m: m.replay.fits == "without geometry"),
        ("overlap_recorded", lambda m: m.replay.failed_rows > 0),
        ("dropout", lambda m: m.number("row_sum_error") > 0.05),
        ("nm_as_angstrom", lambda m: m.ca_step == pytest.approx(0.38, rel=0.1)),
        ("angstrom_as_nm", lambda m: m.ca_step == pytest.approx(38, rel=0.1)),
        ("bfloat16", lambda m: m.compute_dtype == "bfloat16" and m.number("nonfinite") == 0),
        ("float16", lambda m: m.compute_dtype == "float16" and m.number("nonfinite") == 0),
        ("noise_20", lambda m: m.ca_step > 20),
        ("size_150", lambda m: m.n_residues == 150),
    ],
)
def test_faults_show_in_what_is_measured(maps_of, name, holds):
    assert all(holds(measure(m, Pairs.of(m.structure))) for m in maps_of(name))


def test_joined_chains_are_chains_of_their_own(chains):
    whole = joined(chains[:2], 2 * LENGTH + 20)
    assert len(whole) == 2 * LENGTH + 20
    assert len(set((whole.residue_index // 1000).tolist())) == 3
