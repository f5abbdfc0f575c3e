"""Invariant Gaussian Attention: what weights depend on, gradients, and what is tapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from igaviz.dump import open_dump, read_maps
from igaviz.record import Recorder, active, shared_recorder
from igaviz.record.active import TapCall
from igaviz.reference.frames import Frames, frames_of_backbone, rotation_about
from igaviz.reference.layer import IgaSettings, InvariantGaussianAttention, Residues

SETTINGS = IgaSettings(c_s=16, c_z=8, c_hidden=8, n_heads=4)
BATCH, N = 2, 11


class Taps:
    """Keeps every call that is tapped, in order."""

    def __init__(self) -> None:
        self.calls: list[TapCall] = []

    def take(self, call: TapCall) -> None:
        self.calls.append(call)


@pytest.fixture
def tapped() -> Iterator[list[TapCall]]:
    """What each call of the layer hands to a recorder."""
    taps = Taps()
    active.listen(taps)
    yield taps.calls
    active.dismiss(taps)


def make_layer(settings: IgaSettings = SETTINGS) -> InvariantGaussianAttention:
    torch.manual_seed(0)
    layer = InvariantGaussianAttention(settings, layer_idx=3)
    # As after training: geometry weighs in, and the output isn't zero.
    torch.nn.init.constant_(layer.geo_scale, 0.0)
    torch.nn.init.normal_(layer.geo_bias)
    torch.nn.init.normal_(layer.output.weight, std=0.1)
    return layer


def make_inputs() -> tuple[Tensor, Tensor, Residues, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    frames = frames_of_backbone(normal(BATCH, N, 3, 3))
    residues = Residues(frames, 0.3 * normal(BATCH, N, 3), normal(BATCH, N, 3) - 1.0)
    mask = torch.ones(BATCH, N, dtype=torch.bool)
    mask[0, 4] = mask[1, 8:] = False
    return normal(BATCH, N, 16), normal(BATCH, N, N, 8), residues, mask


def test_nothing_changes_when_all_frames_move_together(tapped: list[TapCall]) -> None:
    layer, (s, z, residues, mask) = make_layer(), make_inputs()
    update = layer(s, z, residues, mask)
    turn = rotation_about(torch.tensor([0.7, -1.9, 0.4])).expand(BATCH, N, 3, 3)
    move = torch.tensor([3.0, -5.0, 2.0]).expand(BATCH, N, 3)
    moved = replace(residues, frames=Frames(turn, move).compose(residues.frames))
    moved_update = layer(s, z, moved, mask)
    before, after = tapped
    assert not torch.allclose(before.ca, after.ca, atol=1.0)
    torch.testing.assert_close(after.attention, before.attention, atol=1e-4, rtol=0)
    torch.testing.assert_close(moved_update, update, atol=1e-3, rtol=0)


def test_weights_change_when_one_frame_moves(tapped: list[TapCall]) -> None:
    layer, (s, z, residues, mask) = make_layer(), make_inputs()
    layer(s, z, residues, mask)
    translation = residues.frames.translation.clone()
    translation[:, 0] += 1.0
    frames = Frames(residues.frames.rotation, translation)
    layer(s, z, replace(residues, frames=frames), mask)
    before, after = (terms.attention for terms in tapped)
    assert (after - before).abs().max() > 0.01


def test_masked_keys_get_no_weight_and_have_no_say(tapped: list[TapCall]) -> None:
    layer, (s, z, residues, mask) = make_layer(), make_inputs()
    update = layer(s, z, residues, mask)
    other = s.masked_fill(~mask.unsqueeze(-1), 100.0)
    other_update = layer(other, z, residues, mask)
    weights = tapped[0].attention
    valid_queries = weights.transpose(1, 2)[mask]
    masked_keys = ~mask.repeat_interleave(mask.sum(1), dim=0)
    assert (valid_queries.transpose(1, 2)[masked_keys] == 0).all()
    torch.testing.assert_close(valid_queries.sum(-1), torch.ones(int(mask.sum()), 4))
    torch.testing.assert_close(other_update[mask], update[mask])
    pairs = mask.unsqueeze(-1) & mask.unsqueeze(-2)
    masked_bias = tapped[0].geo_bias.transpose(0, 1)[:, ~pairs]
    torch.testing.assert_close(masked_bias, layer.geo_bias[:, None].expand_as(masked_bias))


@pytest.mark.parametrize("free_centres", [True, False])
def test_gradients_are_finite_with_sigma_at_its_floor(
    tapped: list[TapCall], free_centres: bool
) -> None:
    layer = make_layer(replace(SETTINGS, free_centres=free_centres))
    s, z, residues, mask = make_inputs()
    translation = residues.frames.translation.clone()
    translation[:, 1] = translation[:, 0]
    inputs = [
        tensor.requires_grad_()
        for tensor in (s, z, translation, residues.local_mean, torch.full((BATCH, N, 3), -20.0))
    ]
    frames = Frames(residues.frames.rotation, inputs[2])
    layer(s, z, Residues(frames, inputs[3], inputs[4]), mask).square().sum().backward()
    assert (tapped[0].sigma_floor_share == 1).all()
    assert (tapped[0].sigma == SETTINGS.sigma_floor).all()
    learned = [parameter.grad for parameter in layer.parameters() if parameter.grad is not None]
    reached = [tensor.grad for tensor in inputs if tensor.grad is not None]
    assert len(reached) >= 3
    assert all(torch.isfinite(grad).all() for grad in (*learned, *reached))
    assert layer.geo_scale.grad is not None
    assert layer.geo_scale.grad.abs().max() > 0


def test_what_is_tapped_replays_to_the_weights(tapped: list[TapCall]) -> None:
    layer, (s, z, residues, mask) = make_layer(), make_inputs()
    layer(s, z, residues, mask)
    (terms,) = tapped
    assert terms.layer == 3
    assert terms.module is layer
    torch.testing.assert_close(terms.gamma, torch.nn.functional.softplus(layer.geo_scale))
    torch.testing.assert_close(terms.ca, residues.frames.translation)
    torch.testing.assert_close(terms.mask, mask)
    logits = terms.logits_before + terms.geo_bias
    replayed = logits.masked_fill(~mask[:, None, None, :], -torch.inf).softmax(-1)
    for item in range(BATCH):
        valid = mask[item]
        torch.testing.assert_close(
            replayed[item][:, valid], terms.attention[item][:, valid], atol=1e-6, rtol=0
        )
    content = terms.logits_before - terms.pair_bias
    q, k = (
        projection(s).unflatten(-1, (4, 8)).transpose(1, 2)
        for projection in (layer.query, layer.key)
    )
    torch.testing.assert_close(content, q @ k.transpose(-1, -2) / 8**0.5, atol=1e-5, rtol=1e-4)


def test_what_is_recorded_replays_to_the_models_own_weights(
    tapped: list[TapCall], tmp_path: Path
) -> None:
    layer, (s, z, residues, mask) = make_layer(), make_inputs()
    with Recorder(tmp_path, at=[0], length_unit="nanometer", strict=True) as recorder:  # noqa: SIM117
        with recorder.step(0):
            layer(s, z, residues, mask)
    weights = tapped[0].attention
    assert weights is not None
    for entry in open_dump(tmp_path).entries:
        valid = mask[entry.id.batch]
        own = weights[entry.id.batch][:, valid][:, :, valid].detach()
        for head, stored in enumerate(read_maps(entry)):
            assert stored.logits_before is not None
            replayed = torch.from_numpy(stored.logits_before + stored.effective_bias).softmax(-1)
            torch.testing.assert_close(replayed, own[head], atol=1e-5, rtol=0)


def test_log_det_min_is_the_least_of_the_valid_pairs(tapped: list[TapCall]) -> None:
    layer, (s, z, residues, mask) = make_layer(), make_inputs()
    shrunk = residues.log_scale.masked_fill(~mask.unsqueeze(-1), -20.0)
    layer(s, z, replace(residues, log_scale=shrunk), mask)
    layer(s[:1, :4], z[:1, :4, :4], _first_four(residues), mask[:1, :4])
    padded, few = (terms.log_det_min for terms in tapped)
    assert padded.shape == (BATCH, 4)
    assert (padded > -15).all(), "padding at the floor would give -19"
    assert (padded[0] <= few[0]).all(), "more pairs can't have a greater minimum"
    assert (tapped[0].sigma_floor_share < 0.5).all()


def test_held_gamma_and_held_centres_stay() -> None:
    layer = make_layer(replace(SETTINGS, fixed_gamma=5.0, free_centres=False))
    s, z, residues, mask = make_inputs()
    layer(s, z, residues, mask).sum().backward()
    assert layer.gamma.tolist() == [5.0] * 4
    assert layer.geo_scale.grad is None
    gaussians = layer._gaussians(layer.query_gaussians(s), residues)
    at_ca = residues.frames.translation[:, :, None, None].expand_as(gaussians.centre)
    torch.testing.assert_close(gaussians.centre, at_ca)


def test_enable_vis_records_every_so_many_training_forwards(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = [
        InvariantGaussianAttention(
            SETTINGS, layer_idx=index, enable_vis=True, vis_interval=2, vis_dir=tmp_path / "vis"
        )
        for index in (2, 5)
    ]
    s, z, residues, mask = make_inputs()
    for _ in range(4):
        for layer in layers:
            layer(s, z, residues, mask)
    layers[0].eval()(s, z, residues, mask)
    shared_recorder(tmp_path / "vis", interval=2).flush()
    entries = open_dump(tmp_path / "vis").entries
    assert {(entry.id.step, entry.id.layer) for entry in entries} == {
        (0, 2),
        (0, 5),
        (2, 2),
        (2, 5),
    }
    assert {entry.n_residues for entry in entries} == {10, 8}
    assert all(entry.training and entry.length_unit == "nanometer" for entry in entries)


def _first_four(residues: Residues) -> Residues:
    frames = Frames(residues.frames.rotation[:1, :4], residues.frames.translation[:1, :4])
    return Residues(frames, residues.local_mean[:1, :4], residues.log_scale[:1, :4])
