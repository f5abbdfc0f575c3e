"""Residues without a place of their own: what is said of them, in real files, and what isn't."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from igaviz import diagnose, open_dump
from igaviz.cli.main import main
from igaviz.dump import read_maps
from igaviz.metrics import Pairs, measure
from igaviz.metrics.places import on_one_point

LOOP = slice(40, 45)
NUMBERS = ("local_attn", "local_enrichment", "longrange_enrichment", "mean_distance")


@pytest.fixture
def item(sample_data, tmp_path):
    """A copy of a healthy run's last shard, and how to change the group of its item."""
    path = tmp_path / "step.h5"
    shutil.copy(sample_data / "healthy" / "step-000001500.probe.rank-00000.h5", path)

    def change(how):
        with h5py.File(path, "r+") as file:
            how(next(iter(file["steps"].values()))["batch/0"])
        return path

    return change


def told(path):
    """What is found of coordinates: (id, severity, batch item, maps, value), and the messages."""
    found = [f for f in diagnose(open_dump(path)).findings if f.id in ("D006", "D007")]
    return (
        [(f.id, str(f.severity), f.batch, f.maps, f.value) for f in found],
        " ".join(f.message for f in found),
    )


def give(value, *names):
    """Give the residues of a loop `value` for coordinates, in what each layer saw and elsewhere."""

    def change(item):
        for group in (item, *item["layers"].values()):
            for name in names:
                if name in group:
                    ca = group[name][:]
                    ca[LOOP] = value
                    group[name][...] = ca

    return change


def every_map(path):
    return [found for entry in open_dump(path).entries for found in read_maps(entry)]


def test_a_loop_of_zeros_is_warned_of(item, capsys):
    path = item(give(0, "ca", "ca_reference"))
    findings, said = told(path)
    assert findings == [("D007", "warning", 0, 48, 5)]
    local = Pairs.of(every_map(path)[0].structure).local
    share = 100 * (local[LOOP].sum() + local[:, LOOP].sum() - local[LOOP, LOOP].sum()) / local.sum()
    assert "5 of 84 residues lie on one point with others" in said
    assert f"they are in {share:.0f} % of the local pairs" in said
    assert main(["diagnose", str(path), "--jobs", "1"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "D007 residues-on-one-point: Leave residues that were not resolved out" in shown
    assert "While it stands, the other numbers there can't be trusted" in shown


def test_zeros_under_noise_are_seen_in_the_clean_structure(item):
    """Each has noise of its own in what the layer saw."""
    findings, _ = told(item(give(0, "ca_reference")))
    assert findings == [("D007", "warning", 0, 48, 5)]


def test_residues_without_coordinates_are_a_note_and_spoil_no_number(item, capsys):
    path = item(give(np.nan, "ca"))
    findings, said = told(path)
    assert findings == [("D006", "note", 0, 48, 5)]
    assert "5 of 84 residues have no finite coordinates" in said
    assert main(["diagnose", str(path), "--jobs", "1"]) == 0
    assert "D006 coordinates-missing" in capsys.readouterr().out
    for found in every_map(path)[::8]:
        numbers, (A, d) = (
            measure(found).values,
            (found.attention, Pairs.of(found.structure).distance),
        )
        known = np.isfinite(d) & ~np.eye(len(d), dtype=bool)
        assert numbers["local_attn"] == pytest.approx(A[known & (d < 8)].mean(dtype=float))
        assert numbers["global_attn"] == pytest.approx(A[known & (d >= 8)].mean(dtype=float))
        assert numbers["mean_distance"] == pytest.approx(np.average(d[known], weights=A[known]))


def test_frames_that_start_on_one_point_are_a_note_of_their_layer(item):
    """As in AlphaFold's structure module: a healthy run of it is not warned of."""

    def begin(item):
        item["layers/0/ca"] = np.zeros_like(item["ca"])

    findings, said = told(item(begin))
    assert findings == [("D006", "note", 0, 8, 84)]
    assert said.startswith("In layer 0 all residues lie on one point")


def test_points_that_differ_by_rounding_are_one():
    """Equal coordinates that were turned and shifted in float32, one by one, far away."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    ca = 100 * rng.normal(size=(300, 3)).astype(np.float32)
    ca[100:150] = ca[:50]
    shift = np.float32([[80, -90, 70]])
    moved = np.stack(
        [np.sum(rng.permutation(np.append(turn.T * one[:, None], shift, axis=0)), 0) for one in ca]
    )
    assert (moved[100:150] != moved[:50]).any(axis=1).sum() > 20
    expected = np.zeros(300, dtype=bool)
    expected[:50] = expected[100:150] = True
    np.testing.assert_array_equal(on_one_point(moved.astype(float)), expected)


def test_real_and_noised_chains_have_no_two_residues_on_one_point(sample_data):
    """From a whisper to pure noise as wide as a protein, and where x alone is alike."""
    chains = np.load(sample_data / "chains.npz")
    rng = np.random.default_rng(0)
    alike = 0
    for ca in np.split(chains["backbone"][:, 1], np.cumsum(chains["lengths"])[:-1]):
        clean = ca - ca.mean(axis=0)
        alike += (np.diff(np.sort(clean[:, 0])) < 0.01).sum()
        for t in np.linspace(0, 1, 11):
            noised = t * clean + (1 - t) * rng.normal(scale=10, size=ca.shape)
            assert not on_one_point(noised.astype(np.float32)).any()
    assert alike > 100
