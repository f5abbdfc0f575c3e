"""The denoising model: what it predicts at first, what it is blind to, what it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from igaviz.reference.data import Batch, load_chains, make_batch
from igaviz.reference.frames import Frames, rotation_about
from igaviz.reference.layer import IgaSettings
from igaviz.reference.model import Denoiser, ModelSettings, backbone_error

CHAINS = Path(__file__).parents[2] / "sample_data" / "chains.npz"
SETTINGS = ModelSettings(IgaSettings(c_s=16, c_z=8, c_hidden=8, n_heads=2), n_layers=2)


def make_model(*, untrained: bool = False) -> Denoiser:
    torch.manual_seed(0)
    model = Denoiser(SETTINGS)
    if not untrained:
        for name, parameter in model.named_parameters():
            if "frame_update" in name or ".output." in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return model


def short_batch(*lengths: int) -> Batch:
    chains = [chain.crop(5, n) for chain, n in zip(load_chains(CHAINS), lengths, strict=False)]
    times = torch.linspace(0.2, 0.8, len(chains))
    return make_batch(chains, times, torch.Generator().manual_seed(0))


def test_an_untrained_model_predicts_what_it_was_given() -> None:
    batch = short_batch(20, 20)
    *_, last = make_model(untrained=True)(batch)
    torch.testing.assert_close(last.translation, batch.noised.translation)
    torch.testing.assert_close(
        backbone_error(last, batch), backbone_error(batch.noised, batch), atol=1e-5, rtol=1e-5
    )


def test_the_error_of_the_clean_frames_is_that_of_ideal_geometry() -> None:
    chain = load_chains(CHAINS)[0]
    clean = make_batch([chain], torch.ones(1), torch.Generator().manual_seed(0))
    assert 0 < float(backbone_error(clean.noised, clean)) < 0.01


def test_the_prediction_moves_with_the_input() -> None:
    model, batch = make_model(), short_batch(20, 20)
    *_, last = model(batch)
    motion = Frames(rotation_about(torch.tensor([0.3, 2.0, -1.0])), torch.tensor([1.0, -2.0, 0.5]))
    *_, moved_last = model(replace(batch, noised=motion.compose(batch.noised)))
    expected = motion.compose(last)
    torch.testing.assert_close(moved_last.translation, expected.translation, atol=1e-4, rtol=0)
    torch.testing.assert_close(moved_last.rotation, expected.rotation, atol=1e-4, rtol=0)
    assert (last.translation - batch.noised.translation).abs().max() > 0.01


def test_padding_changes_no_prediction() -> None:
    model, together = make_model(), short_batch(20, 33)
    alone = replace(
        together,
        residue_type=together.residue_type[:1, :20],
        residue_index=together.residue_index[:1, :20],
        backbone=together.backbone[:1, :20],
        noised=Frames(together.noised.rotation[:1, :20], together.noised.translation[:1, :20]),
        flow_time=together.flow_time[:1],
        mask=together.mask[:1, :20],
    )
    *_, padded = model(together)
    *_, bare = model(alone)
    torch.testing.assert_close(padded.translation[0, :20], bare.translation[0], atol=1e-5, rtol=0)


def test_steps_down_the_gradient_lower_the_error() -> None:
    model, batch = make_model(untrained=True), short_batch(24, 24)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    start = float(backbone_error(batch.noised, batch))
    for _ in range(20):
        loss = backbone_error(model(batch)[-1], batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(backbone_error(model(batch)[-1], batch).detach()) < 0.4 * start
    gammas = [block.attention.geo_scale.grad for block in model.blocks]
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gammas)
